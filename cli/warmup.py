"""``fastmlp warmup``: compile ahead, in a container's image or before a demonstration."""

from __future__ import annotations

import time

from fastmlp.errors import FastMLPError

from .options import Json
from .streams import echo


def warmup(json: Json = False) -> None:
    """Compile ahead all code that train, evaluate and predict need.

    Every later run of this user on this kind of processor loads it in a fraction of a second.
    """
    from fastmlp.kernels import jit
    from fastmlp.kernels.warmup import WORDS, warm_up
    from fastmlp.runs import strict_json

    from .render import COMPILING, Screen

    folder = jit.cache_folder()
    if not jit.is_kept(WORDS):
        Screen().say("wait", COMPILING)
    started = time.perf_counter()
    warm_up(words=True)
    seconds = time.perf_counter() - started
    kept = jit.COMPILED and jit.is_kept()
    if json:
        report = {"seconds": seconds, "kept": kept, "kernel_cache": None if folder is None else str(folder)}
        echo(strict_json(report))
    if not kept:
        raise FastMLPError(
            "compiled kernels must be kept",
            "NUMBA_DISABLE_JIT" if not jit.COMPILED else f"no room in {folder}" if folder else "no folder",
            "unset it" if not jit.COMPILED else "name a folder of yours in XDG_CACHE_HOME",
        )
    if not json:
        echo(f"All kernels are there after {seconds:.1f} s, in {folder}")
