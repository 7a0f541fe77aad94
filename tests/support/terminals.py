"""A terminal for a program to write to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable


def on_terminal(start: Callable[..., subprocess.Popen], size: tuple[int, int]) -> str:
    """What a program writes to a terminal of that size, (lines, columns), until it ends well.

    start: begins it with the streams given as ``stdin``, ``stdout`` and ``stderr``.
    """
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    process = start(stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 1 << 16):
            written += piece
    except OSError:  # Linux says so where others end the file
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return written.decode()
