"""bball verify with a checkpoint: every condition again, on the files of an export as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from rich.console import Console

from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.export import export_model
from bball_pl.export.options import ExportSettings
from bball_pl.verify.proof import read_proof, write_proof

from helpers.photo_faults import Fault, blue_for_red, crop_and_nearest, ignored_orientation
from helpers.predict_runs import calibrated, environment
from helpers.tiny_exports import Tiny, tiny_export
from helpers.verify_calls import verified

Verify = Callable[..., str]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return tiny_export(tmp_path_factory, tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(tiny: Tiny, tmp_path: Path) -> Tiny:
    """The export where its photos are still found, to be spoiled."""
    shutil.copytree(tiny.photos, tmp_path / "photos")
    shutil.copytree(tiny.folder, tmp_path / "exports" / "tiny")
    return Tiny(tiny.checkpoint, tmp_path / "photos", tmp_path / "exports" / "tiny")


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    def call(*words: object, expect: int = 0) -> str:
        return "".join(verified(words, expect, capsys))

    return call


def test_a_whole_export_with_its_own_photos(tiny: Tiny, verify: Verify) -> None:
    said = verify(tiny.folder, "--ckpt", tiny.run, "--verbose")
    assert "6 of the proof's 6 photos, unchanged" in said
    for name in ("onnx", "mlpackage", "mlmodel"):
        assert f"BasketballMoves.{name}: largest difference: " in said
    assert "BasketballMoves.mlpackage: only rounded to 16 bits: 0.0e+00" in said
    assert "BasketballMoves-int8.mlpackage: error of the compressed weights: " in said
    assert "control pictures: " in said
    facts = read_proof(tiny.folder)
    names = [gate["name"] for file in facts["files"] for gate in file["gates"]]
    assert f"all {len(facts['sha256']) + 2 + len(names) + 3 + 1} conditions hold" in said, (
        "those of the export, and no less"
    )


@pytest.mark.parametrize("name", ["BasketballMoves.onnx", "BasketballMoves-int8.mlpackage"])
def test_one_file_of_an_export(copy: Tiny, verify: Verify, name: str) -> None:
    (copy.folder / "MODEL_CARD.md").write_text("the files beside it do not count")
    assert "are those that were proven" in verify(copy.folder / name)
    assert "conditions hold" in verify(copy.folder / name, "--ckpt", copy.checkpoint)


@pytest.mark.parametrize("suffix", ["mlpackage", "onnx"])
def test_one_file_without_its_proof(tiny: Tiny, tmp_path: Path, verify: Verify, suffix: str) -> None:
    path = tmp_path / f"sent.{suffix}"
    (shutil.copytree if suffix == "mlpackage" else shutil.copyfile)(tiny.file(suffix), path)
    said = verify(path)
    assert "no parity.json beside it" in said
    assert "can be run here: yes" in said
    assert "--photos DIR" in verify(path, "--ckpt", tiny.checkpoint, expect=2)
    assert "conditions hold" in verify(path, "--ckpt", tiny.checkpoint, "--photos", tiny.photos)


def spoil(path: Path) -> None:
    """Change one logit of an ONNX file by 0.2."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.dims == [3]:
            values = onnx.numpy_helper.to_array(tensor) + np.array([0, 0.2, 0], np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)


def test_a_spoiled_file_shows_in_its_bytes_and_in_its_answers(copy: Tiny, verify: Verify) -> None:
    spoil(copy.file("onnx"))
    said = verify(copy.folder, "--ckpt", copy.checkpoint, expect=3)
    assert "BasketballMoves.onnx: found" in said
    assert "BasketballMoves.onnx: largest difference: found" in said
    assert [line for line in said.splitlines() if ": found" in line and ".onnx" not in line] == []
    # Somebody who makes a new seal does not deceive the comparison.
    facts = read_proof(copy.folder)
    write_proof(copy.folder, {name: facts[name] for name in facts if name not in ("seal", "sha256", "tools")})
    assert "are those that were proven" in verify(copy.folder)
    again = verify(copy.folder, "--ckpt", copy.checkpoint, expect=3)
    assert [line for line in again.splitlines() if ": found" in line and "largest difference" not in line] == []


