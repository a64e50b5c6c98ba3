"""Self-contained HTML pages: their template environment, style, script and bilingual text."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

#: Chinese, Japanese and Korean signs and the punctuation between them.
_CHINESE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+")


def page_environment(folder: Path) -> jinja2.Environment:
    """Return a template environment for a folder, with autoescaping; undefined names raise an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["say"] = say
    return environment


def style_and_script(folder: Path, stem: str) -> dict[str, Any]:
    """Return `style`, `script` and `script_hash` (for the content security policy) from a page's two files."""
    style, script = ((folder / f"{stem}.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"style": Markup(style), "script": Markup(script), "script_hash": digest}


def finished(page: str) -> str:
    """Return a rendered page as valid UTF-8; file names may hold bytes that are not."""
    return page.lstrip().encode("utf-8", "replace").decode("utf-8")


def say(text: str) -> Markup:
    """Escape a text, and mark its Chinese for screen readers and font selection."""
    text = text.replace(" %", "\N{NO-BREAK SPACE}%").replace("% interval", "%\N{NO-BREAK SPACE}interval")
    return Markup(_CHINESE.sub(r'<span lang="zh-Hant">\g<0></span>', str(escape(text))))
