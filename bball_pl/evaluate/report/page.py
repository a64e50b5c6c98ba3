"""A report as one HTML page that holds everything it needs and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from bball_pl.evaluate.calibration import risk_coverage
from bball_pl.evaluate.report import wording
from bball_pl.evaluate.report.content import Content, class_rows
from bball_pl.evaluate.report.figures import learning_chart, reliability_chart, risk_chart
from bball_pl.evaluate.report.photos import LARGE, SMALL, Thumbnail, read_photo, thumbnail
from bball_pl.evaluate.report.remarks import DEFINITIONS, about_left_out, about_slices
from bball_pl.evaluate.report.selection import gallery_rows
from bball_pl.html_page import finished, page_environment, style_and_script

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Card:
    """One photo of the report.

    Attributes:
        row: of the answers.
        path: below the dataset's folder.
        group: what it belongs to; empty if not known.
        true: index of its class.
        said: index of the answer.
        bars: class index and probability of the answer, the label and, where that is all the same, the next class.
        margin: of the label, -1–1.
        thumb: the picture.
    """

    row: int
    path: str
    group: str
    true: int
    said: int
    bars: list[tuple[int, float]]
    margin: float
    thumb: Thumbnail


def render_page(content: Content, heat_maps: Mapping[int, np.ndarray] | None) -> str:
    """Return the page.

    Args:
        content: of the report.
        heat_maps: by row of the answers, float `[h, w]`, 0–1, in the photo's proportions; None if nothing is known.
    """
    chosen, split = content.selection, content.evaluation.split
    answers, root = content.evaluation.answers, content.evaluation.root
    # Most photos of the list of doubtful labels are in the gallery as well; reading is what takes the time.
    photos = {row: read_photo(root / answers.paths[row]) for row in gallery_rows(answers)}
    errors, right = (_cards(content, rows, photos, heat_maps, LARGE) for rows in (chosen.errors, chosen.right))
    errors_left, doubtful_left = about_left_out(chosen, split)
    overall = content.evaluation.metrics["accuracy_ci95"]
    page = _template().render(
        content=content,
        evaluation=content.evaluation,
        names=content.names,
        **style_and_script(_FOLDER, "report"),
        charts=_charts(content),
        class_rows=class_rows(content),
        errors=errors,
        errors_left=errors_left,
        linked={(card.true, card.said) for card in errors},
        right=right,
        doubtful=_cards(content, chosen.doubtful, photos, None, SMALL),
        doubtful_left=doubtful_left,
        heat=_about_heat([*errors, *right], heat_maps),
        slices=[
            ("source", content.sources, about_slices(content.sources, "source", overall)),
            ("group", content.groups, about_slices(content.groups, "group", overall)),
        ],
        definitions=DEFINITIONS,
    )
    return finished(page)


@cache
def _template() -> jinja2.Template:
    environment = page_environment(_FOLDER)
    for name in ("percent", "percents", "decimals", "decimal_interval", "thousands", "signed"):
        environment.filters[name] = getattr(wording, name)
    return environment.get_template("report.html.jinja")


def _charts(content: Content) -> dict[str, Markup]:
    answers, curves = content.evaluation.answers, content.curves
    charts = {
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
    side: int,
) -> list[Card]:
    answers = content.evaluation.answers
    cards = []
    for row in rows:
        true, said = int(answers.targets[row]), int(answers.predicted[row])
        shares = answers.probabilities[row]
        second = true if true != said else int(np.argsort(-shares, kind="stable")[min(1, len(shares) - 1)])
        bars = [(label, float(shares[label])) for label in dict.fromkeys((said, second))]
        heat = None if heat_maps is None else heat_maps.get(row)
        thumb = thumbnail(photos[row], heat, side)
        group = answers.groups[row] if answers.groups else ""
        margin = float(answers.label_margin[row])
        cards.append(Card(row, answers.paths[row], group, true, said, bars, margin, thumb))
    return cards


def _about_heat(cards: list[Card], heat_maps: Mapping[int, np.ndarray] | None) -> str:
    shown = [card for card in cards if card.thumb.photo]
    if cards and not shown:
        return "None of these photos could be read, so that there are no pictures: was the dataset moved?"
    without = sum(not card.thumb.heat for card in shown)
    if heat_maps is None or without == len(shown):
        return "There are no heat maps: where the network looked (Grad-CAM) was not computed for this report."
    return f"{wording.counted(without, 'photo')} of these have no Grad-CAM." if without else ""
