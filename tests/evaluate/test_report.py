"""The report of an evaluation: what it says, that nothing in it comes from outside, and that odd splits stay sane."""

from __future__ import annotations

import base64
import io
import re
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from bball_pl.evaluate import report
from bball_pl.evaluate.calibration import Calibration, reliability
from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.predictions import MOST_DOUBTFUL, MOST_ERRORS, Answers, select
from bball_pl.evaluate.report import gallery_rows, write_report
from bball_pl.evaluate.report.content import collect
from bball_pl.evaluate.report.curves import read_curves
from bball_pl.evaluate.report.remarks import percent
from bball_pl.evaluate.report.report_page import text as markdown_text
from bball_pl.evaluate.results import evaluation_summary
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv

from helpers.report_evaluations import Page, calibrated, epochs, evaluation, log, paint_all

#: The test of 2018.
MATRIX = [[81, 2, 17], [2, 98, 0], [18, 3, 79]]
HOSTILE = '<img src=x onerror="alert(1)">|`*[a](http://b)_&amp;\''


def of_matrix(root: Path, matrix: list[list[int]], **more: object) -> Evaluation:
    cells = [(true, said) for true, row in enumerate(matrix) for said, count in enumerate(row) for _ in range(count)]
    return evaluation(root, [true for true, _ in cells], [said for _, said in cells], **more)  # type: ignore[arg-type]


def page_of(own: Evaluation, folder: Path, **more: object) -> Page:
    page = Page(write_report(own, folder / "report.html", **more))  # type: ignore[arg-type]
    ids = page.ids()
    assert len(ids) == len(set(ids)), "an id is there twice"
    for element in page.elements:
        target = element.attributes.get("href", "#")
        assert target.startswith(("#", "data:,")), f"a link to {target}"
        assert target in {"#", "data:,"} or target[1:] in ids, f"a link to {target}, which is not there"
        assert element.attributes.get("src", "data:image/webp").startswith("data:image/webp")
        assert not [name for name in element.attributes if name.startswith("on")], element
    levels = [int(element.tag[1]) for element in page.elements if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert all(element.attributes.get("scope") in {"col", "row"} for element in page.all("th"))
    for element in page.all("svg", role="img"):
        assert element.attributes["aria-label"]
    return page


def words_of(own: Evaluation, folder: Path) -> str:
    """Return what the report says, without markup: written as Markdown, which takes a tenth of the time."""
    markdown = write_report(own, folder / "report.md", form="md").read_text(encoding="utf-8")
    return re.sub(r"\\(?=\W)", "", markdown).replace("\xa0", " ")


def sane(words: str) -> None:
    found = re.search(r"\b(nan|None|inf|null|undefined)\b(?! of|:)", words)
    assert found is None, words[max(0, found.start() - 60) : found.end() + 60]


def tables(markdown: str) -> list[list[list[str]]]:
    """Return the cells of the tables of a Markdown text, as GitHub would split them."""
    found: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_the_figures_of_the_page_are_those_of_the_metrics(tmp_path: Path) -> None:
    groups = [f"game {row % 25}" for row in range(300)]
    own = of_matrix(tmp_path, MATRIX, groups=groups, calibration=calibrated(), command="python scripts/evaluate.py -x")
    page = page_of(own, tmp_path)
    (verdict,) = page.all("p", class_="verdict")
    low, high = own.metrics["accuracy_bootstrap95"]
    wilson = own.metrics["accuracy_ci95"]
    ends = f"{100 * min(low, wilson[0]):.1f}–{100 * max(high, wilson[1]):.1f}"
    assert verdict.text == (
        f"It is right on 86.0 % of 300 test photos (95 % interval {ends} % by 25 groups), "
        "and 35 of its 42 errors are between layup 上籃 and shoot 投籃."
    )
    tiles = {tile.text for tile in page.all("div", class_="tile")}
    assert f"Accuracy86.0 %95 % interval {ends} % by 25 groups (81.6–89.5 % by photo); 258 of 300 photos" in tiles
    assert any(tile.startswith("Chance33.3 %") for tile in tiles)
    assert any(tile.startswith(f"Macro F1{own.metrics['macro_f1']:.3f}") for tile in tiles)
    assert any(tile.startswith("Weakest class79.0 %layup 上籃: 79 of 100") for tile in tiles)
    cells = [cell.text for cell in page.all("td") if {"hit", "miss"} & set(cell.attributes.get("class", "").split())]
    assert cells == [f"{count}{percent(count / sum(row))}".replace("\xa0", " ") for row in MATRIX for count in row]
    for name, figures in own.metrics["per_class"].items():
        (row,) = [row.text for row in page.all("tr") if row.text.startswith(name) and "(" in row.text]
        assert f"{figures['f1']:.3f}" in row
        assert percent(figures["precision"]).replace("\xa0", " ") in row
    assert "python scripts/evaluate.py -x" in [code.text for code in page.all("code")]
    assert "5a" * 32 in page.text
    sane(page.text)


def test_where_all_errors_are_of_one_kind_it_says_all(tmp_path: Path) -> None:
    evaluated = of_matrix(tmp_path, [[28, 0, 2], [0, 30, 0], [2, 0, 28]])
    assert "and all of its 4 errors are between shoot 投籃 and layup 上籃." in words_of(evaluated, tmp_path)
    chinese = write_report(evaluated, tmp_path / "zh.md", form="md", language="zh-Hant").read_text(encoding="utf-8")
    assert re.search("4 個錯誤全是.*互相弄錯。", chinese)


def test_2018_stands_beside_the_three_moves_only(tmp_path: Path) -> None:
    matrix = [[9, 0, 1], [0, 10, 0], [2, 1, 7]]
    text = words_of(of_matrix(tmp_path, matrix), tmp_path)
    for said in (
        "Not a like-for-like comparison",
        "35 of 42 errors were between layup and shoot",
        "81.6–89.5 %",
        "3 of 4",
    ):
        assert said in text
    other = of_matrix(tmp_path, matrix, class_names=["a", "b", "c"])
    assert "result of 2018" not in words_of(other, tmp_path)
    assert "result of 2018" not in write_report(other, tmp_path / "report.md", form="md").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["html", "md"])
