"""The page of an audit as one HTML text that holds everything it needs and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from bball_pl.classes import display_name
from bball_pl.curate.audit import Audit, unsorted
from bball_pl.curate.findings import ABOUT
from bball_pl.curate.report.content import SECTIONS, collect, counted
from bball_pl.curate.report.thumbs import make_thumbs

_FOLDER = Path(__file__).parent
#: Chinese, Japanese and Korean signs and the punctuation between them.
_CHINESE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+")


def render_page(audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> str:
    """Return the page.

    Args:
        audit: what was found; photos that a fix has moved are shown from where they are now.
        commands: what each does and how it reads, in their order.
    """
    content = collect(audit)
    paths = {row: audit.place(photo.relative, photo.path) for row, photo in enumerate(audit.album.photos)}
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("audit.css", "audit.js"))
    page = _template().render(
        content=content,
        audit=audit,
        album=audit.album,
        about=ABOUT,
        places=SECTIONS,
        thumbs=make_thumbs(paths, content.rows()),
        unsorted=unsorted(audit),
        commands=commands,
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    # A file's name may hold bytes that are no text.
    return page.lstrip().encode("utf-8", "replace").decode("utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["say"] = _say
    environment.filters["named"] = lambda name: _say(display_name(name) or "not sorted")
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda share: f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    environment.globals["counted"] = counted
    return environment.get_template("audit.html.jinja")


def _say(text: str) -> Markup:
    """Escape a text, and mark its Chinese as such: voices and fonts need to know."""
    text = text.replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(_CHINESE.sub(r'<span lang="zh-Hant">\g<0></span>', str(escape(text))))
