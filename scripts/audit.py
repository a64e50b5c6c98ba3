"""`bball audit` from a clone; every option: python scripts/audit.py --help."""

from bball_pl.cli import main

if __name__ == "__main__":
    main(__file__)
