"""Figures of a split with their uncertainty: shares with Wilson intervals, bootstrap, slices, and metrics.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bball_pl.evaluate.predictions import Answers
from bball_pl.files import write_text
from bball_pl.model.calibration_error import CALIBRATION_BINS, calibration_error
from bball_pl.moves import NO_MOVE
from bball_pl.wording import Language, picked

#: Bootstrap resamples: another seed moves the ends of a 95 % interval by 0.06 standard errors (root mean square), about
#: a tenth of a point for an accuracy on 300 photos.
RESAMPLES = 2000
#: Confidence of a sure answer.
SURE = 0.9
#: Groups below which a bootstrap interval over them is too narrow, and below which it is not used.
FEW_GROUPS, FEWEST_GROUPS = 20, 5


@dataclass(frozen=True)
class Share:
    """A proportion of photos with its 95 % Wilson interval.

    The interval assumes independent photos: it is too narrow where photos of one game or album resemble each other.

    Example:
        >>> Share(258, 300).value
        0.86

    Source: Wilson (1927), Journal of the American Statistical Association 22, without continuity correction.

    Attributes:
        right: number of photos with the property, such as a right answer; 0 to `n`.
        n: number of photos, 1 or more.
    """

    right: int
    n: int

    @classmethod
    def of(cls, hits: np.ndarray) -> Share | None:
        """Return the share of true values, bool `[N]`; None if N is 0."""
        return cls(int(hits.sum()), len(hits)) if len(hits) else None

    @property
    def value(self) -> float:
        """The proportion, 0–1."""
        return self.right / self.n

    @cached_property
    def interval(self) -> list[float]:
        """Its 95 % Wilson interval as [low, high]."""
        from scipy.stats import binomtest  # half a second to import, which answering photos does not need

        interval = binomtest(self.right, self.n).proportion_ci(0.95, method="wilson")
        return [float(interval.low), float(interval.high)]


def group_index(paths: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """Number the groups from 0, int64 `[N]`; a photo without a group counts as a group.

    The numbers follow the sorted names, so that the order of the photos changes no interval.
    """
    keys = [("group", group) if group else ("photo", path) for path, group in zip(paths, groups, strict=True)]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], np.int64)


def resampled_counts(cells: np.ndarray, number_of_cells: int, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw groups with replacement and count their photos by cell.

    Photos of one game resemble each other: drawing photos one by one would give too narrow intervals. Every figure that
    is a function of counts (accuracy, recall, F1 from the confusion matrix) can be computed from the result.

    Source: Davison and Hinkley (1997), Bootstrap Methods and their Application, section 3.8. With fewer than about
    twenty groups the intervals are still too narrow.

    Args:
        cells: int64 `[N]`, the cell of each photo, such as `true * classes + predicted`.
        number_of_cells: number of cells.
        groups: int64 `[N]`, from `group_index`.
        seed: random seed of the resampling.

    Returns:
        int64 `[RESAMPLES, number_of_cells]`; without rows if there is only one group, which says nothing about others.
    """
    # Sums of whole numbers are exact in float64, and its matrix product is the fast one.
    return resampled_sums(np.eye(number_of_cells)[cells], groups, seed).astype(np.int64)


