"""Sentences of a report about its charts and tables, and the wording of its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from bball_pl import project
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import FEWEST_PHOTOS, Slices
from bball_pl.evaluate.predictions import DOUBT, Selection
from bball_pl.evaluate.report.confidence import Operating
from bball_pl.evaluate.report.curves import LearningCurves
from bball_pl.moves import display_name

#: Keeps a figure and its unit on one line.
_SPACE = "\N{NO-BREAK SPACE}"
#: For a figure that does not exist.
NONE = "–"


def percent(share: float | None) -> str:
    """Return a share of 0–1 as `94.3 %`; what is not quite all is never written as 100, nor what is something as 0."""
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


def thousands(number: int) -> str:
    """Return a number as `10,000`."""
    return f"{number:,}"


def counted(number: int, what: str, many: str | None = None) -> str:
    """Return a number and what it counts: `1 photo`, `300 photos`, `2 classes`."""
    return f"{thousands(number)} {what if number == 1 else many or f'{what}s'}"


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
    # Wilson's lower end of 0 right answers is a rounding error above 0.
    return "<0.1" if text == "0.0" and share > 1e-9 else text


def about_confidence(evaluation: Evaluation, operating: Operating | None) -> list[str]:
    """Say what calibration found, and what its threshold does to this split."""
    calibration = evaluation.calibration
    if calibration is None:
        return [
            "Nothing was calibrated: no validation photos were at hand. The confidences are the network's own, and "
            "there is no threshold below which the app would say “unsure”."
        ]
    lines = [
        f"The temperature {calibration.temperature:.2f} was fitted on {counted(calibration.n, 'validation photo')}: "
        f"{_meaning(calibration.temperature)}. There it changed the negative log-likelihood from "
        f"{calibration.nll_before:.3f} to {calibration.nll_after:.3f}."
    ]
    target = percent(calibration.target_accuracy)
    if operating is None:
        return [
            *lines,
            f"No threshold reaches {target} on the validation photos: an app that keeps this promise has to say "
            "“unsure” to everything.",
        ]
    if operating.threshold == 0:
        return [
            *lines,
            f"All validation answers together reach {target}: the app need not say “unsure” at all. On this split "
            f"{percent(operating.accuracy)} of all answers are right (95 % interval {percents(operating.interval)}).",
        ]
    lines.append(
        f"Below a confidence of {percent(operating.threshold)} the app says “unsure”. The threshold is the lowest "
        f"that reaches {target} on the validation photos: it answers {percent(calibration.coverage)} of them, "
        f"{percent(calibration.selective_accuracy)} rightly."
    )
    unanswered = operating.n - operating.answered
    if operating.accuracy is None:
        return [*lines, "On this split no answer is that sure: the app would say “unsure” to every photo."]
    lines.append(
        f"On this split that answers {thousands(operating.answered)} of {counted(operating.n, 'photo')} "
        f"({percent(operating.coverage)}), {percent(operating.accuracy)} of them rightly (95 % interval "
        f"{percents(operating.interval)}); {thousands(unanswered)} get “unsure”."
    )
    return lines


def _meaning(temperature: float) -> str:
    if 0.95 <= temperature <= 1.05:
        return "the network's own confidences were about right"
    return "the network was too sure of itself" if temperature > 1 else "the network was less sure than it could be"


def about_learning(evaluation: Evaluation, curves: LearningCurves | None) -> list[str]:
    """Say which model was kept, and how far training and validation are apart; or why that is not known."""
    if evaluation.run is None:
        return ["The checkpoint lies in no run's folder, so that there are no learning curves."]
    if curves is None:
        return ["The run's folder has no TensorBoard events, so that there are no learning curves."]
    val, gap = curves.curves["val/acc"], curves.curves["gap/acc"]
    lines = []
    if curves.kept == "probe":
        lines.append(
            "The model is the linear probe, the regression on frozen features that fine-tuning starts from: no epoch "
            "of fine-tuning beat it clearly. What the curves show was thrown away."
        )
    elif curves.kept_epoch is not None:
        lines.append(f"The model is that of epoch {curves.kept_epoch} of {curves.last_epoch}.")
    epoch = curves.kept_epoch or curves.last_epoch
    own, more = val.at(epoch), gap.at(epoch)
    if own is not None and more is not None:
        lines.append(
            f"In epoch {epoch} it answered {percent(own + more)} of the training photos rightly and {percent(own)} of "
            f"the validation photos, both seen as in a test: a gap of {points(more)}."
        )
    if curves.probe_acc is not None and curves.probe_loss is not None:
        lines.append(
            f"The linear probe had a validation accuracy of {percent(curves.probe_acc)} and a loss of "
            f"{curves.probe_loss:.3f}."
        )
    return lines


def about_left_out(selection: Selection, split: str) -> tuple[str, str]:
    """Say how many errors and doubtful labels are not shown, and where they are; empty where all are shown."""
    chosen, table = selection, project.predictions_file(split)
    errors = doubtful = ""
    if chosen.all_errors > len(chosen.errors):
        left = chosen.all_errors - len(chosen.errors)
        errors = (
            f"The {thousands(left)} least confident of {thousands(chosen.all_errors)} errors are left out; "
            f"{table} has all of them."
        )
    if chosen.all_doubtful > len(chosen.doubtful):
        left = chosen.all_doubtful - len(chosen.doubtful)
        doubtful = f"{thousands(left)} more have a margin of {signed(-DOUBT, 1)} or less: see {table}."
    return errors, doubtful


def about_slices(slices: Slices, what: str, overall: list[float]) -> str:
    """Return a sentence in place of a table that would have one row or none; empty if a table is worth it.

    Args:
        slices: of a split.
        what: they are: source or group.
        overall: accuracy's interval of the split.
    """
    if slices.known == 0:
        return f"The {what} of no photo is known: photos.csv does not say it."
    if slices.parts == 1:
        pooled = slices.small[0] if slices.small else None
        name = slices.rows[0].name if slices.rows else ""
        return f"All photos have the same {what}{f' ({name})' if name and pooled is None else ''}."
    if not slices.rows and slices.small is not None:
        return (
            f"{counted(slices.small[1], what)} with fewer than {FEWEST_PHOTOS} photos each: too few to compare. Over "
            f"all of them the 95 % interval of the accuracy is {percents(overall)}."
        )
    return ""


#: What the words mean, for readers who want to know exactly.
DEFINITIONS = (
    ("Accuracy", "share of the photos whose most probable class is the one in the label."),
    (
        "95 % interval",
        "Wilson's, unless it is called drawn by group. It takes photos for independent of each other. Photos of one "
        "game are not, so that the interval drawn by group is the one to believe where groups are known.",
    ),
    (
        "Drawn by group",
        "bootstrap: 2,000 times as many groups as there are, drawn with replacement; the middle 95 % of the figure. "
        "With fewer than 20 groups it comes out too narrow.",
    ),
    ("Recall", "share of the photos of a class that were recognised as it."),
    ("Precision", "share of the answers with a class that were right."),
    ("F1", "harmonic mean of the two. Macro: mean over the classes that have photos here."),
    (
        "Confidence",
        "probability of the answer; if it was calibrated, after dividing the logits by the temperature "
        "(arXiv:1706.04599).",
    ),
    (
        "Calibration error (ECE)",
        "mean distance of confidence and accuracy over 15 bins of equal width, weighted by their answers.",
    ),
    ("Negative log-likelihood, Brier score", "proper scores of all probabilities; 0 is perfect."),
    ("Coverage and risk", "share of the photos that are answered, the surest first; share of wrong ones among these."),
    ("Margin of a label", "its probability minus that of the most probable other class: −1 to 1, below 0 is an error."),
    (
        "Grad-CAM",
        "feature maps weighted by their gradients (arXiv:1610.02391): where in the photo something spoke for the "
        "answer, coarsely.",
    ),
)
