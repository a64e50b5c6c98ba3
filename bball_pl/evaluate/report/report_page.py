"""Rendering of a report: one self-contained HTML page, or Markdown with the same figures in tables."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import jinja2
import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from PIL import Image

from bball_pl.errors import PhotoError
from bball_pl.evaluate.calibration import risk_coverage
from bball_pl.evaluate.metrics import Share
from bball_pl.evaluate.predictions import gallery_rows
from bball_pl.evaluate.report import remarks
from bball_pl.evaluate.report.content import Content
from bball_pl.evaluate.report.figures import (
    average_precisions,
    class_colour,
    learning_chart,
    precision_chart,
    reliability_chart,
    risk_chart,
)
from bball_pl.evaluate.report.remarks import COACH, DEFINITIONS, NONE, about_left_out, percent, percents
from bball_pl.html_page import finished, page_environment, style_and_script
from bball_pl.photos.decode import decode
from bball_pl.wording import counted, thousands

#: Long side of a photo in the gallery, in pixels.
LARGE = 320
#: Bytes of a picture, at most: 66 of them and their heat maps are 4.6 MB of the page's 6.
_BYTES = 48_000
_QUALITIES = (76, 60, 45, 30, 15)
#: Long side of a heat map in pixels, made from some 7 × 7 values; the browser interpolates the rest.
_HEAT = 64
#: Inferno: its lightness rises evenly, so that it can be read in grey and without red or green.
_COLOURS = mpl.colormaps["inferno"]
#: Opacity of the hottest spot; the photo must be visible below it.
_OPACITY = 0.65


@dataclass(frozen=True)
class Thumbnail:
    """A small photo in a page.

    Attributes:
        photo: data URI; empty if the photo cannot be shown.
        heat: data URI of a transparent picture to lay over it; empty without a heat map.
        width: of the photo in the page, in pixels.
        height: of the photo in the page, in pixels.
        problem: why it cannot be shown; empty if it can.
    """

    photo: str
    heat: str
    width: int
    height: int
    problem: str = ""


def read_photo(path: Path) -> np.ndarray | str:
    """Read a photo and shrink it to the size of the gallery.

    Returns:
        RGB uint8 `[h, w, 3]`, 0–255, at most `LARGE` on the long side; or why it cannot be read.
    """
    try:
        return _shrunk(decode(path), LARGE)
    except PhotoError as error:
        return str(error)


def thumbnail(photo: np.ndarray | str, heat: np.ndarray | None, side: int) -> Thumbnail:
    """Return the thumbnail of a photo; an unreadable one becomes a placeholder with the reason.

    Args:
        photo: from `read_photo`.
        heat: float `[h, w]`, 0–1, in the photo's proportions; None without a heat map.
        side: longest side of the result, in pixels.
    """
    if isinstance(photo, str):
        return Thumbnail("", "", side, round(side * 2 / 3), photo)
    small = _shrunk(photo, side)
    height, width = small.shape[:2]
    overlay = "" if heat is None else _overlay(heat, width, height)
    return Thumbnail(_photo(Image.fromarray(small)), overlay, width, height)


def _shrunk(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _photo(image: Image.Image) -> str:
    content = b""
    for quality in _QUALITIES:
        content = _webp(image, quality)
        if len(content) <= _BYTES:
            break
    return _data_uri(content)


def _overlay(heat: np.ndarray, width: int, height: int) -> str:
    scale = _HEAT / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    values = np.nan_to_num(heat.astype(np.float32)).clip(0, 1)
    values = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    colours = _COLOURS(values)
    # As transparent as it is cold: the rest of the photo stays visible.
    colours[..., 3] = _OPACITY * values
    return _data_uri(_webp(Image.fromarray(np.rint(255 * colours).astype(np.uint8), "RGBA"), 70))


def _webp(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    # Method 2: as small as the default, and three times as fast.
    image.save(content, "WEBP", quality=quality, method=2)
    return content.getvalue()


def _data_uri(content: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(content).decode("ascii")


_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Card:
    """One photo of the report.

    Attributes:
        row: row of the answers.
        path: path below the dataset's folder.
        group: album, game or clip; empty if not known.
        true: index of the label.
        predicted: index of the answer.
        bars: class index and probability of the answer and of the label; of the next class if the two are the same.
        margin: margin of the label, -1–1.
        thumb: the picture.
    """

    row: int
    path: str
    group: str
    true: int
    predicted: int
    bars: list[tuple[int, float]]
    margin: float
    thumb: Thumbnail


def render_page(content: Content, heat_maps: Mapping[int, np.ndarray] | None) -> str:
    """Return the report as an HTML page.

    Args:
        content: of the report.
        heat_maps: by row of the answers, float `[h, w]`, 0–1, in the photo's proportions; None without any.
    """
    chosen = content.selection
    answers, root = content.evaluation.answers, content.evaluation.root
    photos = {row: read_photo(root / answers.paths[row]) for row in gallery_rows(answers)}
    averages = average_precisions(answers)
    errors, right = (_cards(content, rows, photos, heat_maps) for rows in (chosen.errors, chosen.right))
    page = (
        _environment()
        .get_template("report.html.jinja")
        .render(
            **_shared(content),
            **style_and_script(_FOLDER, "report"),
            charts=_charts(content, averages),
            errors=errors,
            linked={(card.true, card.predicted) for card in errors},
            right=right,
            doubtful=len(chosen.doubtful),
            averages=[(content.names[label], class_colour(label), value) for label, value in averages.items()],
            heat=_about_heat([*errors, *right], heat_maps),
        )
    )
    return finished(page)


def render_markdown(content: Content) -> str:
    """Return the report as Markdown for GitHub: the same figures in tables, without charts and pictures."""
    # Every expression is escaped as text, except macros and code blocks, which are Markup.
    environment = _environment().overlay(
        finalize=lambda value: value if isinstance(value, Markup) else Markup(text(str(value)))
    )
    page = environment.get_template("report.md.jinja").render(
        **_shared(content), answers=content.evaluation.answers, chosen=content.selection
    )
    return finished(page).rstrip("\n") + "\n"


def _shared(content: Content) -> dict[str, Any]:
    errors_left, doubtful_left = about_left_out(content.selection, content.evaluation.split)
    return {
        "content": content,
        "coach": COACH[content.language],
        "evaluation": content.evaluation,
        "names": content.names,
        "errors_left": errors_left,
        "doubtful_left": doubtful_left,
        "definitions": DEFINITIONS,
    }


@cache
def _environment() -> jinja2.Environment:
    environment = page_environment(_FOLDER)
    for name in ("percent", "percents", "points", "decimals", "decimal_interval", "signed"):
        environment.filters[name] = getattr(remarks, name)
    environment.filters |= {"with_interval": _with_interval, "code": _code, "thousands": thousands, "counted": counted}
    return environment


def _with_interval(share: Share | None) -> str:
    return NONE if share is None else f"{percent(share.value)} ({percents(share.interval)})"


#: Signs that could begin markup, HTML, an entity, a formula, a mention or a link, bare addresses included.
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&$@]|:(?=//)|(?<=www)\.|^(?=[-+=])")


def text(raw: str) -> str:
    """Escape a text for Markdown, on one line, so that it is shown unchanged."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(raw.split()))


