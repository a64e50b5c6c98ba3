"""The page of an audit as one HTML text that holds everything it needs and fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2

from bball_pl.classes import display_name
from bball_pl.curate.audit import Audit, unsorted
from bball_pl.curate.findings import ABOUT
from bball_pl.curate.report.content import SECTIONS, collect, counted
from bball_pl.curate.report.thumbs import make_thumbs
from bball_pl.html_page import finished, page_environment, say, style_and_script

_FOLDER = Path(__file__).parent


def render_page(audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> str:
    """Return the page.

    Args:
        audit: what was found; photos that a fix has moved are shown from where they are now.
        commands: what each does and how it reads, in their order.
    """
    content = collect(audit)
    paths = {row: audit.place(photo.relative, photo.path) for row, photo in enumerate(audit.album.photos)}
    page = _template().render(
        content=content,
        audit=audit,
        album=audit.album,
        about=ABOUT,
        places=SECTIONS,
        thumbs=make_thumbs(paths, content.rows()),
        unsorted=unsorted(audit),
        commands=commands,
        **style_and_script(_FOLDER, "audit"),
    )
    return finished(page)


@cache
def _template() -> jinja2.Template:
    environment = page_environment(_FOLDER)
    environment.filters["named"] = lambda name: say(display_name(name) or "not sorted")
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda share: f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    environment.globals["counted"] = counted
    return environment.get_template("audit.html.jinja")
