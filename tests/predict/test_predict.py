"""scripts/predict.py on photos: which answers, in which form, and what happens to bad files."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.predict import output

from helpers.forked import start_python
from helpers.painting import COLOURS
from helpers.predict_runs import NAMES, PREDICT, calibrated, colour_checkpoint, environment, predict, rows_of

Paint = Callable[..., Path]
Run = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt")


@pytest.fixture
def run(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*options: str | Path, ckpt: Path = checkpoint, expect: int = 0, stdin: bytes = b"") -> tuple[str, str]:
        return predict([*options, "--ckpt", ckpt, "--device", "cpu"], monkeypatch, capsys, expect, stdin)

    return call


@pytest.fixture
def album(tmp_path: Path, paint: Paint) -> Path:
    """Ten photos of two sizes and formats, in two folders."""
    for number in range(10):
        name = NAMES[number % 3]
        folder = "b" if number % 2 else "a"
        suffix = ".png" if number % 4 else ".jpg"
        paint(tmp_path / "album" / folder / f"{number}_{name}{suffix}", COLOURS[name], number, (64, 48 + 10 * number))
    return tmp_path / "album"


def copy_of(checkpoint: Path, folder: Path) -> Path:
    copy = folder / "copy.ckpt"
    copy.write_bytes(checkpoint.read_bytes())
    return copy


# --- answers ---------------------------------------------------------------------------------------------------------


def test_answers_are_those_of_the_network_in_the_order_of_the_sources(
    run: Run, checkpoint: Path, album: Path, tmp_path: Path
) -> None:
    copy = copy_of(checkpoint, tmp_path)
    calibrated(copy, temperature=2.5, threshold=0.8)
    first = album / "b" / "9_shoot.png"
    text, said = run(first, album, "--batch_size", "4", ckpt=copy)
    rows = rows_of(text)
    expected = [first, *sorted(path for path in album.rglob("*.*") if path != first)]
    assert [row["path"] for row in rows] == [str(path) for path in expected]
    classifier = MoveClassifier.from_checkpoint(checkpoint)
    sure = set()
    for row, path in zip(rows, expected, strict=True):
        photo = torch.tensor(classifier.spec.resize(decode(path))).permute(2, 0, 1)[None]
        with torch.no_grad():
            wanted = (classifier(classifier.spec.normalise(photo))[0].double() / 2.5).softmax(0)
        shares = [float(row[f"prob_{name}"]) for name in NAMES]
        assert shares == pytest.approx(wanted.tolist(), abs=2e-5)
        best = int(wanted.argmax())
        assert row["predicted"] == NAMES[best] == path.stem.split("_")[1]
        assert float(row["confidence"]) == pytest.approx(float(wanted[best]), abs=2e-5)
        assert row["answer"] == (NAMES[best] if wanted[best] >= 0.8 else "unsure")
        assert (row["frame"], row["seconds"], row["smoothed"]) == ("", "", "")
        sure.add(row["answer"] != "unsure")
    assert sure == {True, False}, "the threshold divides these photos"
    assert "10 photos in" in said
    assert "photos/s" in said
    assert "note:" not in said


def test_without_calibration_nothing_is_unsure_and_a_note_says_why(run: Run, checkpoint: Path, album: Path) -> None:
    text, said = run(album)
    assert all(row["answer"] == row["predicted"] for row in rows_of(text))
    assert "note: confidences are not calibrated" in said
    assert "bball evaluate" in said
    strict, _ = run(album, "--threshold", "1")
    assert {row["answer"] for row in rows_of(strict)} == {"unsure"}


def test_a_calibration_of_another_checkpoint_is_not_used(
    run: Run, checkpoint: Path, album: Path, tmp_path: Path
) -> None:
    copy = copy_of(checkpoint, tmp_path)
    calibrated(copy, temperature=50.0, threshold=0.999)
    copy.write_bytes(checkpoint.read_bytes() + b" ")
    text, said = run(album, ckpt=copy)
    assert "unsure" not in text
    assert "not calibrated" in said


def test_a_threshold_that_validation_did_not_find_and_one_that_overrides(
    run: Run, checkpoint: Path, album: Path, tmp_path: Path
) -> None:
    copy = copy_of(checkpoint, tmp_path)
    calibrated(copy, temperature=1.0, threshold=None)
    text, said = run(album, ckpt=copy)
    assert "unsure" not in text
    assert "pass --threshold" in said.lower()
    calibrated(copy, temperature=1.0, threshold=1.0)
    assert "unsure" in run(album, ckpt=copy)[0]
    assert "unsure" not in run(album, "--threshold", "0.2", ckpt=copy)[0]


# --- forms -----------------------------------------------------------------------------------------------------------


def test_json_lines_say_the_same_as_csv(run: Run, album: Path) -> None:
    rows = rows_of(run(album, "--format", "csv")[0])
    entries = [json.loads(line) for line in run(album, "--format", "jsonl")[0].splitlines()]
    assert len(entries) == len(rows) == 10
    for row, entry in zip(rows, entries, strict=True):
        assert list(entry) == [
            *("path", "answer", "predicted", "confidence", "probabilities", "frame", "seconds", "smoothed")
        ]
        assert (entry["path"], entry["answer"]) == (row["path"], row["answer"])
        assert entry["probabilities"] == {name: float(row[f"prob_{name}"]) for name in NAMES}
        assert entry["frame"] is entry["seconds"] is entry["smoothed"] is None


def test_a_table_has_display_names_and_leaves_brackets_alone(
    run: Run, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "[red]1.png", COLOURS["dribble"])
    monkeypatch.chdir(tmp_path)
    text, _ = run("[red]1.png", "--format", "table")
    assert "[red]1.png" in text
    assert "dribble 運球" in text


def test_names_that_are_not_utf8_come_out_as_they_went_in(
    run: Run, checkpoint: Path, paint: Paint, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9,1.png")
    try:
        paint(odd, COLOURS["shoot"])
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    run(tmp_path, "--out", tmp_path / "answers.csv")
    assert b'caf\xe9,1.png"' in (tmp_path / "answers.csv").read_bytes()
    run(tmp_path, "--out", tmp_path / "answers.jsonl")
    assert json.loads((tmp_path / "answers.jsonl").read_text(encoding="utf-8"))["path"] == str(odd)


def test_a_file_or_a_folder_for_the_answers(run: Run, album: Path, tmp_path: Path) -> None:
    direct, _ = run(album)
    for option, file in ((tmp_path / "new" / "x.csv", "new/x.csv"), (tmp_path, "predictions.csv")):
        text, _ = run(album, "--out", option)
        assert text == ""
        assert (tmp_path / file).read_text() == direct
    run(album, "--out", tmp_path, "--format", "jsonl")
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 10
    _, said = run(album, "--out", tmp_path / "x.txt", "--format", "table", expect=2)
    assert "--format csv" in said
    (tmp_path / "file").touch()
    _, said = run(album, "--out", tmp_path / "file" / "x.csv", expect=2)
    assert "cannot be written" in said


def test_ctrl_c_leaves_no_half_file_and_shows_what_is_done(
    run: Run, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = output.CsvWriter.write, []

    def interrupting(self: output.CsvWriter, row: output.Row) -> None:
        original(self, row)
        written.append(row.path)
        if len(written) % 5 == 0:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(output.CsvWriter, "write", interrupting)
    before = sorted(tmp_path.iterdir())
    run(album, "--out", tmp_path / "x.csv", "--batch_size", "2", expect=130)
    assert sorted(tmp_path.iterdir()) == before
    text, _ = run(album, "--batch_size", "2", expect=130)
    assert len(rows_of(text)) == 5


@pytest.mark.skipif(os.name != "posix", reason="pipes that close")
def test_a_reader_that_goes_away_is_no_error(checkpoint: Path, paint: Paint, tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "many" / f"{number:03d}.png", seed=number)
    options = [str(tmp_path / "many"), "--ckpt", str(checkpoint), "--batch_size", "2", "--device", "cpu"]
    process = start_python([PREDICT, *options], env=environment(), cwd=tmp_path)
    first = process.stdout.readline()
    assert first.startswith("path,answer,predicted,confidence,prob_shoot"), process.stderr.read()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=900) == 141
    assert [line for line in said.splitlines() if not line.startswith(("note:", "model:"))] == []


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_bad_files_are_listed_and_counted_and_the_rest_is_answered(run: Run, album: Path, tmp_path: Path) -> None:
    good = next(album.rglob("*.jpg")).read_bytes()
    (album / "a" / "cut.jpg").write_bytes(good[: len(good) // 2])
    (album / "empty.jpg").touch()
    (album / "b" / "page.png").write_text("<html>")
    (album / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    text, said = run(album, "missing.jpg", "--annotate", tmp_path / "annotated", expect=1)
    assert len(rows_of(text)) == 10
    _, _, listing = said.partition("5 of 15 photos failed:\n")
    assert listing.startswith("  missing.jpg: there is no such file\n")
    assert len(listing.splitlines()) == 5
    for name, reason in {
        "a/cut.jpg": "truncated or damaged",
        "empty.jpg": "empty file",
        "b/page.png": "not an image",
        "nowhere.jpg": "cannot be read",
    }.items():
        assert f"  {album / name}: {reason}" in listing
    assert len(list((tmp_path / "annotated").rglob("*.jpg"))) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nix.jpg", "*.nix"], "there is nothing to classify:\n  nix.jpg: there is no such file\n  *.nix: no photo"),
        (["-"], "standard input lists nothing"),
        (["a.png", "--run", "somewhere"], "--run and --ckpt are both given"),
        (["a.png", "--threshold", "1.5"], "expected a number from 0 to 1"),
        (["a.png", "--fps", "0"], "--fps is 0"),
        (["a.png", "--smooth", "-1"], "--smooth is -1"),
        (["a.png", "--fps", "many"], "many"),
        (["a.png", "--batch_size", "0"], "batch size"),
        (["a.png", "--out", "a.png"], "one of the sources"),
        (["a.png", "--annotate", "."], "not annotated copies"),
        (["a.png", "--annotate", "a.png"], "is a file"),
        ([], "SOURCES"),
    ],
)
def test_what_cannot_be_done_ends_with_status_2(
    run: Run, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = paint(tmp_path / "a.png").read_bytes()
    text, said = run(*options, expect=2)
    assert message in said
    assert text == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == photo


def test_the_newest_run_answers_unless_another_is_named(
    checkpoint: Path, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "lightning_logs" / "moves" / "version_0"
    (own / "checkpoints").mkdir(parents=True)
    (own / "checkpoints" / "best.ckpt").write_bytes(checkpoint.read_bytes())
    text, _ = predict([album, "--run", own, "--device", "cpu"], monkeypatch, capsys)
    assert len(rows_of(text)) == 10
    _, said = predict([album, "--run", tmp_path], monkeypatch, capsys, expect=2)
    assert "pass the folder of a finished run" in said
