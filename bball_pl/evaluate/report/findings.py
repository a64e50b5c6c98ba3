"""Findings of an evaluation for a coach: the verdict, strengths, weaknesses and next steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import Slices, wilson
from bball_pl.evaluate.predictions import Answers, Selection
from bball_pl.evaluate.report.confidence import Operating
from bball_pl.evaluate.report.curves import LearningCurves
from bball_pl.evaluate.report.remarks import counted, listed, percent, percents, points, shown, thousands

#: With fewer photos an accuracy says next to nothing: at 20 its interval is some 40 points wide.
FEW = 20
#: A class is judged on at least so many photos.
_ENOUGH = 10
#: Answers of at least this confidence are called sure.
_SURE = 0.9
#: A threshold that leaves so many photos answered is a good bargain, one that leaves less than half is a bad one.
_MUCH, _LITTLE = 0.7, 0.5
#: A difference between training and validation accuracy that is worth a remark.
_GAP = 0.1


@dataclass(frozen=True)
class Pair:
    """Two classes that are taken for each other.

    Attributes:
        first: index of the class that is mistaken more often.
        second: index of the other.
        errors: first taken for second.
        back: second taken for first.
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
    """Sentences in plain words; names of classes in them are as they came and must be escaped.

    Attributes:
        verdict: one sentence.
        good: what is good.
        wrong: what is wrong.
        advice: what to do next.
    """

    verdict: str
    good: list[str]
    wrong: list[str]
    advice: list[str]


def confused_pairs(answers: Answers) -> list[Pair]:
    """Return the pairs of classes that are taken for each other, the most errors first."""
    classes = len(answers.class_names)
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (answers.targets, answers.predicted), 1)
    np.fill_diagonal(matrix, 0)
    pairs = []
    for first, second in zip(*np.nonzero(np.triu(matrix + matrix.T)), strict=True):
        way, back = int(matrix[first, second]), int(matrix[second, first])
        more, less = (first, second) if way >= back else (second, first)
        pairs.append(Pair(int(more), int(less), max(way, back), min(way, back)))
    return sorted(pairs, key=lambda pair: (-pair.both, pair.first, pair.second))


