"""Content of a report in words and numbers, computed once for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bball_pl.evaluate.calibration import Bin, OperatingPoint, operating_point, reliability
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import (
    CALIBRATION_BINS,
    FEW_GROUPS,
    FEWEST_GROUPS,
    Share,
    Slices,
    by_group,
    by_source,
    leading_interval,
)
from bball_pl.evaluate.origin import origin_of
from bball_pl.evaluate.predictions import Selection, select
from bball_pl.evaluate.relabelled import relabelling_sentence
from bball_pl.evaluate.report.curves import LearningCurves, read_curves
from bball_pl.evaluate.report.facts import Baseline, Facts, baseline_2018, collect_facts
from bball_pl.evaluate.report.findings import Findings, Pair, confused_pairs, find
from bball_pl.evaluate.report.remarks import (
    NONE,
    about_confidence,
    about_learning,
    about_slices,
    counted,
    decimal_interval,
    decimals,
    percent,
    percents,
    points,
    shown,
    thousands,
)


@dataclass(frozen=True)
class Tile:
    """A key figure: its name, its value, and a note to read with it."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class ClassRow:
    """Figures of one class.

    Attributes:
        name: display name.
        recall: share of its photos that are recognised; None without photos.
        precision: share of its answers that are right; None without answers.
        f1: harmonic mean of the two, 0–1.
        f1_interval: 95 % bootstrap interval of the F1; None if no resample has it.
        confused_with: the class most often predicted instead, and how often.
    """

    name: str
    recall: Share | None
    precision: Share | None
    f1: float
    f1_interval: list[float] | None
    confused_with: str


@dataclass(frozen=True)
class Content:
    """Content of a report.

    Attributes:
        evaluation: the evaluation.
        title: name of the run or checkpoint.
        names: display names of the classes.
        origin: sentences about rendered scenes among the photos, and about labels that were changed after the training;
            they come first.
        findings: sentences for a coach.
        tiles: key figures.
        baseline: comparison with the result of 2018; None unless the classes are the three moves.
        matrix: confusion matrix, a row per true class.
        classes: figures of each class, in their order.
        pairs: confused classes, the most errors first.
        selection: rows of the answers to show.
        before: reliability at temperature 1; None without a calibration.
        after: reliability of the answers.
        probability: name, value before and value after calibration of the figures of the confidences.
        operating: coverage and accuracy at the threshold; None without one.
        unsure: sentences about the threshold.
        curves: learning curves of the run; None if there are none.
        learning: sentences about the learning curves.
        slices: what they are by, the slices, and a sentence that replaces their table or is empty.
        facts: dataset, settings, versions, commands.
    """

    evaluation: Evaluation
    title: str
    names: list[str]
    origin: list[str]
    findings: Findings
    tiles: list[Tile]
    baseline: Baseline | None
    matrix: list[list[int]]
    classes: list[ClassRow]
    pairs: list[Pair]
    selection: Selection
    before: list[Bin] | None
    after: list[Bin]
    probability: list[tuple[str, str, str]]
    operating: OperatingPoint | None
    unsure: list[str]
    curves: LearningCurves | None
    learning: list[str]
    slices: list[tuple[str, Slices, str]]
    facts: Facts


def collect(evaluation: Evaluation) -> Content:
    """Compute the content of the report on an evaluation of one photo or more."""
    answers = evaluation.answers
    selection, groups = select(answers), by_group(answers)
    operating = operating_point(answers, evaluation.calibration)
    curves = None if evaluation.run is None else read_curves(evaluation.run, evaluation.checkpoint)
    calibrated = evaluation.calibration is not None
    overall, _ = leading_interval(evaluation.metrics)
    relabelled = evaluation.metrics.get("relabelled")
    return Content(
        evaluation=evaluation,
        title=_title(evaluation),
        names=[shown(name) for name in answers.class_names],
        origin=[
            *origin_of(
                evaluation.checkpoint, evaluation.data, [evaluation.sources.get(path, "") for path in answers.paths]
            ).lines,
            *([relabelling_sentence(relabelled)] if relabelled else []),
        ],
        findings=find(evaluation, selection, operating, curves, groups),
        tiles=_tiles(evaluation, operating),
        baseline=baseline_2018(answers),
        matrix=answers.confusion.tolist(),
        classes=_classes(evaluation),
        pairs=confused_pairs(answers),
        selection=selection,
        before=reliability(evaluation.uncalibrated, answers.targets) if calibrated else None,
        after=reliability(answers.probabilities, answers.targets),
        probability=_probability(evaluation),
        operating=operating,
        unsure=about_confidence(evaluation, operating),
        curves=curves,
        learning=about_learning(evaluation, curves),
        slices=[
            (kind, slices, about_slices(slices, kind, overall))
            for kind, slices in (("source", by_source(answers, evaluation.sources)), ("group", groups))
        ],
        facts=collect_facts(evaluation),
    )


