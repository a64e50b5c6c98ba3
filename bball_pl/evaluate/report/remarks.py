"""Sentences about a report's charts and tables, definitions of its terms, and the format of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bball_pl import project
from bball_pl.evaluate.calibration import OperatingPoint
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import FEWEST_PHOTOS, Slices
from bball_pl.evaluate.predictions import DOUBT, Selection
from bball_pl.evaluate.report.curves import LearningCurves
from bball_pl.moves import display_name
from bball_pl.wording import Language, counted, thousands

#: No line break between a figure and its unit.
_SPACE = "\N{NO-BREAK SPACE}"
#: Text of a figure that does not exist.
NONE = "–"


def percent(share: float | None) -> str:
    """Return a share of 0–1 as `94.3 %`; only 1 is written as 100 %, and only 0 as 0 %."""
    if share is None:
        return NONE
    return f"{_hundredths(share)}{_SPACE}%"


def percents(interval: Sequence[float] | None) -> str:
    """Return an interval of shares as `91.1–96.4 %`."""
    if interval is None:
        return NONE
    low, high = (_hundredths(share) for share in interval)
    return f"{low}–{high}{_SPACE}%"


def points(share: float | None) -> str:
    """Return a difference of shares as `8.6 points`, percentage points."""
    return NONE if share is None else f"{signed(100 * share, 1)}{_SPACE}points"


def signed(value: float, digits: int) -> str:
    """Return a figure with a minus sign instead of a hyphen."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def decimals(value: float | None) -> str:
    """Return a figure with three digits after the point, or a dash for None."""
    return NONE if value is None else signed(value, 3)


def decimal_interval(interval: Sequence[float] | None) -> str:
    """Return an interval as `0.911–0.964`, or a dash for None."""
    return NONE if interval is None else "–".join(f"{value:.3f}" for value in interval)


