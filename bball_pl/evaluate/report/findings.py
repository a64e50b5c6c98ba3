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
from bball_pl.evaluate.report.remarks import listed, percent, percents, points, shown
from bball_pl.moves import MOVES, NO_MOVE
from bball_pl.wording import Language, counted, picked, thousands

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
    language: Language = "en",
) -> Findings:
    """Return strengths, weaknesses and next steps.

    Args:
        evaluation: of one photo or more.
        selection: its errors and doubtful labels.
        operating: coverage and accuracy of the split at the threshold.
        curves: learning curves of the run.
        groups: accuracy of the split by group.
        language: of the sentences.
    """
    pairs = confused_pairs(evaluation.answers)
    gap = accuracy_gap(curves)
    return Findings(
        verdict=verdict(evaluation, pairs, language),
        good=list(_good(evaluation, operating, gap, language)),
        wrong=list(_wrong(evaluation, pairs, operating, gap, groups, language)),
        advice=list(_advice(evaluation, pairs, selection, gap, language)),
    )


def verdict(evaluation: Evaluation, pairs: Sequence[Pair], language: Language = "en") -> str:
    """Return one sentence on how good the model is."""
    say = picked(language)
    answers, metrics = evaluation.answers, evaluation.metrics
    n, right = len(answers), int(answers.correct.sum())
    (low, high), groups = leading_interval(metrics)
    drawn = say(f" by {counted(groups, 'group')}", f"，依 {groups} 組") if groups else ""
    interval = say(f"(95 % interval {percents([low, high])}{drawn})", f"（95 % 區間 {percents([low, high])}{drawn}）")
    photos, own = counted(n, f"{evaluation.split} photo"), f"{thousands(n)} 張{_SPLITS[evaluation.split]}照片"
    if n < FEW:
        return say(
            f"It is right on {right} of {photos}: too few to say how good it is.",
            f"{own}裡答對 {right} 張：照片太少，看不出它有多好。",
        )
    predicted, names = np.unique(answers.predicted), answers.class_names
    if len(predicted) == 1 and len(np.unique(answers.targets)) > 1:
        only = shown(names[predicted[0]])
        return say(
            f"It answers {only} to every photo: it does not tell the classes apart.",
            f"每張照片它都答「{only}」：它分不出動作。",
        )
    if right == n:
        return say(f"It is right on all {photos} {interval}.", f"{own}全部答對{interval}。")
    largest = int(np.bincount(answers.targets).argmax())
    share = float((answers.targets == largest).mean())
    sentence = say(f"It is right on {percent(right / n)} of {photos}", f"{own}裡答對 {percent(right / n)}")
    if low <= share < 1:
        most = shown(names[largest])
        return sentence + say(
            f": not surely better than answering {most} every time ({percent(share)}).",
            f"：不一定比每次都答「{most}」（{percent(share)}）好。",
        )
    sentence += say(f" {interval}", interval)
    # With two classes all errors are between them.
    if len(names) > 2 and pairs and pairs[0].both >= 3 and pairs[0].both * 3 >= n - right:
        first, second = shown(names[pairs[0].first]), shown(names[pairs[0].second])
        both, errors = thousands(pairs[0].both), counted(n - right, "error")
        some = say(f"{both} of", f"裡有 {both} 個是") if pairs[0].both < n - right else say("all of", "全是")
        return sentence + say(
            f", and {some} its {errors} are between {first} and {second}.",
            f"；{thousands(n - right)} 個錯誤{some}{first}和{second}互相弄錯。",
        )
    return sentence + say(".", "。")


#: Adjectives of the splits in Chinese.
_SPLITS = {"train": "訓練", "val": "驗證", "test": "測試"}


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


