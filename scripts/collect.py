"""`bball collect` from a clone; every option: python scripts/collect.py --help."""

from bball_pl.cli import main

if __name__ == "__main__":
    main(__file__)