def _title(evaluation: Evaluation) -> str:
    run = evaluation.run
    return evaluation.checkpoint.name if run is None else f"{run.absolute().parent.name}/{run.absolute().name}"


def _tiles(evaluation: Evaluation, operating: OperatingPoint | None) -> list[Tile]:
    metrics, answers = evaluation.metrics, evaluation.answers
    right, photos = thousands(int(answers.correct.sum())), counted(len(answers), "photo")
    interval, groups = leading_interval(metrics)
    drawn = ""
    if groups:
        rough = ", rough with so few" if groups < FEW_GROUPS else ""
        drawn = f" by {counted(groups, 'group')}{rough} ({percents(metrics['accuracy_ci95'])} by photo)"
    elif metrics.get("groups"):
        drawn = f" by photo: {counted(metrics['groups'], 'group')} are too few to draw by"
    tiles = [
        Tile(
            "Accuracy", percent(metrics["accuracy"]), f"95 % interval {percents(interval)}{drawn}; {right} of {photos}"
        ),
        Tile("Chance", percent(metrics["chance"]), "right, if the most frequent class is answered every time"),
    ]
    recalls = {
        shown(name): recall
        for label, name in enumerate(answers.class_names)
        if (recall := Share.of(answers.correct[answers.targets == label]))
    }
    weakest = min(recalls, key=lambda name: (recalls[name].value, name))
    recall = recalls[weakest]
    note = f"{weakest}: {thousands(recall.right)} of {thousands(recall.n)} recognised"
    tiles.append(Tile("Weakest class", percent(recall.value), note))
    f1_interval = _bootstrapped(metrics, metrics, "macro_f1")
    note = "" if f1_interval is None else f"95 % interval {decimal_interval(f1_interval)}; "
    tiles.append(Tile("Macro F1", decimals(metrics["macro_f1"]), f"{note}mean over the classes"))
    change = ""
    if evaluation.calibration is not None:
        change = f", {points(metrics['uncalibrated']['ece'])} before calibration"
    if interval_of_error := _bootstrapped(metrics, metrics, "ece"):
        low, high = interval_of_error
        change = f", 95 % interval {100 * low:.1f}–{100 * high:.1f}{change}"
    tiles.append(Tile("Calibration error", points(metrics["ece"]), f"expected calibration error (ECE){change}"))
    if operating is not None and operating.accuracy is not None and operating.threshold > 0:
        note = f"answered, {percent(operating.accuracy.value)} of those correct; the app says “unsure” to the rest"
        tiles.append(Tile("Coverage", percent(operating.coverage.value), note))
    return tiles


def _bootstrapped(metrics: Mapping[str, Any], figures: Mapping[str, Any], name: str) -> list[float] | None:
    """Return the bootstrap interval of one of the figures of a split or class; None if too few groups mislead."""
    if 0 < metrics.get("groups", 0) < FEWEST_GROUPS:
        return None
    interval: list[float] | None = figures.get(f"{name}_bootstrap95")
    return interval


def _probability(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    figures = (
        (f"calibration error (ECE, {CALIBRATION_BINS} bins)", "ece"),
        ("negative log-likelihood, nats", "nll"),
        ("Brier score, 0–2", "brier"),
    )
    metrics, calibrated = evaluation.metrics, evaluation.calibration is not None
    return [
        (name, decimals(metrics["uncalibrated"][key]) if calibrated else NONE, decimals(metrics[key]))
        for name, key in figures
    ]


def _classes(evaluation: Evaluation) -> list[ClassRow]:
    answers, names = evaluation.answers, [shown(name) for name in evaluation.answers.class_names]
    rows = []
    for label, figures in enumerate(evaluation.metrics["per_class"].values()):
        mistakes = answers.confusion[label].copy()
        mistakes[label] = 0
        most = int(mistakes.argmax())
        rows.append(
            ClassRow(
                name=names[label],
                recall=Share.of(answers.correct[answers.targets == label]),
                precision=Share.of(answers.correct[answers.predicted == label]),
                f1=figures["f1"],
                f1_interval=_bootstrapped(evaluation.metrics, figures, "f1"),
                confused_with=f"{names[most]} ({mistakes[most]})" if mistakes[most] else NONE,
            )
        )
    return rows