def _good(
    evaluation: Evaluation, operating: OperatingPoint | None, gap: float | None, language: Language
) -> Sequence[str]:
    say = picked(language)
    answers, metrics = evaluation.answers, evaluation.metrics
    found: list[str] = []
    recalls = _recalls(answers)
    if recalls and recalls[-1][1].value >= 0.9:
        name, recall = recalls[-1]
        found.append(
            say(
                f"Best at {name}: {recall.right} of {counted(recall.n, 'photo')} recognised.",
                f"最會認{name}：{recall.n} 張認出 {recall.right} 張。",
            )
        )
    if operating is not None and operating.accuracy is not None and operating.threshold > 0:
        if operating.accuracy.value >= operating.target_accuracy and operating.coverage.value >= _MUCH:
            right, answered = percent(operating.accuracy.value), percent(operating.coverage.value)
            found.append(
                say(
                    f"With the threshold of “unsure”, {right} of its answers are right, and {answered} of the photos "
                    "are still answered.",
                    f"設了「不確定」的門檻後，答案有 {right} 是對的，而且還是回答了 {answered} 的照片。",
                )
            )
    else:
        sure = Share.of(answers.correct[answers.confidence >= SURE])
        if sure and sure.n >= FEW and sure.value >= SURE:
            found.append(
                say(
                    f"Of the {counted(sure.n, 'answer')} with a confidence of at least 90 %, {percent(sure.value)} are "
                    "right.",
                    f"信心 90 % 以上的 {thousands(sure.n)} 個答案裡，{percent(sure.value)} 是對的。",
                )
            )
    rejected = metrics["rejection"]
    if rejected and rejected["none"] >= _ENOUGH and rejected["none_called_none"] >= 0.8 * rejected["none"]:
        found.append(rejection_sentence(rejected, language))
    if believable(metrics):
        low, high = (f"{100 * end:.1f}" for end in metrics["ece_bootstrap95"])
        below = metrics["below_sure"]
        right, expected = percent(below["accuracy"]), percent(below["confidence"])
        found.append(
            say(
                f"Its confidences can be believed: they are off by {points(metrics['ece'])} on average (95 % interval "
                f"{low}–{high}), and of the {counted(below['n'], 'answer')} below 90 %, {right} are right where "
                f"{expected} are expected.",
                f"它的信心可以相信：平均差 {100 * metrics['ece']:.1f} 個百分點（95 % 區間 {low}–{high}）；"
                f"信心低於 90 % 的 {below['n']} 個答案裡，{right} 是對的，預期是 {expected}。",
            )
        )
    if gap is not None and gap <= 0.03 and len(answers) >= FEW:
        found.append(
            say(
                "It hardly overfits: validation accuracy is close to training accuracy.",
                "它幾乎沒有死背照片：驗證照片的準確率和訓練照片差不多。",
            )
        )
    return found