def test_a_file_that_cannot_be_run_is_not_proven(copy: Tiny, verify: Verify) -> None:
    weights = copy.file("mlpackage") / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    said = verify(copy.file("mlpackage"), "--ckpt", copy.checkpoint, expect=3)
    assert "weight.bin: found" in said
    assert "can be run: found" in said


def test_photos_that_are_elsewhere(copy: Tiny, tmp_path: Path, verify: Verify) -> None:
    shutil.rmtree(copy.photos / "train")
    moved = tmp_path / "moved"
    moved.mkdir()
    for number, photo in enumerate(sorted(copy.photos.rglob("*.png"))):
        shutil.copyfile(photo, moved / f"{number}.png")
    shutil.rmtree(copy.photos)
    path = copy.file("onnx")
    assert "no longer at" in verify(path, "--ckpt", copy.checkpoint, expect=2)
    assert "6 of the proof's 6 photos" in verify(path, "--ckpt", copy.checkpoint, "--photos", moved)
    assert "there is no folder" in verify(path, "--ckpt", copy.checkpoint, "--photos", tmp_path / "nix", expect=2)
    assert "pass --ckpt" in verify(path, "--photos", moved, expect=2)


def test_a_run_that_was_evaluated_again_differs_in_its_decision_rule_alone(
    copy: Tiny, tmp_path: Path, verify: Verify
) -> None:
    again = calibrated(Path(shutil.copytree(copy.run, tmp_path / "run")) / "checkpoints" / "best.ckpt", 2.5, 0.6)
    (tmp_path / "run" / "config.yaml").touch()
    metrics = {"split": "test", "accuracy": 0.9, "accuracy_ci95": [0.8, 0.95], "n": 40}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    os.utime(again, (0, 0))  # a copy from another day
    said = verify(copy.folder, "--ckpt", again, expect=3)
    (line,) = [line for line in said.splitlines() if ": found" in line]
    assert line.startswith("decision rule: found temperature 1.3, threshold 0.8 (the run was evaluated again since: ")
    assert line.endswith("expected temperature 2.5, threshold 0.6, as the checkpoint's calibration says")
    assert "the files state a test accuracy of not measured, and the run has now 90.0%" in said
    # The rule of the files is not believed: they must answer by it.
    spoil(copy.file("onnx"))
    lines = [line for line in verify(copy.file("onnx"), "--ckpt", again, expect=3).splitlines() if ": found" in line]
    assert any("largest difference" in line for line in lines)


def test_another_checkpoint_is_not_the_one(tiny: Tiny, tmp_path: Path, verify: Verify) -> None:
    other = tmp_path / "other.ckpt"
    other.write_bytes(tiny.checkpoint.read_bytes() + b" ")
    said = verify(tiny.file("mlmodel"), "--ckpt", other, expect=3)
    assert "metadata" in said
    assert "bball_pl.checkpoint_sha256" in said


def test_bytes_are_checked_without_torch(tiny: Tiny) -> None:
    """Without it a changed byte is reported in a second; loading torch alone takes several."""
    code = (
        "import sys; from bball_pl import cli; cli.main(words=['verify', sys.argv[1]]); "
        "sys.exit(bool({'torch', 'coremltools', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny.folder)], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are those that were proven" in done.stdout


@pytest.mark.parametrize("fault", [crop_and_nearest, ignored_orientation, blue_for_red])
def test_a_fault_of_decoding_or_resizing_cannot_hide(
    tiny: Tiny, tmp_path: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    fault(monkeypatch)
    said = verify(tiny.file("onnx"), "--ckpt", tiny.checkpoint, expect=3)
    assert "control pictures: found" in said
    # The file agrees with the trained model: both take the same wrong pixels.
    assert "BasketballMoves.onnx: largest difference" not in said
    settings = ExportSettings(formats=["onnx"], photos=3)
    model = TrainedModel.open(tiny.checkpoint, device="cpu")
    export = export_model(model, tmp_path / "faulty", settings, tiny.photos, Console(quiet=True))
    assert not export.passed
    assert [path.name for path in tmp_path.iterdir()] == ["faulty.rejected"]
    wrong = {gate["name"] for gate in read_proof(tmp_path / "faulty.rejected")["pixels"] if not gate["passed"]}
    assert "control pictures" in wrong