def test_rendered_scenes_are_named_first(tmp_path: Path, form: Literal["html", "md"]) -> None:
    paths = [f"test/{name}/{row:05}.png" for row, name in enumerate(["shoot", "dribble", "layup"])]
    sources = dict.fromkeys(paths, "demo court")
    rendered, partly = (
        evaluation(tmp_path / "photos", [0, 1, 2], [0, 1, 2], sources=found)
        for found in (sources, {**sources, paths[0]: "local"})
    )
    for own, first in ((rendered, "Tested on rendered scenes: the figures say nothing"), (partly, "67% of the test")):
        terminal = Console(file=io.StringIO(), record=True, width=200)
        terminal.print(evaluation_summary(own))
        assert first in terminal.export_text()
        text = write_report(own, tmp_path / f"report.{form}", form=form).read_text(encoding="utf-8")
        assert first in text.partition('class="verdict"' if form == "html" else "| figure |")[0].replace("\\", "")
    records = [PhotoRecord(path, path.split("/")[1], "game", source="demo court") for path in paths]
    (tmp_path / "photos").mkdir(exist_ok=True)
    write_photos_csv(tmp_path / "photos" / "photos.csv", records)
    text = write_report(rendered, tmp_path / f"report.{form}", form=form).read_text(encoding="utf-8")
    assert "Trained and tested on rendered scenes: this model has seen no real photo of a move" in text


def test_names_stay_text(tmp_path: Path) -> None:
    names = [HOSTILE, "</script><script>alert(2)</script>", "{{ 7 * 7 }}"]
    groups = ["'\"><b>album</b>"] * 30
    own = evaluation(tmp_path, [0, 1, 2] * 10, [1, 2, 2] * 10, 0.9, names, groups, command=f"python x {HOSTILE}")
    own = Evaluation(**{**vars(own), "sources": dict.fromkeys(own.answers.paths, "<i>web</i>")})
    page = page_of(own, tmp_path)
    assert len(page.all("script")) == 1
    assert not page.all("b", src="x")
    assert {element.attributes.get("src", "") for element in page.all("img")} <= {""}
    for name in (*names, "<i>web</i>", "'\"><b>album</b>"):
        assert name in page.text
    markdown = write_report(own, tmp_path / "report.md", form="md").read_text(encoding="utf-8")
    assert markdown.count(markdown_text(HOSTILE)) > 3
    assert "](" not in markdown.replace(f"python x {HOSTILE}", "").replace("\\]", "")
    assert all(len({len(row) for row in table}) == 1 for table in tables(markdown)), "a name ended a cell"


