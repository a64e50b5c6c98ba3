"""Charts of a report as SVG: learning curves, precision and recall, reliability, risk and coverage."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bball_pl.evaluate.calibration import Bin, OperatingPoint, RiskCoverage
from bball_pl.evaluate.metrics import Share
from bball_pl.evaluate.predictions import Answers
from bball_pl.evaluate.report.curves import Curve, LearningCurves
from bball_pl.evaluate.report.remarks import percent

#: Colours of the charts. In the page each becomes a CSS variable, so that charts follow its light or dark scheme.
INK, FAINT, BLUE, ORANGE, GREEN = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
_VARIABLES = {INK: "--ink", FAINT: "--line", BLUE: "--blue", ORANGE: "--orange", GREEN: "--green"}
#: Colours of the first classes, as in the studio; those of further ones are all the same.
_CLASS_COLOURS = (ORANGE, BLUE, GREEN)

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
    """Return an empty figure 400 CSS pixels wide, little more than a phone, on which it hardly shrinks.

    Args:
        height: of the figure, in CSS pixels.
    """
    return Figure(figsize=(400 / 72, height / 72))


@contextmanager
def style() -> Iterator[None]:
    """Draw figures in the page's style; `inline` must be called inside as well."""
    with mpl.rc_context(_STYLE):
        yield


