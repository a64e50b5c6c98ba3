"""scripts/evaluate.py from end to end: what it writes, and whether the figures are those of the answers."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss

from bball_pl.evaluate.explain import grad_cam, undo_fit
from bball_pl.evaluate.predictions import read_answers
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.photos.journal import Journal, quarantine_place
from bball_pl.photos.photos_csv import PhotoRecord, write_photos_csv
from bball_pl.photos.preprocess import PreprocessSpec

from helpers.fit_runs import ROOT, environment, fit, only_run, tiny
from helpers.forked import run_python
from helpers.painting import COLOURS, paint_photo

NAMES = ["shoot", "dribble", "layup"]


@dataclass
class Evaluated:
    """One run and what its evaluation printed, shared by the tests of this file."""

    root: Path
    run: Path
    said: str


def evaluate(*options: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_python([ROOT / "scripts" / "evaluate.py", *options], env=environment())
    assert done.returncode == expect, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def paint_games(root: Path) -> Path:
    """Paint a dataset of games, two of them in the test split, from two albums, with a few wrong labels."""
    records: list[PhotoRecord] = []
    for split, games, each in (("train", 6, 3), ("test", 4, 2)):
        for game in range(games):
            for place, name in enumerate(NAMES):
                for number in range(each):
                    relative = f"{split}/{name}/g{game}_{number}.jpg"
                    colour = COLOURS[NAMES[(place + 1) % 3] if split == "test" and game == 3 else name]
                    paint_photo(root / relative, colour, len(records))
                    source = "album A" if game % 2 else "album B"
                    records.append(PhotoRecord(relative, name, group=f"{split} game {game}", source=source))
    write_photos_csv(root / "photos.csv", records)
    return root


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    base = tmp_path_factory.mktemp("evaluate")
    root = paint_games(base / "games")
    fit([*tiny(root, base / "out", epochs=3), "--pictures=false", "--name=small"])
    run = only_run(base / "out", "small")
    done = evaluate("--run", run)
    return Evaluated(root, run, done.stdout + done.stderr)


def read(folder: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    with (folder / "predictions_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return rows, metrics


def test_the_figures_are_those_of_the_table(evaluated: Evaluated) -> None:
    rows, metrics = read(evaluated.run)
    assert metrics["n"] == len(rows) == 24
    shares = np.array([[float(row[f"prob_{name}"]) for name in NAMES] for row in rows])
    truth = [row["class"] for row in rows]
    assert [row["predicted"] for row in rows] == [NAMES[place] for place in shares.argmax(1)]
    right = [row["class"] == row["predicted"] for row in rows]
    assert metrics["accuracy"] == pytest.approx(sum(right) / 24)
    assert metrics["nll"] == pytest.approx(log_loss(truth, shares[:, [1, 2, 0]]), rel=1e-4), "columns sorted by name"
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, [row["predicted"] for row in rows], average="macro"))
    brier = np.mean(
        [sum((p - (n == t)) ** 2 for n, p in zip(NAMES, s, strict=True)) for s, t in zip(shares, truth, strict=True)]
    )
    assert metrics["brier"] == pytest.approx(brier, rel=1e-4)
    assert metrics["groups"] == 4
    assert {row["group"] for row in rows} == {f"test game {game}" for game in range(4)}


def test_probabilities_are_the_networks_at_the_fitted_temperature(evaluated: Evaluated) -> None:
    calibration = json.loads((evaluated.run / "checkpoints" / "best.calibration.json").read_text())
    rows, metrics = read(evaluated.run)
    assert metrics["temperature"] == calibration["temperature"]
    classifier = MoveClassifier.from_checkpoint(evaluated.run / "checkpoints" / "best.ckpt")
    spec = classifier.spec
    photos = np.stack([spec.resize(decode(evaluated.root / row["path"])) for row in rows])
    with torch.inference_mode():
        logits = classifier(spec.normalise(torch.from_numpy(photos).permute(0, 3, 1, 2)))
    wanted = (logits / calibration["temperature"]).softmax(1).numpy()
    np.testing.assert_allclose(read_answers(evaluated.run / "predictions_test.csv").probabilities, wanted, atol=1e-4)
    # The temperature was fitted on validation photos, which are a part of train here; that of a kept probe on its
    # answers to the held-out photos of each fold, which are all photos but those of test.
    kept = "held_out" in read_checkpoint(evaluated.run / "checkpoints" / "best.ckpt")["bball_pl"]
    with (evaluated.run / "split.csv").open(newline="") as file:
        fitted_on = {"val", "train"} if kept else {"val"}
        assert calibration["n"] == sum(row["split"] in fitted_on for row in csv.DictReader(file))
    assert calibration["nll_after"] <= calibration["nll_before"] + 1e-6


def test_what_is_unsure_agrees_with_the_threshold(evaluated: Evaluated) -> None:
    rows, metrics = read(evaluated.run)
    unsure = metrics["unsure"]
    if unsure is None:
        assert "No threshold reaches" in evaluated.said
        return
    answered = [row for row in rows if max(float(row[f"prob_{name}"]) for name in NAMES) >= unsure["threshold"]]
    assert unsure["answered"] == pytest.approx(len(answered) / 24)
    if answered:
        assert unsure["accuracy"] == pytest.approx(np.mean([row["class"] == row["predicted"] for row in answered]))


def test_the_report_stands_in_the_run(evaluated: Evaluated) -> None:
    report = evaluated.run / "report.html"
    assert f"report: {report}" in evaluated.said
    text = report.read_text(encoding="utf-8")
    _, metrics = read(evaluated.run)
    assert f"{metrics['accuracy']:.1%}".rstrip("%") in text
    command = re.search(r"python scripts/evaluate\.py [^<\n]*--run ([^\s<]+)", text)
    assert command is not None, "the command names the run: the newest is another one tomorrow"
    assert (ROOT / command[1]).resolve() == evaluated.run.resolve()


def test_a_second_evaluation_says_the_same_and_reads_its_calibration(evaluated: Evaluated, tmp_path: Path) -> None:
    done = evaluate("--run", evaluated.run, "--out", tmp_path / "again", "--no-report", "--batch_size", 5)
    assert "results:" in done.stdout
    first, second = read(evaluated.run), read(tmp_path / "again")
    assert second[1]["accuracy"] == first[1]["accuracy"]
    assert second[1]["nll"] == pytest.approx(first[1]["nll"], rel=1e-4)
    assert not (tmp_path / "again" / "report.html").exists()


def test_other_questions_get_folders_of_their_own(evaluated: Evaluated, tmp_path: Path) -> None:
    before = (evaluated.run / "metrics.json").read_bytes()
    evaluate("--run", evaluated.run, "--split", "val", "--no-report")
    evaluate("--run", evaluated.run, "--tta", "flip", "--no-report")
    last = evaluated.run / "checkpoints" / "last.ckpt"
    done = evaluate("--ckpt", last, "--format", "md", "--no-grad-cam")
    other = tmp_path / "other"
    shutil.copytree(evaluated.root / "test", other / "test")
    shutil.copytree(evaluated.root / "test", other / "train")
    evaluate("--run", evaluated.run, "--root", other, "--no-report")
    found = {path.parent.name for path in (evaluated.run / "evaluations").glob("*/metrics.json")}
    assert found == {"val", "test-flip", "test-last", "test-other"}
    assert (evaluated.run / "metrics.json").read_bytes() == before
    report = evaluated.run / "evaluations" / "test-last" / "report.md"
    assert f"report: {report}" in done.stdout
    assert "| dribble" in report.read_text(encoding="utf-8")
    flipped = json.loads((evaluated.run / "evaluations" / "test-flip" / "metrics.json").read_text())
    assert flipped["tta"] == "flip"


def test_a_checkpoint_outside_of_a_run_needs_no_run(evaluated: Evaluated, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ckpt"
    content = read_checkpoint(evaluated.run / "checkpoints" / "best.ckpt")
    content["bball_pl"].pop("held_out", None)  # a kept probe brings answers to calibrate on
    torch.save(content, alone)
    done = evaluate("--ckpt", alone, "--no-report")
    assert "not calibrated" in done.stderr, "the dataset has no folder val, and without the run nobody knows the split"
    metrics = json.loads((tmp_path / "evaluations" / "test-alone" / "metrics.json").read_text())
    assert metrics["temperature"] == 1.0
    assert metrics["accuracy"] == read(evaluated.run)[1]["accuracy"]
    assert metrics["unsure"] is None


def test_comparing_a_run_with_itself_and_with_its_probe(evaluated: Evaluated, tmp_path: Path) -> None:
    run = evaluated.run
    evaluate("--ckpt", run / "checkpoints" / "probe.ckpt", "--out", tmp_path / "probe", "--no-report")
    same = evaluate("--compare", run, run, "--out", tmp_path / "same")
    assert "no significant difference" in same.stdout.lower()
    evaluate("--compare", tmp_path / "probe", run, "--out", tmp_path / "differ")
    comparison = json.loads((tmp_path / "differ" / "comparison.json").read_text())
    assert comparison["n"] == 24
    with (tmp_path / "differ" / "changed.csv").open(newline="") as file:
        changed = list(csv.DictReader(file))
    first, second = read(tmp_path / "probe")[0], read(run)[0]
    assert len(changed) == sum(a["predicted"] != b["predicted"] for a, b in zip(first, second, strict=True))


def test_comparing_other_photos_is_refused(evaluated: Evaluated, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    lines = (evaluated.run / "predictions_test.csv").read_text().splitlines()
    (fewer / "predictions_test.csv").write_text("\n".join(lines[:-2]) + "\n")
    done = evaluate("--compare", evaluated.run, fewer, expect=2)
    assert lines[-1].split(",")[0] in done.stderr
    assert not (fewer / "comparisons").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--run", "nowhere"], ["nowhere", "best.ckpt"]),
        (["--ckpt", "nowhere.ckpt"], ["nowhere.ckpt"]),
        (["--run", "{run}", "--ckpt", "x.ckpt"], ["--run", "--ckpt"]),
        (["--run", "{run}", "--root", "nowhere"], ["nowhere", "--root"]),
        (["--run", "{run}", "--device", "cuda:77"], ["cuda:77"]),
        (["--run", "{run}", "--batch_size", "0"], ["--batch-size is 0", "1 or more"]),
        (["--run", "{run}", "--target_accuracy", "95"], ["target_accuracy", "95"]),
        (["--run", "{run}", "--split", "tset"], ["tset"]),
    ],
)
def test_bad_options_are_refused_in_a_few_words(evaluated: Evaluated, options: list[str], words: list[str]) -> None:
    done = evaluate(*(option.format(run=evaluated.run) for option in options), expect=2)
    for word in words:
        assert word in done.stderr


def test_a_photo_that_broke_since_is_named(evaluated: Evaluated, tmp_path: Path) -> None:
    moved = tmp_path / "games"
    shutil.copytree(evaluated.root, moved)
    broken = moved / "test" / "layup" / "g1_0.jpg"
    os.truncate(broken, 300)
    done = evaluate("--run", evaluated.run, "--root", moved, expect=2)
    assert "test/layup/g1_0.jpg" in done.stderr


def test_photos_that_were_labelled_anew_count_with_their_new_label(evaluated: Evaluated, tmp_path: Path) -> None:
    home, root = evaluated.root.parent, evaluated.root
    wrong, doubtful = root / "test/layup/g1_0.jpg", root / "test/shoot/g0_1.jpg"
    with Journal(home, "test") as journal:
        moves = [
            journal.move(wrong, root / "test/dribble" / wrong.name, "label", "dribble"),
            journal.move(doubtful, quarantine_place(home, doubtful), "quarantine"),
        ]
        try:
            done = evaluate("--run", evaluated.run, "--out", tmp_path)
        finally:
            for entry in reversed(moves):
                journal.undo(entry.number)
    before, figures = read(evaluated.run)
    after, metrics = read(tmp_path)
    assert len(after) == metrics["n"] == len(before) - 1
    (moved,) = {row["path"] for row in after} - {row["path"] for row in before}
    assert moved == "test/dribble/g1_0-2.jpg"
    assert next(row["class"] for row in after if row["path"] == moved) == "dribble"
    assert {row["path"] for row in before} - {row["path"] for row in after} == {
        "test/layup/g1_0.jpg",
        "test/shoot/g0_1.jpg",
    }
    # The figures under the labels before are those of the evaluation before.
    answered = {row["path"]: row["predicted"] for row in before}
    relabelled = metrics["relabelled"]
    assert figures["relabelled"] is None
    assert {key: relabelled[key] for key in ("n", "accuracy", "accuracy_ci95")} == {
        key: figures[key] for key in ("n", "accuracy", "accuracy_ci95")
    }
    assert relabelled["macro_f1"] == pytest.approx(figures["macro_f1"])
    assert (relabelled["changed"], relabelled["quarantined"]) == (1, 1)
    assert relabelled["agreeing"] == (answered["test/layup/g1_0.jpg"] == "dribble")
    assert relabelled["quarantined_errors"] == (answered["test/shoot/g0_1.jpg"] != "shoot")
    for text in (done.stdout, (tmp_path / "report.html").read_text()):
        words = " ".join(text.split())
        assert "After this model was trained, the label of 1 photo was changed" in words
        assert "1 photo was set aside" in words
        assert "Under the labels before, its accuracy is" in words
    assert "[bold]" not in done.stdout


def checkpoint(path: Path, backbone: str = "test_resnet", always: int | None = None) -> MoveClassifier:
    """Save an untrained network, which answers one class whatever it is shown if that is asked for."""
    torch.manual_seed(0)
    classifier = MoveClassifier(NAMES, backbone, "none", 32)
    if always is not None:
        classifier.network.net.get_classifier().bias.data[always] += 100
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(classifier)
    trainer.save_checkpoint(path)
    return MoveClassifier.from_checkpoint(path)


def test_a_class_absent_from_the_split_and_a_network_that_always_says_one(tmp_path: Path) -> None:
    checkpoint(tmp_path / "always.ckpt", always=1)
    root = tmp_path / "photos"
    for split in ("train", "val", "test"):
        for name in NAMES:
            (root / split / name).mkdir(parents=True)
    for split in ("train", "val"):
        for name in NAMES:
            paint_photo(root / split / name / "1.jpg", COLOURS[name], 1)
    paint_photo(root / "test" / "shoot" / "1.jpg", COLOURS["shoot"], 2)
    evaluate("--ckpt", tmp_path / "always.ckpt", "--root", root, "--out", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["n"] == 1
    assert metrics["accuracy"] == 0.0
    assert metrics["per_class"]["layup"]["support"] == 0
    assert math.isfinite(metrics["nll"])
    assert (tmp_path / "out" / "report.html").stat().st_size > 2000


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_efficientnet", "mobilenetv3_small_050"])
def test_grad_cam_is_the_gradient_times_the_maps(tmp_path: Path, backbone: str) -> None:
    classifier = checkpoint(tmp_path / "net.ckpt", backbone)
    photo = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    spec = classifier.spec
    (heat,) = grad_cam(classifier, [photo], [1])
    images = spec.normalise(torch.from_numpy(spec.resize(photo)[None]).permute(0, 3, 1, 2))
    maps = classifier.network.feature_maps(images).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier.network.logits_of_maps(maps)[0, 1], maps)
    wanted = (gradient.mean((2, 3), keepdim=True) * maps).sum(1)[0].relu().detach().numpy()
    np.testing.assert_allclose(heat, undo_fit(wanted, spec, (40, 60)), atol=1e-4)
    assert heat.shape == (43, 64)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_a_transformer_has_no_grad_cam_but_a_report(tmp_path: Path, make_dataset: Any) -> None:
    checkpoint(tmp_path / "vit.ckpt", "test_vit")
    root = make_dataset({"train": 1, "val": 1, "test": 1})
    done = evaluate("--ckpt", tmp_path / "vit.ckpt", "--root", root, "--out", tmp_path / "out")
    assert "no Grad-CAM" in done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_a_heat_map_lies_where_the_photo_was(fit: Any) -> None:
    spec = PreprocessSpec(32, fit=fit)
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[40:60, 90:110] = 255  # the middle, which every policy shows
    seen = spec.resize(photo)[..., 0].astype(np.float32)
    heat = undo_fit(seen, spec, (100, 200))
    assert heat.shape == (32, 64)
    assert heat.min() >= 0
    assert heat.max() == 1
    centre = heat[13:19, 29:35]
    assert centre.mean() > 0.7
    assert heat[:, :10].max() < 0.2
