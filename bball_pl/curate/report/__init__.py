"""The page of an audit: what was found, with pictures, in one file that fetches nothing."""

from bball_pl.curate.report.page import render_page

__all__ = ["render_page"]