def inline(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return a figure as an `<svg>` element.

    Args:
        figure: drawn with the colours of this module, without text from the dataset.
        name: unique on the page; prefix of all ids.
        title: subject of the figure, for screen readers.
        description: main value of the figure, for screen readers.
    """
    text = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata=no_metadata, transparent=True)
    code = text.getvalue()
    code = code[code.index("<svg") :]
    # Its style sheet would apply to the whole page.
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


#: Margins for the widest figures, and for an axis label beside them, in any font of the page.
_LEFT, _LEFT_NAMED, _RIGHT = 0.13, 0.18, 0.97
#: Points of a curve that a screen can resolve.
_POINTS = 300
_BAND_POINTS = 60


def learning_chart(curves: LearningCurves, figure_name: str) -> Markup:
    """Draw training and validation by epoch, the gap between them, the probe and the kept epoch.

    Args:
        curves: learning curves of a run.
        figure_name: `acc` or `loss`.
    """
    is_share = figure_name == "acc"
    val, gap = curves.curves[f"val/{figure_name}"], curves.curves[f"gap/{figure_name}"]
    training = curves.curves["train/acc" if is_share else "train/loss_epoch"]
    probe = curves.probe_acc if is_share else curves.probe_loss
    both = [(epoch, value, value + more) for epoch, value in _points(val) if (more := gap.at(epoch)) is not None]
    with style():
        figure = new_figure()
        figure.subplots_adjust(left=_LEFT, right=_RIGHT, top=0.93, bottom=0.19)
        axes = figure.add_subplot()
        marker = "o" if curves.last_epoch <= 20 else ""
        axes.plot(training.epochs, _finite(training), color=INK, alpha=0.45, linewidth=1.2, linestyle=(0, (2, 2)))
        if both:
            epochs, below, above = (np.array(column) for column in zip(*both, strict=True))
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
        title = f"Learning curves: {'accuracy' if is_share else 'loss'} by epoch"
        last = f"In the last epoch {_last(val, is_share)} on validation photos."
        return inline(figure, f"learning-{figure_name}", title, last)


def reliability_chart(before: Sequence[Bin] | None, after: Sequence[Bin], classes: int) -> Markup:
    """Draw accuracy by confidence, and a histogram of the confidences.

    Args:
        before: bins at temperature 1; None without a calibration.
        after: bins of the answers, one or more.
        classes: number of classes; no answer has a confidence below 1 / classes.
    """
    low = math.floor(10 / classes) / 10
    with style():
        figure = new_figure(360)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        figure.subplots_adjust(left=_LEFT_NAMED, right=_RIGHT, top=0.97, bottom=0.14, hspace=0.12)
        axes.plot([low, 1], [low, 1], color=INK, alpha=0.5, linewidth=1.2, linestyle=(0, (2, 2)))
        if before is not None:
            x, y = [part.confidence for part in before], [part.accuracy.value for part in before]
            axes.plot(x, y, color=ORANGE, marker="s", linewidth=1.2, linestyle=(0, (4, 2)))
        x, y = [part.confidence for part in after], [part.accuracy.value for part in after]
        ends = np.array([part.accuracy.interval for part in after])
        axes.vlines(x, ends[:, 0], ends[:, 1], color=BLUE, linewidth=1.2, alpha=0.7)
        axes.plot(x, y, color=BLUE, linewidth=1.4)
        # The area of a dot is the weight of its bin in the calibration error.
        sizes = np.array([part.accuracy.n for part in after])
        axes.scatter(x, y, 16 + 74 * sizes / sizes.max(), color=BLUE, linewidth=0, zorder=4, clip_on=False)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlim(low - 0.01, 1.01)
        axes.set_ylabel("share of right answers", labelpad=2)
        middles = [(part.low + part.high) / 2 for part in after]
        below.bar(middles, sizes, width=0.9 * (after[0].high - after[0].low), color=BLUE, alpha=0.5)
        below.set_xlabel("confidence of the answer")
        below.set_ylabel("photos")
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_percent_axis())
        fullest = after[int(sizes.argmax())]
        text = (
            f"{fullest.accuracy.n} answers of {percent(fullest.confidence)} confidence on average: "
            f"{percent(fullest.accuracy.value)} right."
        )
        return inline(figure, "reliability", "Reliability: share of right answers by confidence", text)


def average_precisions(answers: Answers) -> dict[int, float]:
    """Return the average precision, 0–1, of each class against the others, by the class's index.

    Classes without photos, and one that has all of them, are left out. Source: scikit-learn's
    `average_precision_score`, the sum of precisions weighted by the steps of recall.
    """
    from sklearn.metrics import average_precision_score

    found = {}
    for label in range(len(answers.class_names)):
        of_class = answers.targets == label
        if of_class.any() and not of_class.all():
            found[label] = float(average_precision_score(of_class, answers.probabilities[:, label]))
    return found


def class_colour(label: int) -> str:
    """Return the name of a class's colour in the page's keys."""
    return _VARIABLES[_class_colour(label)].removeprefix("--")


def _class_colour(label: int) -> str:
    return _CLASS_COLOURS[label] if label < len(_CLASS_COLOURS) else INK


def precision_chart(answers: Answers, averages: Mapping[int, float]) -> Markup:
    """Draw precision over recall of each class.

    Args:
        answers: of the split.
        averages: from `average_precisions`; its classes are drawn.
    """
    from sklearn.metrics import precision_recall_curve

    with style():
        figure = new_figure(360)
        figure.subplots_adjust(left=_LEFT_NAMED, right=_RIGHT, top=0.95, bottom=0.14)
        axes = figure.add_subplot()
        for label in averages:
            precision, recall, _ = precision_recall_curve(answers.targets == label, answers.probabilities[:, label])
            points = np.unique(np.linspace(0, len(recall) - 1, _POINTS).astype(int))
            axes.plot(recall[points], precision[points], color=_class_colour(label))
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall: share of the class that is found")
        axes.set_ylabel("precision: share of those that are right")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_percent_axis())
        mean = f"{np.mean(list(averages.values())):.2f}" if averages else "not defined: only one class has photos"
        text = f"Mean average precision {mean}."
        return inline(figure, "precision", "Precision over recall of each class", text)


def risk_chart(curve: RiskCoverage, number: int, operating: OperatingPoint | None) -> Markup:
    """Draw the share of wrong answers by coverage, the most confident answers first.

    Args:
        curve: of the split.
        number: photos of the split.
        operating: coverage and accuracy at the threshold; None without one. A threshold of 0 is not drawn.
    """
    points = np.unique(np.linspace(0, len(curve.coverage) - 1, _POINTS).astype(int))
    coverage, risk = curve.coverage[points], 1 - curve.accuracy[points]
    band = points[np.unique(np.linspace(0, len(points) - 1, _BAND_POINTS).astype(int))]
    answered = np.rint(curve.coverage[band] * number).astype(int)
    right = np.rint(curve.accuracy[band] * answered).astype(int)
    shares = (Share(*counts) for counts in zip(right.tolist(), answered.tolist(), strict=True))
    ends = 1 - np.array([share.interval for share in shares])
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
                x, y = operating.coverage.value, 1 - operating.accuracy.value
                axes.axvline(x, color=INK, linewidth=1, alpha=0.6)
                axes.plot([x], [y], color=ORANGE, marker="o", markersize=8, clip_on=False, zorder=5)
                _note(axes, x / 1.02, "threshold")
        # The band of the first few answers spans everything and would flatten the curve.
        axes.set_ylim(0, min(1.02, 1.25 * highest + 0.01))
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("coverage: share of photos answered, most confident first")
        axes.set_ylabel("share of wrong answers")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_percent_axis())
        text = f"At full coverage {percent(float(1 - curve.accuracy[-1]))} of the answers are wrong."
        return inline(figure, "risk", "Risk and coverage: errors among the most confident answers", text)


def _points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.epochs, _finite(curve), strict=True))


def _finite(curve: Curve) -> list[float]:
    # A run that diverged logs infinities, which no axis can show.
    return [value if math.isfinite(value) else math.nan for value in curve.values]


def _note(axes: Axes, x: float, text: str) -> None:
    """Write a word above a vertical line, x in 0–1 of the frame's width, within the frame."""
    side = "right" if x > 0.85 else "left" if x < 0.1 else "center"
    axes.text(x, 1.015, text, transform=axes.transAxes, ha=side, va="bottom", fontsize=11)


def _percent_axis() -> FuncFormatter:
    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def _last(curve: Curve, is_share: bool) -> str:
    if not len(curve):
        return "unknown"
    return percent(curve.values[-1]) if is_share else f"{curve.values[-1]:.3f}"