def find(
    evaluation: Evaluation,
    selection: Selection,
    operating: Operating | None,
    curves: LearningCurves | None,
    groups: Slices,
) -> Findings:
    """Say what is good, what is wrong and what to do next.

    Args:
        evaluation: of one photo or more.
        selection: of its rows.
        operating: what the threshold does to the split.
        curves: of the run.
        groups: of the split.
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
    """Say in one sentence how good the model is."""
    answers, metrics = evaluation.answers, evaluation.metrics
    n, right = len(answers), int(answers.correct.sum())
    low, high = metrics["accuracy_ci95"]
    photos = counted(n, f"{evaluation.split} photo")
    if n < FEW:
        return f"It is right on {right} of {photos}: too few to say how good it is."
    said, names = np.unique(answers.predicted), answers.class_names
    if len(said) == 1 and len(np.unique(answers.targets)) > 1:
        return f"It answers {shown(names[said[0]])} to every photo: it does not tell the classes apart."
    if right == n:
        return f"It is right on all {photos} (95 % interval {percents([low, high])})."
    often = int(np.bincount(answers.targets).argmax())
    share = float((answers.targets == often).mean())
    sentence = f"It is right on {percent(right / n)} of {photos}"
    if low <= share < 1:
        return f"{sentence}: not surely better than answering {shown(names[often])} every time ({percent(share)})."
    sentence += f" (95 % interval {percents([low, high])})"
    # With two classes all errors are between them.
    if len(names) > 2 and pairs and pairs[0].both >= 3 and pairs[0].both * 3 >= n - right:
        first, second = shown(names[pairs[0].first]), shown(names[pairs[0].second])
        of = f"{thousands(pairs[0].both)} of its {counted(n - right, 'error')}"
        return f"{sentence}, and {of} are between {first} and {second}."
    return f"{sentence}."


def accuracy_gap(curves: LearningCurves | None) -> float | None:
    """Return how much more often training photos are answered rightly than validation photos, at the kept epoch."""
    if curves is None:
        return None
    epoch = curves.kept_epoch or (curves.last_epoch if curves.kept != "probe" else None)
    return None if epoch is None else curves.curves["gap/acc"].at(epoch)


def _good(evaluation: Evaluation, operating: Operating | None, gap: float | None) -> Sequence[str]:
    answers, metrics = evaluation.answers, evaluation.metrics
    found: list[str] = []
    rated = _rated(evaluation)
    if rated and rated[-1][1] >= 0.9:
        name, _, right, support = rated[-1]
        found.append(f"Best at {shown(name)}: {right} of {counted(support, 'photo')} recognised.")
    if operating is not None and operating.accuracy is not None and operating.threshold > 0:
        if operating.accuracy >= operating.target_accuracy and operating.coverage >= _MUCH:
            found.append(
                f"When it may say “unsure”, {percent(operating.accuracy)} of its answers are right, and it still "
                f"answers {percent(operating.coverage)} of the photos."
            )
    else:
        sure = answers.confidence >= _SURE
        if sure.sum() >= FEW and answers.correct[sure].mean() >= _SURE:
            found.append(
                f"Where it is at least 90 % sure, it is right on {percent(float(answers.correct[sure].mean()))} of "
                f"{counted(int(sure.sum()), 'photo')}."
            )
    if len(answers) >= 100 and metrics["ece"] <= 0.05:
        found.append(f"Its confidences can be believed: they are off by {points(metrics['ece'])} on average.")
    if gap is not None and gap <= 0.03 and len(answers) >= FEW:
        found.append("It has hardly learned photos by heart: validation photos go as well as training photos.")
    return found


def _wrong(
    evaluation: Evaluation, pairs: Sequence[Pair], operating: Operating | None, gap: float | None, groups: Slices
) -> Sequence[str]:
    answers, names = evaluation.answers, evaluation.answers.class_names
    found: list[str] = []
    if pairs:
        pair = pairs[0]
        first, second = shown(names[pair.first]), shown(names[pair.second])
        back = f", and {second} for {first} {_times(pair.back)}" if pair.back else ""
        found.append(f"It takes {first} for {second} {_times(pair.errors)}{back}.")
    rated = _rated(evaluation)
    if len(rated) > 1 and rated[0][1] < 0.95 and rated[0][1] < rated[-1][1]:
        name, _, right, support = rated[0]
        found.append(f"Weakest at {shown(name)}: {support - right} of {counted(support, 'photo')} missed.")
    sure = int((~answers.correct & (answers.confidence >= _SURE)).sum())
    if sure:
        found.append(f"{counted(sure, 'error')} came with a confidence of at least 90 %.")
    if operating is not None and operating.coverage < _LITTLE:
        unsure = percent(1 - operating.coverage)
        found.append(f"To be as right as promised, it has to say “unsure” to {unsure} of the photos.")
    if gap is not None and gap >= _GAP:
        found.append(f"It knows its training photos better by {points(gap)}: part of them it has by heart.")
    accuracy = evaluation.metrics["accuracy"]
    # So bad by luck in one of twenty splits with as many groups (Bonferroni).
    weak = [part for part in groups.rows if binom.cdf(part.right, part.n, accuracy) * len(groups.rows) < 0.05]
    if weak and weak[0].name:
        found.append(f"Group {weak[0].name} stands out: {weak[0].right} of {counted(weak[0].n, 'photo')} right.")
    absent = [shown(name) for name, own in evaluation.metrics["per_class"].items() if own["support"] == 0]
    if absent:
        more = f" and {len(absent) - 5} others" if len(absent) > 5 else ""
        found.append(f"No photo of {listed(absent[:5])}{more} in this split: nothing is known about it.")
    return found


def _advice(evaluation: Evaluation, pairs: Sequence[Pair], selection: Selection, gap: float | None) -> Sequence[str]:
    metrics, names = evaluation.metrics, evaluation.answers.class_names
    found: list[str] = []
    if selection.all_doubtful:
        number = "photo" if selection.all_doubtful == 1 else counted(selection.all_doubtful, "photo")
        found.append(f"Look at the {number} whose label is in doubt.")
    if pairs and pairs[0].both >= 3:
        first, second = shown(names[pairs[0].first]), shown(names[pairs[0].second])
        found.append(f"Add training photos of {first} and {second}, most of all where the two look alike.")
    low, high = metrics["accuracy_ci95"]
    if high - low > 0.1:
        # A share's interval is about 4 sqrt(p (1 - p) / n) wide; 8 points are enough to tell good from very good.
        share = min(max(metrics["accuracy"], 0.1), 0.9)
        wanted = int(np.ceil(16 * share * (1 - share) / 0.08**2 / 50) * 50)
        found.append(
            f"Test on more photos, {thousands(wanted)} or so: so far the accuracy is known to ±{50 * (high - low):.0f} "
            "points."
        )
    if not metrics.get("groups"):
        found.append(
            "Fill in the column group of photos.csv: until the album, game or clip of each photo is known, look-alikes "
            "may be in training and test, and the figures too good."
        )
    if gap is not None and gap >= _GAP:
        found.append("Against learning by heart: more photos of other games, or --data.augment heavy.")
    if evaluation.calibration is None:
        found.append("Calibrate: with validation photos, confidences and a threshold for “unsure” can be had.")
    if not found:
        found.append("Try it on photos of a league that it has never seen.")
    return found


def _rated(evaluation: Evaluation) -> list[tuple[str, float, int, int]]:
    """Return name, recall, right answers and photos of the classes with enough photos, the worst first."""
    answers = evaluation.answers
    rated = []
    for label, name in enumerate(answers.class_names):
        mine = answers.targets == label
        if mine.sum() >= _ENOUGH:
            right, support = int(answers.correct[mine].sum()), int(mine.sum())
            rated.append((name, right / support, right, support))
    return sorted(rated, key=lambda row: (row[1], wilson(row[2], row[3])[1], row[0]))


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{thousands(number)} times")
