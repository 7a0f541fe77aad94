"""The package's docstrings as Markdown: lists of names, tables, examples, and heads such as "Parameters".

A list is a paragraph whose lines read ``X, y: what they are``; lines further in continue the one above.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

_ITEM = re.compile(r"(\*{0,2}[A-Za-z_]\w*(?:, \*{0,2}[A-Za-z_]\w*)*):(?:\s+(.*))?")
_HEAD = re.compile(r"(.+)\n-{3,}(?:\n|$)")
_BORDER = re.compile(r"=+(?: +=+)+")


def as_markdown(text: str) -> str:
    """The same text with Markdown's marks."""
    text = _HEAD.sub(r"**\1**\n\n", text.strip()).replace("``", "`")
    return "\n\n".join(map(_marked, re.split(r"\n\s*\n", text)))


def _marked(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if lines[0].startswith(">>>"):
        return f"```pycon\n{paragraph}\n```"
    if _BORDER.fullmatch(lines[0]):
        return _table(lines)
    items: list[str] = []
    for line in lines:
        if items and line.startswith(" "):
            items[-1] += f" {line.strip()}"
        else:
            items.append(line.strip())
    found = [_ITEM.fullmatch(item) for item in items]
    if not all(found):
        return paragraph
    names = [", ".join(f"`{name}`" for name in item[1].split(", ")) for item in found if item]
    return "\n".join(f"- {name}: {item[2] or ''}" for name, item in zip(names, found, strict=True) if item)


def _table(lines: list[str]) -> str:
    """The table whose columns the first line shows."""
    spans = [match.span() for match in re.finditer("=+", lines[0])]
    rows = [
        [line[begin : None if (begin, end) == spans[-1] else end].strip() for begin, end in spans]
        for line in lines
        if not _BORDER.fullmatch(line)
    ]
    rows.insert(1, ["---"] * len(spans))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


class Docstrings(Extension):
    """Turns every docstring into Markdown as it is loaded."""

    def on_instance(self, *, obj: Any, **others: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