def listed(items: Sequence[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def shown(class_name: str) -> str:
    """Return a class's display name on one line; a name without a visible sign is quoted."""
    name = " ".join(display_name(class_name).split())
    return name or f"“{class_name}”"


def _hundredths(share: float) -> str:
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        return ">99.9"
    # The lower end of Wilson's interval for 0 right answers is a rounding error above 0.
    return "<0.1" if text == "0.0" and share > 1e-9 else text


def about_confidence(evaluation: Evaluation, operating: OperatingPoint | None) -> list[str]:
    """Return sentences on the calibration and on the effect of its threshold on this split."""
    calibration = evaluation.calibration
    if calibration is None:
        return [
            "Not calibrated: no validation photos were available. The confidences are those of the network, without a "
            "threshold of “unsure”."
        ]
    if not calibration.n:
        limit = "no threshold" if calibration.threshold is None else f"a threshold of {calibration.threshold:.2f}"
        return [f"The exported file states the temperature {calibration.temperature:.2f} and {limit} of “unsure”."]
    lines = [
        f"The temperature {calibration.temperature:.2f} was fitted on {counted(calibration.n, 'validation photo')}: "
        f"{_meaning(calibration.temperature)}. Their negative log-likelihood changed from "
        f"{calibration.nll_before:.3f} to {calibration.nll_after:.3f}."
    ]
    target = percent(calibration.target_accuracy)
    if operating is None:
        return [
            *lines,
            f"No threshold reaches {target} on the validation photos: an app with this target would have to answer "
            "“unsure” to every photo.",
        ]
    accuracy = operating.accuracy
    if operating.threshold == 0 and accuracy:
        return [
            *lines,
            f"All validation answers together reach {target}: the app need not say “unsure” at all. On this split "
            f"{percent(accuracy.value)} of all answers are right (95 % interval {percents(accuracy.interval)}).",
        ]
    lines.append(
        f"Below a confidence of {percent(operating.threshold)} the app says “unsure”. This is the lowest threshold "
        f"that reaches {target} on the validation photos: coverage {percent(calibration.coverage)}, accuracy "
        f"{percent(calibration.selective_accuracy)}."
    )
    if accuracy is None:
        return [*lines, "On this split no answer reaches it: the app would say “unsure” to every photo."]
    coverage = operating.coverage
    lines.append(
        f"On this split {thousands(coverage.right)} of {counted(coverage.n, 'photo')} are answered "
        f"({percent(coverage.value)}), {percent(accuracy.value)} of those correctly (95 % interval "
        f"{percents(accuracy.interval)}); {thousands(coverage.n - coverage.right)} are “unsure”."
    )
    return lines


def _meaning(temperature: float) -> str:
    if 0.95 <= temperature <= 1.05:
        return "the confidences of the network were about right"
    return "the network was overconfident" if temperature > 1 else "the network was underconfident"


def about_learning(evaluation: Evaluation, curves: LearningCurves | None) -> list[str]:
    """Return sentences on the kept model and the gap between training and validation, or the reason for none."""
    if evaluation.run is None:
        return ["The checkpoint lies outside a run's folder, so that there are no learning curves."]
    if curves is None:
        return ["The run's folder has no TensorBoard events, so that there are no learning curves."]
    lines = []
    if curves.kept == "probe":
        lines.append(
            "The model is the linear probe, a regression on frozen features that fine-tuning starts from: no epoch of "
            "fine-tuning was clearly better. The curves show the epochs that were discarded."
        )
    elif curves.kept_epoch is not None:
        lines.append(f"The model is that of epoch {curves.kept_epoch} of {curves.last_epoch}.")
    epoch = curves.kept_epoch or curves.last_epoch
    validation, gap = curves.curves["val/acc"].at(epoch), curves.curves["gap/acc"].at(epoch)
    if validation is not None and gap is not None:
        lines.append(
            f"In epoch {epoch} the accuracy was {percent(validation + gap)} on training photos and "
            f"{percent(validation)} on validation photos, both without augmentation: a gap of {points(gap)}."
        )
    if curves.probe_acc is not None and curves.probe_loss is not None:
        lines.append(
            f"The linear probe had a validation accuracy of {percent(curves.probe_acc)} and a loss of "
            f"{curves.probe_loss:.3f}."
        )
    return lines


def about_left_out(selection: Selection, split: str) -> tuple[str, str]:
    """Return sentences on the errors and on the doubtful labels that are not shown; empty where all are."""
    table = project.predictions_file(split)
    errors = doubtful = ""
    if selection.all_errors > len(selection.errors):
        left = selection.all_errors - len(selection.errors)
        errors = (
            f"The {thousands(left)} least confident of {thousands(selection.all_errors)} errors are left out; "
            f"{table} has all of them."
        )
    if selection.all_doubtful > len(selection.doubtful):
        left = selection.all_doubtful - len(selection.doubtful)
        doubtful = f"{thousands(left)} more have a margin of {signed(-DOUBT, 1)} or less: see {table}."
    return errors, doubtful


def about_slices(slices: Slices, kind: str, overall: list[float]) -> str:
    """Return a sentence that replaces a table of at most one row; empty if there are more rows.

    Args:
        slices: of a split.
        kind: source or group.
        overall: interval of the accuracy on the whole split.
    """
    if slices.known == 0:
        return f"The {kind} of no photo is known: it is missing from photos.csv."
    if slices.parts == 1:
        name = slices.rows[0][0] if slices.rows else ""
        return f"All photos have the same {kind}{f' ({name})' if name else ''}."
    if not slices.rows and slices.small is not None:
        return (
            f"{counted(slices.small[1], kind)} with fewer than {FEWEST_PHOTOS} photos each: too few to compare. Over "
            f"all of them the 95 % interval of the accuracy is {percents(overall)}."
        )
    return ""


#: Headings of the coach's page.
COACH: dict[Language, dict[str, Any]] = {
    "en": {
        "heading": {"before": "How good is ", "after": "?"},
        "good": "Strengths",
        "wrong": "Weaknesses",
        "advice": "Next steps",
        "nothing": "Nothing stands out.",
        "details": "",
    },
    "zh-Hant": {
        "heading": {"before": "", "after": " 有多好？"},
        "good": "優點",
        "wrong": "缺點",
        "advice": "下一步",
        "nothing": "沒有特別的。",
        "details": "以下是細節（英文）。",
    },
}

#: Terms of the report and their exact meaning.
DEFINITIONS = (
    ("Accuracy", "share of the photos whose most probable class is their label."),
    (
        "95 % interval",
        "Wilson's, unless it is called by group. It assumes independent photos. Photos of one game are not, so the "
        "interval by group, for which whole groups are drawn, stands first where groups are known.",
    ),
    (
        "Drawn by group",
        "bootstrap: 2,000 times as many groups as there are, drawn with replacement; the middle 95 % of the figure. "
        "With fewer than 20 groups it is too narrow.",
    ),
    ("Recall", "share of the photos of a class that are recognised."),
    ("Precision", "share of the answers with a class that are right."),
    ("F1", "harmonic mean of the two. Macro: mean over the classes that have photos in this split."),
    (
        "Confidence",
        "probability of the answer; if calibrated, after division of the logits by the temperature (arXiv:1706.04599).",
    ),
    (
        "Calibration error (ECE)",
        "mean distance of confidence and accuracy over 15 bins of equal width, weighted by their answers.",
    ),
    ("Negative log-likelihood, Brier score", "proper scores of all probabilities; 0 is perfect."),
    ("Coverage and risk", "share of the photos that are answered, the most confident first; share of errors in them."),
    ("Margin of a label", "its probability minus that of the most probable other class: −1 to 1, below 0 is an error."),
    (
        "Grad-CAM",
        "feature maps weighted by their gradients (arXiv:1610.02391): the part of the photo that supports the answer, "
        "coarsely.",
    ),
)