def resampled_sums(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw groups as `resampled_counts` does and add up figures of their photos, such as losses.

    Columns of two models are drawn together: every resample has the same photos for both.

    Args:
        values: float `[N, figures]`.
        groups: int64 `[N]`, from `group_index`.
        seed: random seed of the resampling.

    Returns:
        float64 `[RESAMPLES, figures]`; without rows if there is only one group.
    """
    number = int(groups.max()) + 1
    sums = np.zeros((number, values.shape[1]))
    np.add.at(sums, groups, values)
    generator = np.random.default_rng(seed)
    # One resample at a time: 2,000 draws of 10,000 photos at once would take 160 MB.
    draws = (generator.integers(number, size=number) for _ in range(RESAMPLES if number > 1 else 0))
    drawn = [np.bincount(draw, minlength=number).astype(np.float64) @ sums for draw in draws]
    return np.array(drawn).reshape(-1, values.shape[1])


def percentile_interval(values: np.ndarray) -> list[float] | None:
    """Return the middle 95 % of resampled figures as [low, high]; None if none is finite.

    Source: Efron (1981), Canadian Journal of Statistics 9, the percentile method.

    Args:
        values: float `[RESAMPLES]` or empty; not-a-number in resamples that the figure cannot be computed from.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    low, high = np.percentile(finite, [2.5, 97.5])
    return [float(low), float(high)]


#: Slices in one table; the rest is pooled in one row.
MOST_ROWS = 20
#: Slices with fewer photos are pooled: one photo says nothing about a game.
FEWEST_PHOTOS = 5


@dataclass(frozen=True)
class Slices:
    """Accuracy by source, album or game.

    Attributes:
        rows: name (empty if not known) and right answers of slices with at least `FEWEST_PHOTOS` photos, at most
            `MOST_ROWS`, sorted by the upper end of the interval: the reliably bad first, not the unlucky.
        small: all slices with fewer photos pooled, and their number; None if there are none.
        rest: all further slices pooled, and their number; None if there are none.
        known: number of slices with a name.
    """

    rows: list[tuple[str, Share]]
    small: tuple[Share, int] | None
    rest: tuple[Share, int] | None
    known: int

    @property
    def parts(self) -> int:
        """Number of all slices; photos without a name form one."""
        return len(self.rows) + sum(pooled[1] for pooled in (self.small, self.rest) if pooled is not None)

    def labelled(self) -> list[tuple[str, Share, bool]]:
        """Return the name, the right answers and whether several slices are pooled, for each row of a table."""
        rows = [(name or "not known", share, False) for name, share in self.rows]
        for pooled, title in ((self.rest, "others"), (self.small, f"others, of fewer than {FEWEST_PHOTOS} photos")):
            if pooled is not None:
                rows.append((f"{pooled[1]} {title}", pooled[0], True))
        return rows


def by_source(answers: Answers, sources: Mapping[str, str]) -> Slices:
    """Slice a split by the source of its photos.

    Args:
        answers: to one photo or more.
        sources: name of the source by path; missing or empty where it is not known.
    """
    return slice_answers([sources.get(path, "") for path in answers.paths], answers.correct)


def by_group(answers: Answers) -> Slices:
    """Slice a split by album, game or clip; `answers` are to one photo or more."""
    return slice_answers(answers.groups or [""] * len(answers), answers.correct)


def slice_answers(names: Sequence[str], correct: np.ndarray) -> Slices:
    """Slice a split by a name of each photo.

    Args:
        names: N names, empty where not known.
        correct: whether each answer is right, bool `[N]`, N of 1 or more.
    """
    counts: dict[str, list[int]] = {}
    for name, right in zip(names, correct.tolist(), strict=True):
        count = counts.setdefault(name, [0, 0])
        count[0] += right
        count[1] += 1
    parts = [(name, Share(right, n)) for name, (right, n) in counts.items()]
    large = [(name, share) for name, share in parts if share.n >= FEWEST_PHOTOS]
    # By the upper end and not by the accuracy: of many small games one is always at 0 % by bad luck.
    large.sort(key=lambda part: (part[1].interval[1], part[1].value, part[0]))
    return Slices(
        rows=large[:MOST_ROWS],
        small=_pooled([share for _, share in parts if share.n < FEWEST_PHOTOS]),
        rest=_pooled([share for _, share in large[MOST_ROWS:]]),
        known=sum(bool(name) for name, _ in parts),
    )


def _pooled(shares: Sequence[Share]) -> tuple[Share, int] | None:
    if not shares:
        return None
    return Share(sum(share.right for share in shares), sum(share.n for share in shares)), len(shares)


def leading_interval(metrics: Mapping[str, Any]) -> tuple[list[float], int]:
    """Return the 95 % interval of the accuracy that stands beside it, and the number of groups it is drawn by.

    That is the interval drawn by group, where there are enough groups, because photos of one game resemble each other.
    No end of it is nearer to the accuracy than that of Wilson's interval: a bootstrap of nothing but right answers has
    no width. Without groups it is Wilson's, and the number is 0.

    Args:
        metrics: as `compute_metrics` returns them.
    """
    low, high = metrics["accuracy_ci95"]
    groups, drawn = metrics.get("groups") or 0, metrics.get("accuracy_bootstrap95")
    if groups < FEWEST_GROUPS or drawn is None:
        return [low, high], 0
    return [min(low, drawn[0]), max(high, drawn[1])], groups


def interval_words(metrics: Mapping[str, Any]) -> str:
    """Return the interval of `leading_interval` in words, for a terminal or a file."""
    (low, high), groups = leading_interval(metrics)
    drawn = ""
    if groups:
        drawn = f" by {groups} groups" + ("; still too narrow with so few" if groups < FEW_GROUPS else "")
    return f"95 % interval {low:.1%}–{high:.1%}{drawn}"


def compute_metrics(split: str, answers: Answers) -> dict[str, Any]:
    """Compute the figures of one split.

    Args:
        split: name of the split.
        answers: to one photo or more.

    Returns:
        Plain numbers only: `split`, `n`, `accuracy` and its 95 % Wilson interval `accuracy_ci95`, `groups` (number of
        named ones), `macro_f1`, `nll` in nats, `brier` (0–2), `ece` (15 bins, L1), `below_sure` as in the function,
        `chance` (share of the most frequent class), `per_class` with precision, recall, F1 and support, `confusion`
        with a row per true class, `rejection` as in the function. A class without a photo in the split has support 0
        and is left out of the macro mean. Intervals with `_bootstrap95` in their name come from drawing whole groups
        where groups are known, and photos elsewhere; they are None if there is only one to draw, and for a figure that
        no resample has.
    """
    from sklearn.metrics import precision_recall_fscore_support

    names, targets, labels = answers.class_names, answers.targets, range(len(answers.class_names))
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, answers.predicted, labels=labels, zero_division=0
    )
    accuracy, resampled = Share(int(answers.correct.sum()), len(answers)), _bootstrap(answers)
    figures = probability_figures(answers.probabilities, targets)
    ece_interval = percentile_interval(_bootstrapped_ece(answers))
    if ece_interval is not None:
        # Resamples are further off than the photos themselves, often all of them.
        ece_interval[0] = min(ece_interval[0], figures["ece"])
    return {
        "split": split,
        "n": len(answers),
        "accuracy": accuracy.value,
        "accuracy_ci95": accuracy.interval,
        "accuracy_bootstrap95": percentile_interval(resampled["accuracy"]),
        "groups": len({group for group in answers.groups if group}),
        "macro_f1": float(f1[support > 0].mean()),
        "macro_f1_bootstrap95": percentile_interval(resampled["macro_f1"]),
        **figures,
        "ece_bootstrap95": ece_interval,
        "below_sure": below_sure(answers),
        "chance": float(support.max() / support.sum()),
        "per_class": {
            name: {
                "precision": float(precision[label]),
                "recall": float(recall[label]),
                "f1": float(f1[label]),
                "support": int(support[label]),
                **{
                    f"{figure}_bootstrap95": percentile_interval(resampled[figure][:, label])
                    for figure in ("precision", "recall", "f1")
                },
            }
            for label, name in enumerate(names)
        },
        "confusion": {"labels": list(names), "matrix": answers.confusion.tolist()},
        "rejection": rejection(answers),
    }


