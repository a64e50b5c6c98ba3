"""bball_pl: from a league's photo album to a basketball-move classifier on a phone."""

__version__ = "0.1.0"
