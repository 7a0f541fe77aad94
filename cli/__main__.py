"""Entry of the installed script and of ``python -m fastmlp_cli``, and the one exit."""

from __future__ import annotations

import os
import sys
import threading
from typing import NoReturn

from . import ends, streams
from .room import lack_of_room


def main() -> NoReturn:
    """Run the command and end the process: with its exit code, or with 128 + the number of a signal."""
    try:
        ends.listen()  # before anything that is slow to load
        streams.prepare()
        code = _run()
        ends.ignore()
    except ends.Stopped as stopped:
        ends.ignore()
        sys.stderr.write(f"{stopped}\n")
        _end_at_once(128 + stopped.number)
    if any(thread.name.startswith("fastmlp-") for thread in threading.enumerate()):
        _end_at_once(code)
    sys.exit(code)


def _run() -> int:
    try:
        from .app import run

        code = run()
    except Exception:
        if (number := ends.came()) is not None:  # an import makes its own error of a signal
            raise ends.Stopped(number) from None
        if not (lack := lack_of_room()):
            raise
        sys.stderr.write(f"Error: {streams.clean(lack)}\n")
        code = 1
    if code and (number := ends.came()) is not None:
        raise ends.Stopped(number)
    return code


def _end_at_once(code: int) -> NoReturn:
    """End while a thread may still compile: in an orderly exit LLVM would crash or wait."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