def test_300_wrong_answers_stay_below_6_mb(tmp_path: Path) -> None:
    own = evaluation(tmp_path, [0, 1, 2] * 100, [1, 2, 0] * 100, np.linspace(0.5, 0.99, 300).tolist())
    rows = gallery_rows(own.answers)
    # Blocks of four pixels: noise that survives the shrinking, which pixels of their own would not.
    noise = np.random.default_rng(0).integers(0, 256, (213, 320, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    first = tmp_path / "noise.jpg"
    Image.fromarray(noise).save(first, quality=95)
    for row in rows:
        path = tmp_path / own.answers.paths[row]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(first, path)
    heat = {row: np.random.default_rng(row).random((7, 7), np.float32) for row in rows}
    path = write_report(own, tmp_path / "report.html", heat)
    assert path.stat().st_size < 6_000_000
    page = Page(path)
    assert len(page.all("article", class_="card")) == MOST_ERRORS
    assert "The 240 least confident of 300 errors are left out; predictions_test.csv has all of them." in page.text


CASES = {
    "always the same class": ([0, 1, 2] * 12, [0] * 36, ["shoot", "dribble", "layup"]),
    "a class without photos": ([0, 1] * 12, [0, 1, 2, 1] * 6, ["shoot", "dribble", "layup"]),
    "one right photo": ([1], [1], ["shoot", "dribble", "layup"]),
    "one wrong photo": ([1], [0], ["shoot", "dribble", "layup"]),
    "everything right": ([0, 1, 2] * 12, [0, 1, 2] * 12, ["shoot", "dribble", "layup"]),
    "two classes": ([0, 1] * 20, [0, 1, 1, 1] * 10, ["bees", "ants"]),
    "thirty classes": (list(range(30)) * 3, [*range(30), *range(30), *([4] * 30)], [f"class {n}" for n in range(30)]),
    "Chinese names": ([0, 1] * 20, [0, 1, 1, 1] * 10, ["運球", "上籃 及 投籃"]),
    "10,000 photos": ([0, 1, 2, 0] * 2500, [0, 1, 2, 2] * 2500, ["shoot", "dribble", "layup"]),
}


CALIBRATIONS = [None, calibrated(), calibrated(None), calibrated(0.0), calibrated(0.999)]


# Every case once, the first with every calibration.
@pytest.mark.parametrize(
    ("case", "calibration"),
    [*((next(iter(CASES)), own) for own in CALIBRATIONS), *zip(list(CASES)[1:], CALIBRATIONS * 2, strict=False)],
)
def test_odd_splits_give_sane_reports(tmp_path: Path, case: str, calibration: Calibration | None) -> None:
    targets, said, names = CASES[case]
    own = evaluation(
        tmp_path, targets, said, np.linspace(0.6, 0.99, len(said)).tolist(), names, None, None, calibration
    )
    started = time.monotonic()
    page = page_of(own, tmp_path)
    assert time.monotonic() - started < 20
    sane(page.text)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    assert f"{len(targets):,}" in page.text
    markdown = write_report(own, tmp_path / "report.md", form="md").read_text(encoding="utf-8")
    sane(markdown)
    assert all(len({len(row) for row in table}) == 1 for table in tables(markdown))


def verdict_of(own: Evaluation) -> str:
    return collect(own).findings.verdict.replace("\xa0", " ")


def test_verdicts(tmp_path: Path) -> None:
    verdicts = {
        case: verdict_of(evaluation(tmp_path, targets, said, 0.8, names))
        for case, (targets, said, names) in CASES.items()
    }
    assert verdicts["always the same class"] == (
        "It answers shoot 投籃 to every photo: it does not tell the classes apart."
    )
    assert verdicts["one right photo"] == "It is right on 1 of 1 test photo: too few to say how good it is."
    assert verdicts["everything right"] == "It is right on all 36 test photos (95 % interval 90.4–100.0 %)."
    coin = evaluation(tmp_path, [0, 0, 1, 1] * 10, [0, 1, 0, 1] * 10, 0.6, ["a", "b"])
    assert verdict_of(coin) == (
        "It is right on 50.0 % of 40 test photos: not surely better than answering a every time (50.0 %)."
    )
    absent = evaluation(tmp_path, [0, 1] * 12, [0, 1] * 12)
    wrong = [sentence.replace("\xa0", " ") for sentence in collect(absent).findings.wrong]
    assert wrong[0].startswith(
        "Its low confidences cannot be believed: of the 24 answers with a confidence below 90 %, 100.0 %"
    )
    assert wrong[2:] == ["No photo of layup 上籃 in this split: nothing is known about it."]


def test_what_the_threshold_does_to_this_split(tmp_path: Path) -> None:
    confidence = [0.9] * 30 + [0.6] * 10
    said = [0, 1, 2] * 9 + [1, 2, 0] + [0] * 10
    own = evaluation(tmp_path, ([0, 1, 2] * 14)[:40], said, confidence, calibration=calibrated(0.7))
    text = words_of(own, tmp_path)
    assert "On this split 30 of 40 photos are answered (75.0 %), 90.0 % of those correctly" in text
    assert "(95 % interval 74.4–96.5 %); 10 are “unsure”." in text
    everything = words_of(Evaluation(**{**vars(own), "calibration": calibrated(0.0)}), tmp_path)
    assert "the app need not say “unsure” at all. On this split 77.5 % of all answers are right" in everything
    assert "| Coverage |" not in everything
    none = Evaluation(**{**vars(own), "calibration": calibrated(None)})
    assert "No threshold reaches 95.0 %" in words_of(none, tmp_path)
    without = Evaluation(**{**vars(own), "calibration": None})
    assert "Not calibrated" in words_of(without, tmp_path)


def test_the_bins_are_those_of_the_calibration_error() -> None:
    generator = np.random.default_rng(1)
    shares = generator.dirichlet([0.4] * 3, 500).astype(np.float32)
    answers = Answers(["a", "b", "c"], [str(n) for n in range(500)], [""] * 500, generator.integers(0, 3, 500), shares)
    bins = reliability(shares, answers.targets)
    assert sum(part.accuracy.n for part in bins) == 500
    from bball_pl.evaluate.metrics import probability_figures

    ece = sum(part.accuracy.n * abs(part.accuracy.value - part.confidence) for part in bins) / 500
    assert ece == pytest.approx(probability_figures(shares, answers.targets)["ece"], abs=1e-6)


def test_which_photos_are_shown() -> None:
    shares = np.array(
        [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.05, 0.95, 0.0], [0.4, 0.35, 0.25], [0.1, 0.2, 0.7]], np.float32
    )
    answers = Answers(["a", "b", "c"], list("vwxyz"), [""] * 5, np.array([0, 0, 0, 1, 2]), shares)
    chosen = select(answers)
    assert chosen.errors == [2, 1, 3]
    assert chosen.doubtful == [2, 1], "the third error is a close call: that is no doubt about its label"
    assert chosen.right == [0, 4]
    assert gallery_rows(answers) == [2, 1, 3, 0, 4]
    many = evaluation(Path("/nowhere"), [0] * 200, [1] * 200, 0.9).answers
    assert len(select(many).errors) == MOST_ERRORS
    assert (len(select(many).doubtful), select(many).all_doubtful) == (MOST_DOUBTFUL, 200)


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


def test_heat_lies_where_the_network_looked(tmp_path: Path) -> None:
    own = evaluation(tmp_path, [0, 1, 2], [0, 2, 0], 0.6)
    paint_all(own, range(3), (600, 400))
    heat = np.zeros((8, 12), np.float32)
    heat[:, 6:] = 1
    page = page_of(own, tmp_path, heat_maps={1: heat})
    photos = page.all("div", class_="photo")
    assert len(photos) == 3
    assert max(decoded(image.attributes["src"]).size[0] for image in page.all("img")) == 320
    (over,) = page.all("img", class_="heat")
    assert (over.attributes["width"], over.attributes["height"]) == ("320", "213")
    opacity = np.asarray(decoded(over.attributes["src"]).convert("RGBA"))[..., 3]
    assert opacity[:, :20].max() < 10, "cold is clear"
    assert opacity[:, -20:].min() > 150, "hot is coloured, and the photo is seen below it"
    assert "2 photos of these have no Grad-CAM." in page.text
    assert "Grad-CAM was not computed for this report." in page_of(own, tmp_path).text


def test_photos_that_are_gone_are_named(tmp_path: Path) -> None:
    own = evaluation(tmp_path, [0, 1, 2], [0, 2, 0], 0.8)
    page = page_of(own, tmp_path)
    assert page.all("span", class_="missing")[0].text.startswith("No picture: cannot be read")
    assert "was the dataset moved?" in page.text
    paint_all(own, [1])
    (tmp_path / own.answers.paths[2]).parent.mkdir(parents=True)
    (tmp_path / own.answers.paths[2]).write_bytes(b"no photo")
    page = page_of(own, tmp_path)
    assert "was the dataset moved?" not in page.text
    assert "No picture: not an image" in page.text
    assert own.answers.paths[2] in page.text


def test_learning_curves_of_a_resumed_run(tmp_path: Path) -> None:
    run = tmp_path / "logs" / "moves" / "version_0"
    log(run, epochs([0.8, 0.5, 0.6, 0.1]))
    with SummaryWriter(str(run)) as writer:
        writer.add_scalar("probe/loss", 0.7, 0)
        writer.add_scalar("probe/acc", 0.7, 0)
        writer.add_image("val/confusion", np.random.default_rng(0).integers(0, 255, (3, 200, 200), np.uint8), 3)
    # Resumed from the second epoch: what came after it was done again.
    log(run, epochs([0.55, 0.4, 0.45], gap=0.1), first_epoch=2)
    best = run / "checkpoints" / "best.ckpt"
    curves = read_curves(run, best)
    assert curves is not None
    assert curves.curves["val/loss"].epochs == [1, 2, 3, 4, 5]
    assert curves.curves["val/loss"].values == pytest.approx([0.8, 0.5, 0.55, 0.4, 0.45])
    assert (curves.kept, curves.kept_epoch, curves.last_epoch) == ("epoch", 4, 5)
    assert curves.probe_acc == pytest.approx(0.7)
    own = evaluation(tmp_path, [0, 1, 2] * 10, [0, 1, 2] * 10, run=run)
    page = page_of(own, tmp_path)
    assert "The model is that of epoch 4 of 5." in page.text
    assert "the accuracy was 85.0 % on training photos and 75.0 % on validation photos" in page.text
    assert "a gap of 10.0 points" in page.text
    assert len(page.all("svg", role="img")) == 5
    assert "moves/version_0" in page.all("h1")[0].text
    last = read_curves(run, best.with_name("last.ckpt"))
    assert last is not None
    assert last.kept_epoch == 5
    best.parent.mkdir()
    best.write_bytes(b"the probe")
    best.with_name("probe.ckpt").write_bytes(b"the probe")
    assert "The model is the linear probe" in words_of(own, tmp_path)
    best.write_bytes(b"an epoch")
    assert "The model is that of epoch 4 of 5." in words_of(own, tmp_path)


def test_damaged_events_and_settings(tmp_path: Path) -> None:
    run = tmp_path / "logs" / "moves" / "version_0"
    log(run, epochs([0.8, float("nan"), float("inf")]))
    (events,) = run.glob("events*")
    page_of(evaluation(tmp_path, [0, 1, 2] * 10, [0, 1, 1] * 10, run=run), tmp_path)
    events.write_bytes(events.read_bytes()[:-20])
    assert read_curves(run, run / "best.ckpt") is not None
    own = evaluation(tmp_path, [0, 1, 2] * 10, [0, 1, 2] * 10, run=run)
    (run / "config.yaml").write_text("model: !!python/object/apply:os.system [ls]\n")
    assert "cannot be read" in words_of(own, tmp_path)
    (run / "config.yaml").write_text("model:\n  backbone: <b>net</b>\n  lr: 0.1\nseed_everything: 3\n")
    text = words_of(own, tmp_path)
    assert "| model.backbone | <b>net</b> |" in text
    assert f"bball fit --config {run}/config.yaml" in text
    events.write_bytes(b"garbage" * 9)
    assert "no TensorBoard events" in words_of(own, tmp_path)
    assert "lies outside a run’s folder" in words_of(evaluation(tmp_path, [0], [0]), tmp_path).replace("'", "’")


def test_sources_and_groups(tmp_path: Path) -> None:
    groups = ["bad game"] * 20 + ["good game"] * 60 + [f"small {n}" for n in range(10)]
    said = [1] * 15 + [0] * 75
    own = evaluation(tmp_path, [0] * 90, said, 0.8, groups=groups)
    page = page_of(own, tmp_path)
    rows = [row.text for row in page.all("tr") if re.match("good game|bad game|small|10 others", row.text)]
    assert [row.split("%")[0].strip() for row in rows] == [
        "bad game205" + "25.0",
        "good game6060" + "100.0",
        "10 others, of fewer than 5 photos1010" + "100.0",
    ]
    assert "Group bad game stands out: 5 of 20 photos right." in page.text
    assert "The source of no photo is known" in page.text
    same = dict.fromkeys(own.answers.paths, "league")
    assert "All photos have the same source (league)." in words_of(
        Evaluation(**{**vars(own), "sources": same}), tmp_path
    )
    many = evaluation(tmp_path, [0] * 300, [0] * 300, groups=[f"g{n // 6}" for n in range(300)])
    assert "| 30 others | 180 | 180 |" in words_of(many, tmp_path)


@pytest.mark.parametrize("form", ["html", "md"])
def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path, form: Literal["html", "md"]) -> None:
    run = tmp_path / "run"
    log(run, epochs([0.8, 0.5]))
    own = of_matrix(tmp_path, [[5, 1, 0], [0, 6, 0], [2, 0, 4]], run=run, calibration=calibrated())
    paint_all(own, gallery_rows(own.answers))
    heat = {row: np.eye(7, dtype=np.float32) for row in gallery_rows(own.answers)}
    first = write_report(own, tmp_path / "a", heat, form).read_bytes()
    assert write_report(own, tmp_path / "b", heat, form).read_bytes() == first


