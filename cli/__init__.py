"""The fastmlp command line. Installed as fastmlp_cli; one file per command."""
