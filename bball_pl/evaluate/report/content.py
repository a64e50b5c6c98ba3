"""Content of a report in words and numbers, computed once for every form of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import CALIBRATION_BINS, Slices, by_group, by_source, probability_figures, wilson
from bball_pl.evaluate.predictions import Selection, select
from bball_pl.evaluate.report.confidence import Bin, Operating, operate, reliability
from bball_pl.evaluate.report.curves import LearningCurves, read_curves
from bball_pl.evaluate.report.facts import Beside, Facts, beside_2018, collect_facts
from bball_pl.evaluate.report.findings import Findings, Pair, confused_pairs, find
from bball_pl.evaluate.report.remarks import (
    NONE,
    about_confidence,
    about_learning,
    counted,
    decimal_interval,
    decimals,
    percent,
    percents,
    points,
    shown,
    thousands,
)

#: With fewer groups a bootstrap over them comes out too narrow, and with very few it is nothing but wrong.
FEW_GROUPS, FEWEST_GROUPS = 20, 5


@dataclass(frozen=True)
class Tile:
    """A key figure: what it is, its value, and what has to be known with it."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class ClassRow:
    """The figures of one class.

    Attributes:
        name: as it is shown.
        support: photos with this label.
        said: answers with this class.
        recall: share of the former that is found, 0–1.
        recall_interval: 95 % Wilson interval; None without photos.
        precision: share of the latter that is right, 0–1.
        precision_interval: 95 % Wilson interval; None without answers.
        f1: of both, 0–1.
        f1_interval: 95 % bootstrap interval; None if no resample had it.
        taken: the class that it is most often taken for, and how often.
    """

    name: str
    support: int
    said: int
    recall: float
    recall_interval: list[float] | None
    precision: float
    precision_interval: list[float] | None
    f1: float
    f1_interval: list[float] | None
    taken: str


@dataclass(frozen=True)
class Content:
    """Everything that a report says.

    Attributes:
        evaluation: what it is about.
        title: run or checkpoint.
        names: display names of the classes.
        findings: sentences for a coach.
        tiles: key figures.
        beside: the result of 2018; None unless the classes are the three moves.
        matrix: int64 `[classes, classes]`, a row per true class.
        pairs: classes that are taken for each other, the most errors first.
        selection: rows to show.
        before: bins at temperature 1; None if nothing was calibrated.
        after: bins of the answers.
        probability: rows of name, before, after for the figures of the confidences.
        operating: what the threshold does; None without one.
        unsure: sentences about it.
        curves: of the run; None if there are none.
        learning: sentences about them.
        sources: the split by source.
        groups: the split by group.
        facts: dataset, settings, versions, commands.
    """

    evaluation: Evaluation
    title: str
    names: list[str]
    findings: Findings
    tiles: list[Tile]
    beside: Beside | None
    matrix: np.ndarray
    pairs: list[Pair]
    selection: Selection
    before: list[Bin] | None
    after: list[Bin]
    probability: list[tuple[str, str, str]]
    operating: Operating | None
    unsure: list[str]
    curves: LearningCurves | None
    learning: list[str]
    sources: Slices
    groups: Slices
    facts: Facts


def collect(evaluation: Evaluation) -> Content:
    """Compute what a report says of an evaluation of one photo or more."""
    answers = evaluation.answers
    selection, groups = select(answers), by_group(answers)
    operating = operate(answers, evaluation.calibration)
    curves = None if evaluation.run is None else read_curves(evaluation.run, evaluation.checkpoint)
    matrix = np.zeros((len(answers.class_names),) * 2, np.int64)
    np.add.at(matrix, (answers.targets, answers.predicted), 1)
    calibrated = evaluation.calibration is not None
    return Content(
        evaluation=evaluation,
        title=_title(evaluation),
        names=[shown(name) for name in answers.class_names],
        findings=find(evaluation, selection, operating, curves, groups),
        tiles=_tiles(evaluation, operating),
        beside=beside_2018(answers),
        matrix=matrix,
        pairs=confused_pairs(answers),
        selection=selection,
        before=reliability(evaluation.uncalibrated, answers.targets) if calibrated else None,
        after=reliability(answers.probabilities, answers.targets),
        probability=_probability(evaluation),
        operating=operating,
        unsure=about_confidence(evaluation, operating),
        curves=curves,
        learning=about_learning(evaluation, curves),
        sources=by_source(answers, evaluation.sources),
        groups=groups,
        facts=collect_facts(evaluation),
    )


