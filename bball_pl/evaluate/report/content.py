"""Content of a report in words and numbers, computed once for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bball_pl.evaluate.calibration import Bin, OperatingPoint, operating_point, reliability
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.metrics import (
    FEW_GROUPS,
    FEWEST_GROUPS,
    Share,
    Slices,
    by_group,
    by_source,
    leading_interval,
)
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
    decimal_interval,
    decimals,
    percent,
    percents,
    points,
    shown,
)
from bball_pl.model.calibration_error import CALIBRATION_BINS
from bball_pl.wording import Language, counted, picked, thousands


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
        language: of the coach's page.
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
    language: Language
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


def collect(evaluation: Evaluation, language: Language = "en") -> Content:
    """Compute the content of the report on an evaluation of one photo or more.

    Args:
        evaluation: the evaluation.
        language: of the coach's page: origin, findings and tiles.
    """
    answers = evaluation.answers
    selection, groups = select(answers), by_group(answers)
    operating = operating_point(answers, evaluation.calibration)
    curves = None if evaluation.run is None else read_curves(evaluation.run, evaluation.checkpoint)
    calibrated = evaluation.calibration is not None
    overall, _ = leading_interval(evaluation.metrics)
    relabelled = evaluation.metrics.get("relabelled")
    first = evaluation.origin.lines(language)
    if relabelled:
        first.append(relabelling_sentence(relabelled, language))
    return Content(
        evaluation=evaluation,
        title=_title(evaluation),
        names=[shown(name) for name in answers.class_names],
        language=language,
        origin=first,
        findings=find(evaluation, selection, operating, curves, groups, language),
        tiles=_tiles(evaluation, operating, language),
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


def _tiles(evaluation: Evaluation, operating: OperatingPoint | None, language: Language) -> list[Tile]:
    say = picked(language)
    metrics, answers = evaluation.metrics, evaluation.answers
    right, n = int(answers.correct.sum()), len(answers)
    interval, groups = leading_interval(metrics)
    drawn = own_drawn = ""
    if groups:
        single = percents(metrics["accuracy_ci95"])
        rough, own_rough = (", rough with so few", "，組數少，只是大概") if groups < FEW_GROUPS else ("", "")
        drawn = f" by {counted(groups, 'group')}{rough} ({single} by photo)"
        own_drawn = f"，依 {groups} 組{own_rough}（依照片 {single}）"
    elif metrics.get("groups"):
        drawn = f" by photo: {counted(metrics['groups'], 'group')} are too few to draw by"
        own_drawn = f"，依照片：{metrics['groups']} 組太少"
    tiles = [
        Tile(
            say("Accuracy", "準確率"),
            percent(metrics["accuracy"]),
            say(
                f"95 % interval {percents(interval)}{drawn}; {thousands(right)} of {counted(n, 'photo')}",
                f"95 % 區間 {percents(interval)}{own_drawn}；{thousands(n)} 張對 {thousands(right)} 張",
            ),
        ),
        Tile(
            say("Chance", "亂猜"),
            percent(metrics["chance"]),
            say("right, if the most frequent class is answered every time", "每次都答最常見的那一類時的準確率"),
        ),
    ]
    if spread := metrics.get("seeds"):
        note = say(
            f"accuracies of {spread['runs']} runs that differ in the seed alone; mean {percent(spread['mean'])}, "
            f"standard deviation {points(spread['deviation'])}",
            f"{spread['runs']} 次只差亂數種子的訓練；平均 {percent(spread['mean'])}，"
            f"標準差 {100 * spread['deviation']:.1f} 個百分點",
        )
        tiles.append(Tile(say("Seeds", "亂數種子"), percents([spread["low"], spread["high"]]), note))
    recalls = {
        shown(name): recall
        for label, name in enumerate(answers.class_names)
        if (recall := Share.of(answers.correct[answers.targets == label]))
    }
    weakest = min(recalls, key=lambda name: (recalls[name].value, name))
    recall = recalls[weakest]
    of = thousands(recall.right), thousands(recall.n)
    note = say(f"{weakest}: {of[0]} of {of[1]} recognised", f"{weakest}：{of[1]} 張認出 {of[0]} 張")
    tiles.append(Tile(say("Weakest class", "最弱的類別"), percent(recall.value), note))
    f1_interval = _bootstrapped(metrics, metrics, "macro_f1")
    note = own_note = ""
    if f1_interval is not None:
        note = f"95 % interval {decimal_interval(f1_interval)}; "
        own_note = f"95 % 區間 {decimal_interval(f1_interval)}；"
    note = say(f"{note}mean over the classes", f"{own_note}各類的平均")
    tiles.append(Tile("Macro F1", decimals(metrics["macro_f1"]), note))
    change = own_change = ""
    if ends := _bootstrapped(metrics, metrics, "ece"):
        low, high = (f"{100 * end:.1f}" for end in ends)
        change, own_change = f", 95 % interval {low}–{high}", f"，95 % 區間 {low}–{high}"
    if evaluation.calibration is not None:
        before = metrics["uncalibrated"]["ece"]
        change += f", {points(before)} before calibration"
        own_change += f"，校準前 {100 * before:.1f}"
    tiles.append(
        Tile(
            say("Calibration error", "信心的誤差"),
            say(points(metrics["ece"]), f"{100 * metrics['ece']:.1f} 個百分點"),
            say(f"expected calibration error (ECE){change}", f"期望校準誤差（ECE）{own_change}"),
        )
    )
    if operating is not None and operating.accuracy is not None and operating.threshold > 0:
        accuracy = percent(operating.accuracy.value)
        note = say(
            f"answered, {accuracy} of those correct; the app says “unsure” to the rest",
            f"的照片有回答，其中 {accuracy} 是對的；其餘 App 答「不確定」",
        )
        tiles.append(Tile(say("Coverage", "有回答的"), percent(operating.coverage.value), note))
    if evaluation.weights:
        size, millions = f"{4e-6 * evaluation.weights:.1f} MB", f"{evaluation.weights / 1e6:.1f}"
        speed = f"{n / max(evaluation.seconds, 1e-9):.0f}"
        note = say(
            f"{millions} million weights of 32 bits, half of it as a phone file; {speed} photos per second here, "
            "decoding included",
            f"{millions} 百萬個 32 位元權重，手機檔是一半；這台電腦每秒 {speed} 張，含讀檔",
        )
        tiles.append(Tile(say("Model", "模型"), size, note))
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
