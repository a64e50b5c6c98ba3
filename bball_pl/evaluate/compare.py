"""Comparison of two models on the same photos: differences with intervals, McNemar's test, changed answers."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text
from scipy.stats import binomtest

from bball_pl.evaluate.metrics import group_index, losses, percentile_interval, resampled_sums, table_figures
from bball_pl.evaluate.predictions import Answers, in_order_of
from bball_pl.files import write_text

Change = Literal["only A right", "only B right", "both wrong"]
#: In the order in which changed answers are listed.
CHANGES: tuple[Change, ...] = ("only A right", "only B right", "both wrong")


@dataclass(frozen=True)
class Difference:
    """One figure of two models on the same photos.

    Attributes:
        a: figure of model A.
        b: figure of model B.
        difference: figure of B minus figure of A.
        interval95: paired bootstrap interval of the difference as [low, high]; None if there is only one group to draw.
    """

    a: float
    b: float
    difference: float
    interval95: list[float] | None


@dataclass(frozen=True)
class ChangedAnswer:
    """A photo that the two models answer differently; the attributes are the columns of `changed.csv`.

    Attributes:
        path: path of the photo below the dataset's root.
        class_name: the true class.
        predicted_a: answer of model A.
        predicted_b: answer of model B.
        confidence_a: confidence of A's answer, 0–1.
        confidence_b: confidence of B's answer, 0–1.
        change: the model that is right, if any.
    """

    path: str
    class_name: str
    predicted_a: str
    predicted_b: str
    confidence_a: float
    confidence_b: float
    change: Change


@dataclass(frozen=True)
class Comparison:
    """Comparison of two models on the same photos.

    Attributes:
        name_a: name of model A, the reference, such as its run.
        name_b: name of model B, the candidate.
        n: number of photos.
        groups: number of named groups; 0 if none are known, and photos were drawn one by one.
        accuracy: shares of right answers, 0–1.
        macro_f1: over the classes that have photos, 0–1.
        nll: in nats; less is better.
        only_a: McNemar's b, the number of photos that only A has right.
        only_b: McNemar's c, the number of photos that only B has right.
        p_value: p-value of McNemar's exact two-sided test.
        changed: photos with different answers: those that only A has right, then those that only B has right, then
            those that both have wrong.
    """

    name_a: str
    name_b: str
    n: int
    groups: int
    accuracy: Difference
    macro_f1: Difference
    nll: Difference
    only_a: int
    only_b: int
    p_value: float
    changed: list[ChangedAnswer]

    @property
    def winner(self) -> Literal["A", "B"] | None:
        """The model with the higher accuracy, if both the test (p < 0.05) and the interval show a difference.

        Each has a weakness: the test assumes independent photos, and the percentile interval is a little too narrow
        with few photos.
        """
        if not (self._interval_decides and self.p_value < 0.05):
            return None
        return "B" if self.accuracy.difference > 0 else "A"

    @property
    def agrees(self) -> bool:
        """Whether interval and test agree on a difference; True without an interval."""
        return self.accuracy.interval95 is None or self._interval_decides == (self.p_value < 0.05)

    @property
    def _interval_decides(self) -> bool:
        interval = self.accuracy.interval95
        return interval is not None and not interval[0] <= 0 <= interval[1]


#: Changed photos that the terminal shows; the file has all.
_SHOWN = 10


def compare_answers(a: Answers, b: Answers, name_a: str, name_b: str) -> Comparison:
    """Compare two models on the same photos; the order of photos and of classes may differ.

    The intervals are paired: every resample draws the same photos for both models, whole groups of them where the
    tables name groups (those of A, or of B if A has none), and takes the difference of the two figures. Source: Efron
    (1979), Annals of Statistics 7, for the bootstrap; Efron (1981), Canadian Journal of Statistics 9, for its
    percentile interval.

    The p-value is computed from the photos that exactly one model has right: if the models were equally good, each
    would have half of them. Source: McNemar (1947), Psychometrika 12, with the exact binomial distribution.

    Args:
        a: answers to one photo or more.
        b: answers to the same photos.
        name_a: name of model A, for messages and tables.
        name_b: name of model B.

    Raises:
        DatasetError: if the photos, their labels or the classes differ, as in `in_order_of`.
    """
    b = in_order_of(a, b, name_a, name_b)
    groups = a.groups if any(a.groups) else b.groups
    differences = _differences(a, b, group_index(a.paths, groups))
    only_a, only_b = int((a.correct & ~b.correct).sum()), int((b.correct & ~a.correct).sum())
    decided = only_a + only_b
    return Comparison(
        name_a=name_a,
        name_b=name_b,
        n=len(a),
        groups=len({group for group in groups if group}),
        accuracy=differences["accuracy"],
        macro_f1=differences["macro_f1"],
        nll=differences["nll"],
        only_a=only_a,
        only_b=only_b,
        p_value=float(binomtest(only_b, decided).pvalue) if decided else 1.0,
        changed=_changed(a, b),
    )


def comparison_table(comparison: Comparison) -> Group:
    """Return a verdict on the accuracy, the figures of both models, and the first changed answers."""
    c = comparison
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for heading in ("", "A", "B", "B - A", "95 % interval"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, figure, scale, digits in (
        ("accuracy, %", c.accuracy, 100, 1),
        ("macro F1", c.macro_f1, 1, 3),
        ("NLL (less is better)", c.nll, 1, 3),
    ):
        cells = [f"{value * scale:.{digits}f}" for value in (figure.a, figure.b)]
        table.add_row(name, *cells, _signed(figure.difference * scale, digits), _interval(figure, scale, digits))
    drawn = f"The interval is drawn by {c.groups} groups; p assumes independent photos.\n" if c.groups else ""
    both_wrong = len(c.changed) - c.only_a - c.only_b
    counts = f"only A right {c.only_a}, only B right {c.only_b}, both wrong but differently {both_wrong}"
    parts: list[Text | Table] = [
        Text(_sentence(c), style="bold"),
        Text(f"A: {c.name_a}\nB: {c.name_b}\nphotos: {c.n}", overflow="fold"),
        table,
        Text(f"{drawn}answers that changed: {len(c.changed)} ({counts})"),
    ]
    if c.changed:
        parts.append(_changed_table(c.changed))
    if len(c.changed) > _SHOWN:
        parts.append(Text(f"… and {len(c.changed) - _SHOWN} more in changed.csv"))
    return Group(*parts)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return the attributes as plain values, the number of changed answers by kind, and `winner`."""
    kinds = Counter(row.change for row in comparison.changed)
    counts = {"changed": {kind: kinds[kind] for kind in CHANGES}, "winner": comparison.winner}
    return asdict(replace(comparison, changed=[])) | counts