def _title(evaluation: Evaluation) -> str:
    run = evaluation.run
    return evaluation.checkpoint.name if run is None else f"{run.absolute().parent.name}/{run.absolute().name}"


def _tiles(evaluation: Evaluation, operating: Operating | None) -> list[Tile]:
    metrics, answers = evaluation.metrics, evaluation.answers
    groups = metrics.get("groups", 0)
    right, photos = thousands(int(answers.correct.sum())), counted(len(answers), "photo")
    note = f"95 % interval {percents(metrics['accuracy_ci95'])}; {right} of {photos}"
    tiles = [Tile("Accuracy", percent(metrics["accuracy"]), note)]
    if groups:
        note = f"95 % interval from {counted(groups, 'group')}" + (
            "; so few make it rough" if groups < FEW_GROUPS else ""
        )
        if groups < FEWEST_GROUPS:
            note = f"{counted(groups, 'group')}: too few for an interval by group"
        interval = percents(_bootstrapped(metrics, "accuracy"))
        tiles.append(Tile("Accuracy, drawn by group", interval, note))
    own = {name: figures for name, figures in metrics["per_class"].items() if figures["support"]}
    worst = min(own, key=lambda name: (own[name]["recall"], name))
    found = round(own[worst]["recall"] * own[worst]["support"])
    of = f"{shown(worst)}: {thousands(found)} of {thousands(own[worst]['support'])} recognised"
    tiles.append(Tile("Weakest class", percent(own[worst]["recall"]), of))
    f1_interval = _bootstrapped(metrics, "macro_f1")
    note = "" if f1_interval is None else f"95 % interval {decimal_interval(f1_interval)}; "
    tiles.append(Tile("Macro F1", decimals(metrics["macro_f1"]), f"{note}mean over the classes"))
    change = ""
    if evaluation.calibration is not None:
        before = probability_figures(evaluation.uncalibrated, answers.targets)["ece"]
        change = f", {points(before)} before calibration"
    tiles.append(Tile("Confidence is off by", points(metrics["ece"]), f"calibration error (ECE){change}"))
    if operating is not None and operating.accuracy is not None and operating.threshold > 0:
        note = f"are answered, {percent(operating.accuracy)} of them rightly; the app says “unsure” to the rest"
        tiles.append(Tile("Sure enough to answer", percent(operating.coverage), note))
    return tiles


def _bootstrapped(metrics: Mapping[str, Any], figure: str, own: Mapping[str, Any] | None = None) -> list[float] | None:
    """Return the bootstrap interval of a figure, of a class where `own` is given; None if it would mislead."""
    if 0 < metrics.get("groups", 0) < FEWEST_GROUPS:
        return None
    interval: list[float] | None = (metrics if own is None else own).get(f"{figure}_bootstrap95")
    return interval


def _probability(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    before = probability_figures(evaluation.uncalibrated, evaluation.answers.targets)
    figures = (
        (f"calibration error (ECE, {CALIBRATION_BINS} bins)", "ece"),
        ("negative log-likelihood, nats", "nll"),
        ("Brier score, 0–2", "brier"),
    )
    calibrated = evaluation.calibration is not None
    return [
        (name, decimals(before[key]) if calibrated else NONE, decimals(evaluation.metrics[key]))
        for name, key in figures
    ]


def class_rows(content: Content) -> list[ClassRow]:
    """Return the figures of each class, in the order of the classes."""
    rows, matrix = [], content.matrix
    for label, own in enumerate(content.evaluation.metrics["per_class"].values()):
        support, said, right = int(matrix[label].sum()), int(matrix[:, label].sum()), int(matrix[label, label])
        mistaken = matrix[label].copy()
        mistaken[label] = 0
        most = int(mistaken.argmax())
        rows.append(
            ClassRow(
                name=content.names[label],
                support=support,
                said=said,
                recall=own["recall"],
                recall_interval=wilson(right, support) if support else None,
                precision=own["precision"],
                precision_interval=wilson(right, said) if said else None,
                f1=own["f1"],
                f1_interval=_bootstrapped(content.evaluation.metrics, "f1", own),
                taken=f"{content.names[most]} ({mistaken[most]})" if mistaken[most] else NONE,
            )
        )
    return rows