def test_few_groups_promise_no_interval(tmp_path: Path) -> None:
    own = evaluation(tmp_path, [0, 1] * 20, [0, 1, 1, 1] * 10, groups=["a"] * 20 + ["b"] * 20)
    assert own.metrics["accuracy_bootstrap95"] == [0.75, 0.75], "two groups that are alike promise certainty"
    text = words_of(own, tmp_path)
    assert "by photo: 2 groups are too few to draw by; 30 of 40 photos |" in text
    assert f"| Macro F1 | {own.metrics['macro_f1']:.3f} | mean over the classes |" in text


def test_percent() -> None:
    texts = [percent(share).replace("\xa0", " ") for share in (0.0, 1.0, 0.99996, 0.00004, 0.943333)]
    assert texts == ["0.0 %", "100.0 %", ">99.9 %", "<0.1 %", "94.3 %"]
    assert percent(None) == "–"


def _luminance(rgb: np.ndarray) -> float:
    parts = rgb / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_everything_can_be_read_in_light_and_dark() -> None:
    style = (Path(report.__file__).parent / "report.css").read_text(encoding="utf-8")
    shares = [float(share) for share in re.findall(r"--share: ([\d.]+)", style)]
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    for block in (light, dark):
        colours = {
            name: np.array([int(code[place : place + 2], 16) for place in (0, 2, 4)])
            for name, code in re.findall(r"--(\w+): #(\w{6})", block)
        }
        tints = {
            name: np.array([int(part) for part in code.split()])
            for name, code in re.findall(r"--(\w+): (\d+ \d+ \d+)", block)
        }
        for ink in ("ink", "soft", "blue", "orange"):
            for ground in ("paper", "card"):
                assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for tint in tints.values():
            cell = max(shares) * tint + (1 - max(shares)) * colours["paper"]
            assert _contrast(colours["ink"], cell) >= 4.5
