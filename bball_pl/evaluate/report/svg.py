"""A matplotlib figure as SVG inside a page: the page's colours and font, ids of its own, the same bytes each time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

#: Colours to draw with. In the page each of them is a CSS variable, so that a chart is as light or dark as the page.
INK, FAINT, BLUE, ORANGE = "#010203", "#040506", "#070809", "#0a0b0c"
_VARIABLES = {INK: "--ink", FAINT: "--line", BLUE: "--blue", ORANGE: "--orange"}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}


def new_figure(height: float = 270) -> Figure:
    """Return an empty figure 400 units wide, little more than a phone: there it hardly shrinks.

    Args:
        height: in the same units, CSS pixels at the chart's natural size.
    """
    return Figure(figsize=(400 / 72, height / 72))


@contextmanager
def style() -> Iterator[None]:
    """Draw figures in the page's style; `inline` belongs into it as well."""
    with mpl.rc_context(_STYLE):
        yield


def inline(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return a figure as an `<svg>` element.

    Args:
        figure: drawn with the colours of this module, without any text that came from outside.
        name: unlike that of any other figure of the page; prefix of all ids.
        title: what it shows, for readers who do not see it.
        description: what can be read off it, for the same.
    """
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=nothing, transparent=True)
    code = text.getvalue()
    code = code[code.index("<svg") :]
    # Its style sheet would hold for the whole page.
    code = re.sub(r"<style.*?</style>", "", code, flags=re.DOTALL)
    code = re.sub(r"font-family: [^;\"]*;? ?", "", code)
    code = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', code)
    code = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", code)
    code = code.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        code = code.replace(colour, f"var({variable})")
    viewbox = re.search(r'viewBox="[^"]*"', code)
    end = code.index(">")
    head = Markup('<svg class="chart" role="img" aria-label="{}" {}><desc>{}</desc>').format(
        title, Markup(viewbox.group() if viewbox else ""), description
    )
    return head + Markup(re.sub(r"\s*\n\s*", "\n", code[end + 1 :]))