def below_sure(answers: Answers) -> dict[str, Any] | None:
    """Return whether the answers with a confidence below 0.9 are right as often as they say; None without one.

    Most answers of a good model are sure, and a small calibration error says nothing about the others.

    Returns:
        `n`, their mean `confidence`, their `accuracy` and its 95 % Wilson interval `accuracy_ci95`.
    """
    unsure = answers.confidence < SURE
    share = Share.of(answers.correct[unsure])
    if share is None:
        return None
    return {
        "n": share.n,
        "confidence": float(answers.confidence[unsure].astype(np.float64).mean()),
        "accuracy": share.value,
        "accuracy_ci95": share.interval,
    }


def rejection(answers: Answers) -> dict[str, Any] | None:
    """Return how well photos without a move are told from those of a move; None without the class `none`.

    Args:
        answers: to one photo or more.

    Returns:
        `moves` and `none`, the numbers of photos of a move and of none; `moves_called_none` and `none_called_none`, how
        many of either were answered `none`; `none_sure`, photos without a move that were answered as a move with a
        probability of at least 0.9; `auroc`, the probability that of a photo of a move and one of none the former has
        the higher probability of a move, 0–1; None if the split has no photo of one of the two.
    """
    from sklearn.metrics import roc_auc_score

    if NO_MOVE.name not in answers.class_names:
        return None
    index = answers.class_names.index(NO_MOVE.name)
    moves, called = answers.targets != index, answers.predicted == index
    confidence = np.delete(answers.probabilities, index, axis=1).max(1)
    return {
        "moves": int(moves.sum()),
        "none": int((~moves).sum()),
        "moves_called_none": int((moves & called).sum()),
        "none_called_none": int((~moves & called).sum()),
        "none_sure": int((~moves & (confidence >= SURE)).sum()),
        "auroc": float(roc_auc_score(moves, confidence)) if moves.any() and not moves.all() else None,
    }


