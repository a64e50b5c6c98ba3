"""`python -m bball_pl COMMAND …`, for where there is no `bball` on the path."""

from bball_pl.cli import program

program()
