"""Charts of a report as SVG: learning curves, reliability, risk and coverage."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bball_pl.evaluate.calibration import RiskCoverage
from bball_pl.evaluate.metrics import wilson
from bball_pl.evaluate.report.confidence import Bin, Operating
from bball_pl.evaluate.report.curves import Curve, LearningCurves
from bball_pl.evaluate.report.remarks import percent

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


#: Room for the widest figures, and for a name beside them, in whatever font the page has.
_LEFT, _LEFT_NAMED, _RIGHT = 0.13, 0.18, 0.97
#: Points of a curve that a screen can tell apart.
_POINTS = 300
_BAND_POINTS = 60


def learning_chart(curves: LearningCurves, figure_name: str) -> Markup:
    """Draw training and validation by epoch, the gap between them, the probe and the kept epoch.

    Args:
        curves: of a run.
        figure_name: `acc` or `loss`.
    """
    is_share = figure_name == "acc"
    val, gap = curves.curves[f"val/{figure_name}"], curves.curves[f"gap/{figure_name}"]
    learned = curves.curves["train/acc" if is_share else "train/loss_epoch"]
    probe = curves.probe_acc if is_share else curves.probe_loss
    seen = [(epoch, own, own + more) for epoch, own in _points(val) if (more := gap.at(epoch)) is not None]
    with style():
        figure = new_figure()
        figure.subplots_adjust(left=_LEFT, right=_RIGHT, top=0.93, bottom=0.19)
        axes = figure.add_subplot()
        marker = "o" if curves.last_epoch <= 20 else ""
        axes.plot(learned.epochs, _finite(learned), color=INK, alpha=0.45, linewidth=1.2, linestyle=(0, (2, 2)))
        if seen:
            epochs, below, above = (np.array(column) for column in zip(*seen, strict=True))
            axes.fill_between(epochs, below, above, color=ORANGE, alpha=0.16, linewidth=0)
            axes.plot(epochs, above, color=ORANGE, marker=marker)
        axes.plot(val.epochs, _finite(val), color=BLUE, marker=marker)
        if probe is not None and math.isfinite(probe):
            axes.axhline(probe, color=BLUE, linewidth=1.2, linestyle=(0, (6, 3)))
        if curves.kept_epoch is not None:
            axes.axvline(curves.kept_epoch, color=INK, linewidth=1, alpha=0.6)
            _note(axes, curves.kept_epoch / (curves.last_epoch + 1), "kept")
        axes.set_xlim(0, curves.last_epoch + 1)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if is_share:
            axes.yaxis.set_major_formatter(_percent_axis())
            axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
        else:
            axes.set_ylim(bottom=0)
        what = "accuracy" if is_share else "loss"
        last = f"In the last epoch {_said(val, is_share)} on validation photos."
        return inline(figure, f"learning-{figure_name}", f"Learning curves: {what} by epoch", last)


def reliability_chart(before: Sequence[Bin] | None, after: Sequence[Bin], classes: int) -> Markup:
    """Draw how often answers of a confidence are right, and how many there are of it.

    Args:
        before: bins at temperature 1; None if nothing was calibrated.
        after: bins of the calibrated answers, one or more.
        classes: number of classes; no answer has a confidence below 1 / classes.
    """
    low = math.floor(10 / classes) / 10
    with style():
        figure = new_figure(360)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        figure.subplots_adjust(left=_LEFT_NAMED, right=_RIGHT, top=0.97, bottom=0.14, hspace=0.12)
        axes.plot([low, 1], [low, 1], color=INK, alpha=0.5, linewidth=1.2, linestyle=(0, (2, 2)))
        if before is not None:
            x, y = [own.confidence for own in before], [own.accuracy for own in before]
            axes.plot(x, y, color=ORANGE, marker="s", linewidth=1.2, linestyle=(0, (4, 2)))
        x, y = [own.confidence for own in after], [own.accuracy for own in after]
        ends = np.array([own.interval for own in after])
        axes.vlines(x, ends[:, 0], ends[:, 1], color=BLUE, linewidth=1.2, alpha=0.7)
        axes.plot(x, y, color=BLUE, linewidth=1.4)
        # The eye should weigh a bin as the calibration error does.
        most = max(own.n for own in after)
        axes.scatter(x, y, [16 + 74 * own.n / most for own in after], color=BLUE, linewidth=0, zorder=4, clip_on=False)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(low - 0.01, 1.01)
        axes.set_ylabel("share that is right", labelpad=2)
        middles = [(own.low + own.high) / 2 for own in after]
        below.bar(middles, [own.n for own in after], width=0.9 * (after[0].high - after[0].low), color=BLUE, alpha=0.5)
        below.set_xlabel("confidence of the answer")
        below.set_ylabel("photos")
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_percent_axis())
        full = max(after, key=lambda own: own.n)
        text = f"{full.n} answers of {percent(full.confidence)} confidence on average: {percent(full.accuracy)} right."
        return inline(figure, "reliability", "Reliability: share of right answers by confidence", text)


def risk_chart(curve: RiskCoverage, number: int, operating: Operating | None) -> Markup:
    """Draw the share of wrong answers if only the most confident photos are answered.

    Args:
        curve: of the split.
        number: photos of the split.
        operating: what the threshold does to it; None without a threshold. One of 0 answers everything and is not
            drawn.
    """
    places = np.unique(np.linspace(0, len(curve.coverage) - 1, _POINTS).astype(int))
    coverage, risk = curve.coverage[places], 1 - curve.accuracy[places]
    band = places[np.unique(np.linspace(0, len(places) - 1, _BAND_POINTS).astype(int))]
    answered = np.rint(curve.coverage[band] * number).astype(int)
    right = np.rint(curve.accuracy[band] * answered).astype(int)
    ends = 1 - np.array([wilson(*pair) for pair in zip(right.tolist(), answered.tolist(), strict=True)])
    with style():
        figure = new_figure(360)
        figure.subplots_adjust(left=_LEFT_NAMED, right=_RIGHT, top=0.95, bottom=0.14)
        axes = figure.add_subplot()
        axes.fill_between(curve.coverage[band], ends[:, 1], ends[:, 0], color=BLUE, alpha=0.14, linewidth=0)
        axes.plot(coverage, risk, color=BLUE, marker="o" if len(coverage) == 1 else "")
        highest = max(float(risk.max()), float(ends[-1, 0]))
        if operating is not None and operating.threshold > 0:
            wanted = 1 - operating.target_accuracy
            highest = max(highest, wanted)
            axes.axhline(wanted, color=ORANGE, linewidth=1.2, linestyle=(0, (6, 3)))
            if operating.accuracy is not None:
                axes.axvline(operating.coverage, color=INK, linewidth=1, alpha=0.6)
                axes.plot(
                    [operating.coverage],
                    [1 - operating.accuracy],
                    color=ORANGE,
                    marker="o",
                    markersize=8,
                    clip_on=False,
                    zorder=5,
                )
                _note(axes, operating.coverage / 1.02, "threshold")
        # The band of the first few answers spans everything and would press the curve to the floor.
        axes.set_ylim(0, min(1.02, 1.25 * highest + 0.01))
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("share of the photos that is answered, the surest first")
        axes.set_ylabel("share of answers that is wrong")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_percent_axis())
        text = f"With all photos answered {percent(float(1 - curve.accuracy[-1]))} of the answers are wrong."
        return inline(figure, "risk", "Risk and coverage: errors among the surest answers", text)


def _points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.epochs, _finite(curve), strict=True))


def _finite(curve: Curve) -> list[float]:
    # A run that diverged logs infinities, which no axis can hold.
    return [value if math.isfinite(value) else math.nan for value in curve.values]


def _note(axes: Axes, place: float, text: str) -> None:
    """Write a word above a vertical line at a place of 0–1, inside of the frame."""
    side = "right" if place > 0.85 else "left" if place < 0.1 else "center"
    axes.text(place, 1.015, text, transform=axes.transAxes, ha=side, va="bottom", fontsize=11)


def _percent_axis() -> FuncFormatter:
    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def _said(curve: Curve, is_share: bool) -> str:
    if not len(curve):
        return "nothing is known"
    return percent(curve.values[-1]) if is_share else f"{curve.values[-1]:.3f}"