def write_comparison(folder: str | os.PathLike[str], comparison: Comparison) -> None:
    """Write `comparison.json` and `changed.csv` into a folder, each atomically.

    The table has the columns `path,class,<A>,<B>,confidence_a,confidence_b,change`, with the models' names for <A>
    and <B>, and a row per photo with different answers; `change` is `only A right`, `only B right` or `both wrong`.
    """
    names = [comparison.name_a, comparison.name_b]
    if names[0] == names[1]:
        names = [f"{names[0]} (A)", f"{names[1]} (B)"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "class", *names, "confidence_a", "confidence_b", "change"])
    for row in comparison.changed:
        confidences = [f"{row.confidence_a:.6f}", f"{row.confidence_b:.6f}"]
        writer.writerow([row.path, row.class_name, row.predicted_a, row.predicted_b, *confidences, row.change])
    write_text(Path(folder) / "changed.csv", text.getvalue())
    figures = json.dumps(comparison_json(comparison), indent=2, ensure_ascii=False)
    write_text(Path(folder) / "comparison.json", figures + "\n")


def _differences(a: Answers, b: Answers, groups: np.ndarray) -> dict[str, Difference]:
    # Confusion matrices and losses of both models in one array: every resample has the same photos for both.
    classes = len(a.class_names)
    cells = np.eye(classes**2)
    columns = [(cells[answers.targets * classes + answers.predicted], _losses(answers)) for answers in (a, b)]
    values = np.concatenate([*columns[0], *columns[1]], axis=1)
    # The first row is not resampled.
    sums = np.concatenate([values.sum(0, keepdims=True), resampled_sums(values, groups)])
    figures_a, figures_b = (_figures(half, classes) for half in np.split(sums, 2, axis=1))
    return {
        name: Difference(
            a=float(figures_a[name][0]),
            b=float(figures_b[name][0]),
            difference=float(figures_b[name][0] - figures_a[name][0]),
            interval95=percentile_interval(figures_b[name][1:] - figures_a[name][1:]),
        )
        for name in figures_a
    }


def _losses(answers: Answers) -> np.ndarray:
    return losses(answers.probabilities, answers.targets)[:, None]


def _figures(sums: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Return figures of resamples, `[R]` each: a row of `[R, classes² + 1]` is a confusion matrix and the loss."""
    tables = sums[:, :-1].reshape(-1, classes, classes)
    figures = table_figures(tables)
    return {
        "accuracy": figures["accuracy"],
        "macro_f1": figures["macro_f1"],
        "nll": sums[:, -1] / tables.sum((1, 2)),
    }


def _changed(a: Answers, b: Answers) -> list[ChangedAnswer]:
    rows = np.flatnonzero(a.predicted != b.predicted)
    # 0, 1, 2 as in CHANGES; at most one of two different answers is right.
    kinds = np.where(a.correct[rows], 0, np.where(b.correct[rows], 1, 2))
    return [
        ChangedAnswer(
            a.paths[row],
            a.class_names[a.targets[row]],
            a.class_names[a.predicted[row]],
            a.class_names[b.predicted[row]],
            float(a.confidence[row]),
            float(b.confidence[row]),
            CHANGES[kind],
        )
        for kind, row in sorted(zip(kinds.tolist(), rows.tolist(), strict=True))
    ]


def _sentence(c: Comparison) -> str:
    verdict = f"{c.winner} is better" if c.winner else "No significant difference in accuracy"
    interval = "no interval from one group" if c.groups else "no interval from one photo"
    if c.accuracy.interval95 is not None:
        interval = f"95 % interval {_interval(c.accuracy, 100, 1)}"
    p = f"p = {c.p_value:.2g}" if c.p_value >= 0.001 else "p < 0.001"
    sentence = f"{verdict}: {_signed(c.accuracy.difference * 100, 1)} points ({interval}), {p}."
    return sentence if c.agrees else f"{sentence} Interval and test disagree; a winner needs both."


def _interval(figure: Difference, scale: float, digits: int) -> str:
    if figure.interval95 is None:
        return "–"
    return " to ".join(_signed(end * scale, digits) for end in figure.interval95)


def _signed(value: float, digits: int) -> str:
    # Adding zero removes the sign of a negative zero.
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def _changed_table(changed: list[ChangedAnswer]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for heading in ("photo", "class", "A", "B"):
        table.add_column(heading, overflow="fold")
    for row in changed[:_SHOWN]:
        answers = [f"{row.predicted_a} {row.confidence_a:.0%}", f"{row.predicted_b} {row.confidence_b:.0%}"]
        # As Text: square brackets in a name are not markup.
        table.add_row(*(Text(cell) for cell in (row.path, row.class_name, *answers)))
    return table
