"""What people see of a value: a small table in a terminal and in a notebook, curves and pictures, a bar.

Classes say what is in it; how it looks is made here. Nothing here knows a class of fastmlp.
"""

from fastmlp.display.table import Display, Displayed, brief, cell, ends, listed

__all__ = ["Display", "Displayed", "brief", "cell", "ends", "listed"]