def rejection_sentence(figures: Mapping[str, Any], language: Language = "en") -> str:
    """Return the figures of `rejection` in words."""
    say = picked(language)
    moves, moves_lost = figures["moves"], figures["moves_called_none"]
    none, none_kept, none_sure = (figures[key] for key in ("none", "none_called_none", "none_sure"))
    lost = say(
        f'{moves_lost} of {moves} photos of a move are answered "none"',
        f"{moves} 張有動作的照片裡，{moves_lost} 張被答成「無動作」",
    )
    if not none:
        return lost + say(
            "; no photo of this split shows none of the moves, so what it rejects is not measured here.",
            "；這些照片都有動作，所以沒有測到它會不會把別的照片擋下來。",
        )
    kept = say(
        f'{none_kept} of {none} photos without a move are answered "none", '
        f"{none_sure} are answered as a move with a confidence of at least {SURE:.0%}",
        f"{none} 張沒有動作的照片裡，{none_kept} 張答成「無動作」，{none_sure} 張以 {SURE:.0%} 以上的信心答成某個動作",
    )
    if not moves:
        return kept + say(".", "。")
    return say(f"{kept}; {lost} (AUROC {figures['auroc']:.3f}).", f"{kept}；{lost}。")


def probability_figures(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return `nll` in nats, `brier` (0–2) and `ece` (0–1) of probabilities.

    Args:
        probabilities: float `[N, classes]`, rows sum to 1.
        targets: int64 `[N]`.
    """
    import torch

    # Brier's definition over all classes: 1950, Monthly Weather Review 78.
    brier = ((probabilities.astype(np.float64) - np.eye(probabilities.shape[1])[targets]) ** 2).sum(1).mean()
    ece = calibration_error(torch.from_numpy(probabilities), torch.from_numpy(targets))
    return {"nll": float(losses(probabilities, targets).mean()), "brier": float(brier), "ece": ece}


def losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihood of each photo's class, float64 `[N]`, in nats; arguments as above."""
    likelihood = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    # A probability of 0 gives a large loss that stays finite.
    nats: np.ndarray = -np.log(likelihood.clip(1e-12))
    return nats


def table_figures(tables: np.ndarray) -> dict[str, np.ndarray]:
    """Return figures of many confusion matrices at once, not-a-number where a figure is undefined.

    Args:
        tables: int64 `[R, classes, classes]`, a row per true class.

    Returns:
        `accuracy` and `macro_f1` (over the classes that have photos) `[R]`; `precision`, `recall` and `f1`
        `[R, classes]`.
    """
    right = np.diagonal(tables, axis1=1, axis2=2)
    support, predicted = tables.sum(2), tables.sum(1)
    # A class without photos has no recall and no F1, one that is never predicted no precision.
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(support > 0, 2 * right / (support + predicted), np.nan)
        return {
            "accuracy": right.sum(1) / tables.sum((1, 2)),
            "precision": right / predicted,
            "recall": right / support,
            "f1": f1,
            "macro_f1": np.nansum(f1, axis=1) / (support > 0).sum(1),
        }


def write_metrics(path: str | os.PathLike[str], metrics: dict[str, Any]) -> None:
    """Write the figures atomically as indented JSON."""
    write_text(path, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")


def _bootstrap(answers: Answers) -> dict[str, np.ndarray]:
    classes = len(answers.class_names)
    cells = answers.targets * classes + answers.predicted
    counts = resampled_counts(cells, classes**2, group_index(answers.paths, answers.groups))
    return table_figures(counts.reshape(-1, classes, classes))


def _bootstrapped_ece(answers: Answers) -> np.ndarray:
    """Return the expected calibration error of resamples, float64 `[RESAMPLES]` or empty.

    It is biased upwards, so that its upper end is on the safe side.
    """
    bins = (answers.confidence.astype(np.float64) * CALIBRATION_BINS).astype(np.int64).clip(max=CALIBRATION_BINS - 1)
    places = np.eye(CALIBRATION_BINS)[bins]
    gaps = (answers.confidence - answers.correct)[:, None] * places
    sums = resampled_sums(np.concatenate([gaps, places], axis=1), group_index(answers.paths, answers.groups))
    errors: np.ndarray = np.abs(sums[:, :CALIBRATION_BINS]).sum(1) / sums[:, CALIBRATION_BINS:].sum(1)
    return errors
