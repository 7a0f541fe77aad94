"""What a build of the documentation adds to the files in docs/, and what it refuses.

Added: the figures, RESULTS.md and CHANGELOG.md, which have their homes elsewhere in the repository.
Refused: a page that loads something from another host, so that the documentation works without a network.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"results.md": "bench/RESULTS.md", "changelog.md": "CHANGELOG.md"}

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*\brel=["']?canonical)[^>]*?\shref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|url\(\s*["']?((?:https?:)?//[^"')]+)|@import\s+["']((?:https?:)?//[^"']+)""",
    re.IGNORECASE,
)


def loaded_from_elsewhere(text: str) -> list[str]:
    """The addresses on other hosts that a page or a style sheet loads by itself; links are none."""
    return ["".join(groups) for groups in _LOADED.findall(text)]


def on_files(files: Any, config: Any) -> Any:
    """Add what has its home elsewhere."""
    from mkdocs.structure.files import File

    homes = ELSEWHERE | {picture.name: f"bench/{picture.name}" for picture in (ROOT / "bench").glob("*.svg")}
    for name, home in homes.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / home)))
    return files


def on_post_build(config: Any) -> None:
    """Warn of what is loaded from another host: an error in a strict build."""
    site = Path(config.site_dir)
    for path in sorted({*site.rglob("*.html"), *site.rglob("*.css")}):
        for address in loaded_from_elsewhere(path.read_text(encoding="utf-8")):
            logging.getLogger("mkdocs.hooks").warning("%s loads %s", path.relative_to(site), address)
