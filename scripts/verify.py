"""`bball verify` from a clone; every option: python scripts/verify.py --help."""

from bball_pl.cli import main

if __name__ == "__main__":
    main(__file__)
