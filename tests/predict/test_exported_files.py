"""bball predict and bball evaluate with exported files: the answers are those of the checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from bball_pl import cli, project
from bball_pl.evaluate.predictions import read_answers
from bball_pl.verify.parity import FP16_LIMIT, FP32_LIMIT
from bball_pl.verify.proof import verify_folder

from helpers.predict_runs import NAMES, calibrated, predict, rows_of
from helpers.tiny_exports import Tiny, tiny_export
from helpers.try_runs import make_run

FILES = {"onnx": FP32_LIMIT, "mlpackage": FP16_LIMIT, "mlmodel": FP32_LIMIT}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return tiny_export(tmp_path_factory, tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("suffix", FILES)
def test_predict_answers_as_with_the_checkpoint(
    tiny: Tiny, suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Mixtures of two colours are near the threshold; a damaged file is listed in both.
    (tiny.photos / "broken.png").write_bytes(b"nothing")
    sources = [tiny.photos / "test", tiny.photos / "broken.png"]
    expected, said = predict([*sources, "--ckpt", tiny.checkpoint, "--device", "cpu"], monkeypatch, capsys, 1)
    found, says = predict([*sources, "--model", tiny.file(suffix)], monkeypatch, capsys, 1)
    assert found.splitlines()[0] == expected.splitlines()[0], "the columns have the names of the classes"
    assert len(rows_of(found)) == len(rows_of(expected)) == 9
    for ours, theirs in zip(rows_of(found), rows_of(expected), strict=True):
        assert [ours[key] for key in ("path", "answer", "predicted")] == [
            theirs[key] for key in ("path", "answer", "predicted")
        ]
        for name in NAMES:
            assert float(ours[f"prob_{name}"]) == pytest.approx(float(theirs[f"prob_{name}"]), abs=FILES[suffix])
    assert "9 photos in" in says
    assert says.splitlines()[-2:] == said.splitlines()[-2:], "the failures are the same"
    assert f"model: {tiny.file(suffix)}" in says.replace("\n", "")


def test_json_lines_and_a_threshold(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options: list[str | Path] = [
        tiny.photos / "test",
        "--format",
        "jsonl",
        "--threshold",
        "1",
        "--model",
        tiny.file("onnx"),
    ]
    text, _ = predict(options, monkeypatch, capsys)
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["answer"] for row in rows] == ["unsure"] * 9
    assert list(rows[0]["probabilities"]) == NAMES


@pytest.mark.parametrize("suffix", ["onnx", "mlpackage"])
def test_evaluate_gives_the_figures_of_the_checkpoint_beside_them(
    tiny: Tiny, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--root", str(tiny.photos), "--no-report"]
    cli.main(words=["evaluate", str(tiny.checkpoint), *options, "--out", str(tmp_path / "ckpt")])
    capsys.readouterr()
    cli.main(words=["evaluate", str(tiny.run), "--model", str(tiny.file(suffix)), *options])
    said = capsys.readouterr().out
    folder = tiny.run / "evaluations" / f"test-tiny-BasketballMoves.{suffix}-photos"
    assert f"results: {folder}" in said.replace("\n", "")
    ours, theirs = (json.loads((place / "metrics.json").read_text()) for place in (folder, tmp_path / "ckpt"))
    assert ours.keys() == theirs.keys()
    for key in ("split", "n", "accuracy", "confusion", "temperature"):
        assert ours[key] == theirs[key], key
    assert ours["unsure"]["threshold"] == 0.8
    assert ours["unsure"]["answered"] == theirs["unsure"]["answered"]
    assert ours["uncalibrated"]["nll"] == pytest.approx(theirs["uncalibrated"]["nll"], abs=10 * FILES[suffix])
    tables = [read_answers(place / "predictions_test.csv") for place in (folder, tmp_path / "ckpt")]
    assert tables[0].paths == tables[1].paths
    np.testing.assert_allclose(tables[0].probabilities, tables[1].probabilities, atol=FILES[suffix])
    assert not (tiny.run / project.METRICS).exists(), "the run's own figures are those of its checkpoint"
    assert all(gate.passed for gate in verify_folder(tiny.folder)), "nothing is added to the export"


def test_evaluate_without_the_run_needs_photos_and_takes_temperature_and_threshold_from_the_file(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "elsewhere.onnx"
    shutil.copyfile(tiny.file("onnx"), file)
    with pytest.raises(SystemExit):
        cli.main(words=["evaluate", "--model", str(file), "--no-report"])
    assert "Pass --root DIR" in capsys.readouterr().err
    options = ["--model", str(file), "--root", str(tiny.photos), "--out", str(tmp_path / "out"), "--format", "md"]
    cli.main(words=["evaluate", *options])
    captured = capsys.readouterr()
    assert "Temperature 1.30 (as the exported file states it)" in captured.out.replace("\n", " ")
    assert "no Grad-CAM: an exported file has no gradients" in captured.err
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "The exported file states the temperature 1.30 and a threshold of 0.80" in report
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["unsure"]["target_accuracy"] is None


def _without_metadata(tiny: Tiny, folder: Path) -> Path:
    model = onnx.load(tiny.file("onnx"))
    del model.metadata_props[:]
    onnx.save(model, folder / "plain.onnx")
    return folder / "plain.onnx"


def test_what_cannot_answer_is_refused_in_one_line(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tiny.photos / "test" / "shoot" / "0.png"
    other = calibrated(make_run(tmp_path / "lightning_logs", "other/version_0", 2.0), 1.0, None)
    (tmp_path / "cut.onnx").write_bytes(tiny.file("onnx").read_bytes()[:5000])
    plain = _without_metadata(tiny, tmp_path)
    refused: list[tuple[list[str | Path], str]] = [
        ([photo, "--model", plain], "does not state how photos are preprocessed"),
        ([photo, "--model", tmp_path / "cut.onnx"], "onnxruntime refuses it"),
        ([photo, "--model", tmp_path / "none.onnx"], "there is no"),
        ([photo, "--model", photo], "is no exported file; expected one that ends in .onnx"),
        ([photo, "--model", tiny.file("onnx"), "--ckpt", tiny.checkpoint], "--model and a checkpoint are both given"),
        ([photo, "--model", tiny.file("onnx"), "--device", "cuda"], "runs on the CPU"),
        ([photo, "--model", tiny.file("onnx"), "--threshold", "2"], "--threshold is 2.0"),
    ]
    for options, words in refused:
        text, said = predict(options, monkeypatch, capsys, 2)
        assert words in said, said
        assert text == ""
        assert len(said.strip().splitlines()) == 1, said
    for words_given, words in (
        (["--model", str(tiny.file("onnx")), "--tta", "flip"], "--model stands alone"),
        ([str(other.parents[1]), "--model", str(tiny.file("onnx"))], "was not exported from"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(words=["evaluate", *words_given])
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
