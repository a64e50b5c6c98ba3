"""Findings of an evaluation for a coach: verdict, strengths, weaknesses and next steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom

from bball_pl.evaluate.calibration import OperatingPoint
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import SURE, Share, Slices, leading_interval, rejection_sentence
from bball_pl.evaluate.predictions import Answers, Selection
from bball_pl.evaluate.report.curves import LearningCurves
from bball_pl.evaluate.report.remarks import counted, listed, percent, percents, points, shown, thousands
from bball_pl.moves import MOVES, NO_MOVE

#: Photos below which an accuracy says next to nothing: with 20 its interval is some 40 points wide.
FEW = 20
#: Photos below which a class is not judged.
_ENOUGH = 10
#: Coverage of a good threshold, and of a bad one.
_MUCH, _LITTLE = 0.7, 0.5
#: Difference between training and validation accuracy that is worth a remark.
_GAP = 0.1


@dataclass(frozen=True)
class Pair:
    """Two classes that are confused.

    Attributes:
        first: index of the class that is mistaken more often.
        second: index of the class that is mistaken less often.
        errors: photos of the first answered as the second.
        back: photos of the second answered as the first.
    """

    first: int
    second: int
    errors: int
    back: int

    @property
    def both(self) -> int:
        """Errors in either direction."""
        return self.errors + self.back


@dataclass(frozen=True)
class Findings:
    """Sentences in plain words; class names in them are not escaped.

    Attributes:
        verdict: one sentence on the accuracy.
        good: strengths.
        wrong: weaknesses.
        advice: next steps.
    """

    verdict: str
    good: list[str]
    wrong: list[str]
    advice: list[str]


def confused_pairs(answers: Answers) -> list[Pair]:
    """Return the pairs of confused classes, the most errors first."""
    matrix = answers.confusion
    pairs = []
    for first, second in zip(*np.nonzero(np.triu(matrix + matrix.T, 1)), strict=True):
        forward, back = int(matrix[first, second]), int(matrix[second, first])
        more, less = (first, second) if forward >= back else (second, first)
        pairs.append(Pair(int(more), int(less), max(forward, back), min(forward, back)))
    return sorted(pairs, key=lambda pair: (-pair.both, pair.first, pair.second))


def find(
    evaluation: Evaluation,
    selection: Selection,
    operating: OperatingPoint | None,
    curves: LearningCurves | None,
    groups: Slices,
) -> Findings:
    """Return strengths, weaknesses and next steps.

    Args:
        evaluation: of one photo or more.
        selection: its errors and doubtful labels.
        operating: coverage and accuracy of the split at the threshold.
        curves: learning curves of the run.
        groups: accuracy of the split by group.
    """
    pairs = confused_pairs(evaluation.answers)
    gap = accuracy_gap(curves)
    return Findings(
        verdict=verdict(evaluation, pairs),
        good=list(_good(evaluation, operating, gap)),
        wrong=list(_wrong(evaluation, pairs, operating, gap, groups)),
        advice=list(_advice(evaluation, pairs, selection, gap)),
    )


def verdict(evaluation: Evaluation, pairs: Sequence[Pair]) -> str:
    """Return one sentence on how good the model is."""
    answers, metrics = evaluation.answers, evaluation.metrics
    n, right = len(answers), int(answers.correct.sum())
    (low, high), groups = leading_interval(metrics)
    drawn = f" by {counted(groups, 'group')}" if groups else ""
    photos = counted(n, f"{evaluation.split} photo")
    if n < FEW:
        return f"It is right on {right} of {photos}: too few to say how good it is."
    predicted, names = np.unique(answers.predicted), answers.class_names
    if len(predicted) == 1 and len(np.unique(answers.targets)) > 1:
        return f"It answers {shown(names[predicted[0]])} to every photo: it does not tell the classes apart."
    if right == n:
        return f"It is right on all {photos} (95 % interval {percents([low, high])}{drawn})."
    largest = int(np.bincount(answers.targets).argmax())
    share = float((answers.targets == largest).mean())
    sentence = f"It is right on {percent(right / n)} of {photos}"
    if low <= share < 1:
        return f"{sentence}: not surely better than answering {shown(names[largest])} every time ({percent(share)})."
    sentence += f" (95 % interval {percents([low, high])}{drawn})"
    # With two classes all errors are between them.
    if len(names) > 2 and pairs and pairs[0].both >= 3 and pairs[0].both * 3 >= n - right:
        first, second = shown(names[pairs[0].first]), shown(names[pairs[0].second])
        of = f"{thousands(pairs[0].both)} of its {counted(n - right, 'error')}"
        return f"{sentence}, and {of} are between {first} and {second}."
    return f"{sentence}."


def accuracy_gap(curves: LearningCurves | None) -> float | None:
    """Return training accuracy minus validation accuracy at the kept epoch, -1–1; None if it is not known."""
    if curves is None:
        return None
    epoch = curves.kept_epoch or (curves.last_epoch if curves.kept != "probe" else None)
    return None if epoch is None else curves.curves["gap/acc"].at(epoch)


def believable(metrics: Mapping[str, Any]) -> bool:
    """Return whether confidences can be believed: on average, and where the model is not sure.

    The calibration error must be below ten points at the upper end of its interval, and the accuracy of at least 20
    answers below 90 % must agree with their mean confidence. A good model has few of these, and an error over all
    answers hardly sees them.
    """
    interval, below = metrics.get("ece_bootstrap95"), metrics.get("below_sure")
    if interval is None or below is None or below["n"] < FEW:
        return False
    return bool(interval[1] <= _GAP) and _holds(below)


def _holds(below: Mapping[str, Any]) -> bool:
    low, high = below["accuracy_ci95"]
    return bool(low <= below["confidence"] <= high)


def _good(evaluation: Evaluation, operating: OperatingPoint | None, gap: float | None) -> Sequence[str]:
    answers, metrics = evaluation.answers, evaluation.metrics
    found: list[str] = []
    recalls = _recalls(answers)
    if recalls and recalls[-1][1].value >= 0.9:
        name, recall = recalls[-1]
        found.append(f"Best at {name}: {recall.right} of {counted(recall.n, 'photo')} recognised.")
    if operating is not None and operating.accuracy is not None and operating.threshold > 0:
        if operating.accuracy.value >= operating.target_accuracy and operating.coverage.value >= _MUCH:
            found.append(
                f"With the threshold of “unsure”, {percent(operating.accuracy.value)} of its answers are right, and "
                f"{percent(operating.coverage.value)} of the photos are still answered."
            )
    else:
        sure = Share.of(answers.correct[answers.confidence >= SURE])
        if sure and sure.n >= FEW and sure.value >= SURE:
            found.append(
                f"Of the {counted(sure.n, 'answer')} with a confidence of at least 90 %, {percent(sure.value)} are "
                "right."
            )
    rejected = metrics["rejection"]
    if rejected and rejected["none"] >= _ENOUGH and rejected["none_called_none"] >= 0.8 * rejected["none"]:
        found.append(rejection_sentence(rejected))
    if believable(metrics):
        low, high = metrics["ece_bootstrap95"]
        below = metrics["below_sure"]
        found.append(
            f"Its confidences can be believed: they are off by {points(metrics['ece'])} on average (95 % interval "
            f"{100 * low:.1f}–{100 * high:.1f}), and of the {counted(below['n'], 'answer')} below 90 %, "
            f"{percent(below['accuracy'])} are right where {percent(below['confidence'])} are expected."
        )
    if gap is not None and gap <= 0.03 and len(answers) >= FEW:
        found.append("It hardly overfits: validation accuracy is close to training accuracy.")
    return found


def _wrong(
    evaluation: Evaluation, pairs: Sequence[Pair], operating: OperatingPoint | None, gap: float | None, groups: Slices
) -> Sequence[str]:
    answers, names, metrics = evaluation.answers, evaluation.answers.class_names, evaluation.metrics
    found: list[str] = []
    if pairs:
        pair = pairs[0]
        first, second = shown(names[pair.first]), shown(names[pair.second])
        back = f", and {second} with {first} {_times(pair.back)}" if pair.back else ""
        found.append(f"It confuses {first} with {second} {_times(pair.errors)}{back}.")
    recalls = _recalls(answers)
    if len(recalls) > 1 and recalls[0][1].value < min(0.95, recalls[-1][1].value):
        name, recall = recalls[0]
        found.append(f"Weakest at {name}: {recall.n - recall.right} of {counted(recall.n, 'photo')} missed.")
    sure = int((~answers.correct & (answers.confidence >= SURE)).sum())
    if sure:
        found.append(f"{counted(sure, 'error')} with a confidence of at least 90 %.")
    below = metrics.get("below_sure")
    if below and below["n"] >= FEW and not _holds(below):
        found.append(
            f"Its doubts are not to be believed: of the {counted(below['n'], 'answer')} with a confidence below 90 %, "
            f"{percent(below['accuracy'])} are right where {percent(below['confidence'])} are expected."
        )
    if operating is not None and operating.coverage.value < _LITTLE:
        unsure = percent(1 - operating.coverage.value)
        found.append(f"The target accuracy costs much coverage: {unsure} of the photos are answered “unsure”.")
    if gap is not None and gap >= _GAP:
        found.append(f"It overfits: training accuracy is {points(gap)} above validation accuracy.")
    rejected = metrics["rejection"]
    if rejected and (not rejected["none"] or rejected["none_called_none"] < 0.8 * rejected["none"]):
        found.append(rejection_sentence(rejected))
    if rejected is None and set(names) & {move.name for move in MOVES}:
        found.append(
            "It has no class for photos without a move: to each it answers one of the moves. Train with --data.court "
            "300, or with photos in a class folder none."
        )
    accuracy = metrics["accuracy"]
    # As bad by chance in one of twenty splits with as many groups (Bonferroni).
    weak = [
        (name, share)
        for name, share in groups.rows
        if binom.cdf(share.right, share.n, accuracy) * len(groups.rows) < 0.05
    ]
    if weak and weak[0][0]:
        name, share = weak[0]
        found.append(f"Group {name} stands out: {share.right} of {counted(share.n, 'photo')} right.")
    per_class = metrics["per_class"].items()
    # What is not known of none stands above.
    absent = [shown(name) for name, figures in per_class if figures["support"] == 0 and name != NO_MOVE.name]
    if absent:
        more = f" and {len(absent) - 5} others" if len(absent) > 5 else ""
        found.append(f"No photo of {listed(absent[:5])}{more} in this split: nothing is known about it.")
    return found


def _advice(evaluation: Evaluation, pairs: Sequence[Pair], selection: Selection, gap: float | None) -> Sequence[str]:
    metrics, names = evaluation.metrics, evaluation.answers.class_names
    found: list[str] = []
    if selection.all_doubtful:
        found.append(f"Check {counted(selection.all_doubtful, 'doubtful label')}.")
    if pairs and pairs[0].both >= 3:
        first, second = shown(names[pairs[0].first]), shown(names[pairs[0].second])
        found.append(f"Add training photos of {first} and {second}, above all where the two look alike.")
    (low, high), _ = leading_interval(metrics)
    if high - low > 0.1:
        # A share's interval is about 4 sqrt(p (1 - p) / n) wide; 8 points are enough to tell good from very good.
        share = min(max(metrics["accuracy"], 0.1), 0.9)
        wanted = int(np.ceil(16 * share * (1 - share) / 0.08**2 / 50) * 50)
        found.append(
            f"Test on more photos, about {thousands(wanted)}: so far the accuracy is known to ±{50 * (high - low):.0f} "
            "points."
        )
    if not metrics.get("groups"):
        found.append(
            "Fill in the column group of photos.csv: until the album, game or clip of each photo is known, look-alikes "
            "may be in training and test and make the figures too good."
        )
    if gap is not None and gap >= _GAP:
        found.append("Against overfitting: more photos of other games, or --data.augment heavy.")
    if evaluation.calibration is None:
        found.append("Calibrate: validation photos give reliable confidences and a threshold of “unsure”.")
    if not found:
        found.append("Try it on photos of a league that it has never seen.")
    return found


def _recalls(answers: Answers) -> list[tuple[str, Share]]:
    """Return display name and recall of the classes with enough photos, the worst first."""
    recalls = []
    for label, name in enumerate(answers.class_names):
        recall = Share.of(answers.correct[answers.targets == label])
        if recall and recall.n >= _ENOUGH:
            recalls.append((shown(name), recall))
    return sorted(recalls, key=lambda row: (row[1].value, row[1].interval[1], row[0]))


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{thousands(number)} times")
