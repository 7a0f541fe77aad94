"""``python -m fastmlp_cli``."""

from .app import main

main()