def _code(command: str) -> Markup:
    # A fence longer than any run of backticks inside cannot be ended by the command.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", command)), default=0))
    return Markup(f"{fence}sh\n{command}\n{fence}")


def _charts(content: Content, averages: Mapping[int, float]) -> dict[str, Markup]:
    answers, curves = content.evaluation.answers, content.curves
    charts = {
        "precision": precision_chart(answers, averages),
        "reliability": reliability_chart(content.before, content.after, len(content.names)),
        "risk": risk_chart(risk_coverage(answers.confidence, answers.correct), len(answers), content.operating),
    }
    if curves is not None:
        charts |= {f"learning_{name}": learning_chart(curves, name) for name in ("acc", "loss")}
    return charts


def _cards(
    content: Content,
    rows: list[int],
    photos: Mapping[int, np.ndarray | str],
    heat_maps: Mapping[int, np.ndarray] | None,
) -> list[Card]:
    answers = content.evaluation.answers
    cards = []
    for row in rows:
        true, predicted = int(answers.targets[row]), int(answers.predicted[row])
        shares = answers.probabilities[row]
        second = true if true != predicted else int(np.argsort(-shares, kind="stable")[min(1, len(shares) - 1)])
        bars = [(label, float(shares[label])) for label in dict.fromkeys((predicted, second))]
        heat = None if heat_maps is None else heat_maps.get(row)
        thumb = thumbnail(photos[row], heat, LARGE)
        group = answers.groups[row] if answers.groups else ""
        margin = float(answers.label_margin[row])
        cards.append(Card(row, answers.paths[row], group, true, predicted, bars, margin, thumb))
    return cards


def _about_heat(cards: list[Card], heat_maps: Mapping[int, np.ndarray] | None) -> str:
    shown = [card for card in cards if card.thumb.photo]
    if cards and not shown:
        return "None of these photos could be read, so that there are no pictures: was the dataset moved?"
    without = sum(not card.thumb.heat for card in shown)
    if heat_maps is None or without == len(shown):
        return "Without heat maps: Grad-CAM was not computed for this report."
    return f"{counted(without, 'photo')} of these have no Grad-CAM." if without else ""