def _wrong(
    evaluation: Evaluation,
    pairs: Sequence[Pair],
    operating: OperatingPoint | None,
    gap: float | None,
    groups: Slices,
    language: Language,
) -> Sequence[str]:
    say = picked(language)
    answers, names, metrics = evaluation.answers, evaluation.answers.class_names, evaluation.metrics
    found: list[str] = []
    if pairs:
        pair = pairs[0]
        first, second = shown(names[pair.first]), shown(names[pair.second])
        back = f", and {second} with {first} {_times(pair.back)}" if pair.back else ""
        own_back = f"，{second}當成{first} {pair.back} 次" if pair.back else ""
        found.append(
            say(
                f"It confuses {first} with {second} {_times(pair.errors)}{back}.",
                f"它把{first}當成{second} {pair.errors} 次{own_back}。",
            )
        )
    recalls = _recalls(answers)
    if len(recalls) > 1 and recalls[0][1].value < min(0.95, recalls[-1][1].value):
        name, recall = recalls[0]
        missed = recall.n - recall.right
        found.append(
            say(
                f"Weakest at {name}: {missed} of {counted(recall.n, 'photo')} missed.",
                f"最不會認{name}：{recall.n} 張漏掉 {missed} 張。",
            )
        )
    sure = int((~answers.correct & (answers.confidence >= SURE)).sum())
    if sure:
        found.append(
            say(
                f"{counted(sure, 'error')} with a confidence of at least 90 %.", f"有 {sure} 個錯誤的信心在 90 % 以上。"
            )
        )
    below = metrics["below_sure"]
    if below and below["n"] >= FEW and not _holds(below):
        right, expected = percent(below["accuracy"]), percent(below["confidence"])
        found.append(
            say(
                f"Its low confidences cannot be believed: of the {counted(below['n'], 'answer')} with a confidence "
                f"below 90 %, {right} are right where {expected} are expected.",
                f"它信心偏低時不能相信：信心低於 90 % 的 {below['n']} 個答案裡，{right} 是對的，預期是 {expected}。",
            )
        )
    if operating is not None and operating.coverage.value < _LITTLE:
        unsure = percent(1 - operating.coverage.value)
        found.append(
            say(
                f"The target accuracy costs much coverage: {unsure} of the photos are answered “unsure”.",
                f"要達到目標準確率，很多照片就不回答：{unsure} 的照片答「不確定」。",
            )
        )
    if gap is not None and gap >= _GAP:
        found.append(
            say(
                f"It overfits: training accuracy is {points(gap)} above validation accuracy.",
                f"它死背了訓練照片：訓練照片的準確率比驗證照片高 {100 * gap:.1f} 個百分點。",
            )
        )
    rejected = metrics["rejection"]
    if rejected and (not rejected["none"] or rejected["none_called_none"] < 0.8 * rejected["none"]):
        found.append(rejection_sentence(rejected, language))
    if rejected is None and set(names) & {move.name for move in MOVES}:
        found.append(
            say(
                "It has no class for photos without a move: to each it answers one of the moves. Train with "
                "--data.court 300, or with photos in a class folder none.",
                "它沒有「無動作」這一類：沒有動作的照片也會被答成某個動作。請用 --data.court 300 訓練，"
                "或在 none 資料夾放一些照片。",
            )
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
        found.append(
            say(
                f"Group {name} stands out: {share.right} of {counted(share.n, 'photo')} right.",
                f"{name} 這一組特別差：{share.n} 張只對 {share.right} 張。",
            )
        )
    per_class = metrics["per_class"].items()
    # What is not known of none stands above.
    absent = [shown(name) for name, figures in per_class if figures["support"] == 0 and name != NO_MOVE.name]
    if absent:
        more = f" and {len(absent) - 5} others" if len(absent) > 5 else ""
        own_more = f"等 {len(absent)} 類" if len(absent) > 5 else ""
        found.append(
            say(
                f"No photo of {listed(absent[:5])}{more} in this split: nothing is known about it.",
                f"這些照片裡沒有{'、'.join(absent[:5])}{own_more}：不知道它認不認得。",
            )
        )
    return found


def _advice(
    evaluation: Evaluation, pairs: Sequence[Pair], selection: Selection, gap: float | None, language: Language
) -> Sequence[str]:
    say = picked(language)
    metrics, names = evaluation.metrics, evaluation.answers.class_names
    found: list[str] = []
    if selection.all_doubtful:
        found.append(
            say(
                f"Check {counted(selection.all_doubtful, 'doubtful label')}.",
                f"檢查 {selection.all_doubtful} 個可疑的標籤。",
            )
        )
    if pairs and pairs[0].both >= 3:
        first, second = shown(names[pairs[0].first]), shown(names[pairs[0].second])
        found.append(
            say(
                f"Add training photos of {first} and {second}, above all where the two look alike.",
                f"多加一些{first}和{second}的訓練照片，尤其是兩者看起來很像的。",
            )
        )
    (low, high), _ = leading_interval(metrics)
    if high - low > 0.1:
        # A share's interval is about 4 sqrt(p (1 - p) / n) wide; 8 points are enough to tell good from very good.
        share = min(max(metrics["accuracy"], 0.1), 0.9)
        wanted = thousands(int(np.ceil(16 * share * (1 - share) / 0.08**2 / 50) * 50))
        half = f"±{50 * (high - low):.0f}"
        found.append(
            say(
                f"Test on more photos, about {wanted}: so far the accuracy is known to {half} points.",
                f"用更多照片測試，約 {wanted} 張：目前準確率只知道到 {half} 個百分點。",
            )
        )
    if not metrics.get("groups"):
        found.append(
            say(
                "Fill in the column group of photos.csv: until the album, game or clip of each photo is known, "
                "look-alikes may be in training and test and make the figures too good.",
                "填寫 photos.csv 的 group 欄：不知道每張照片來自哪本相簿、哪場比賽或哪段影片時，"
                "相似的照片可能同時在訓練和測試裡，數字就會太好看。",
            )
        )
    if gap is not None and gap >= _GAP:
        found.append(
            say(
                "Against overfitting: more photos of other games, or --data.augment heavy.",
                "要它少死背：加入其他比賽的照片，或用 --data.augment heavy。",
            )
        )
    if evaluation.calibration is None:
        found.append(
            say(
                "Calibrate: validation photos give reliable confidences and a threshold of “unsure”.",
                "校準：有驗證照片才有可靠的信心和「不確定」的門檻。",
            )
        )
    if not found:
        found.append(say("Try it on photos of a league that it has never seen.", "拿它沒看過的聯盟的照片來試試。"))
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
