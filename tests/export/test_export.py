"""scripts/export.py from end to end: what an export holds, that it never varies, and that nothing half is left."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import onnx
import pytest
import torch

from bball_pl.errors import RunError
from bball_pl.evaluate.predictions import read_answers
from bball_pl.export import coreml
from bball_pl.export.coreml import write_coreml
from bball_pl.export.export import check_convertible, export_model
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel
from bball_pl.export.options import ExportSettings
from bball_pl.files import staged_folder
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.verify.executors.mil_program import read_program
from bball_pl.verify.proof import verify_folder
from bball_pl.verify.runners import CoreAIRunner, runner_for

from helpers.export_files import Exported, digest, edge_photos, script
from helpers.fit_runs import ROOT

FILES = ["BasketballMoves.onnx", "BasketballMoves.mlpackage", "BasketballMoves.mlmodel"]


def test_an_export_holds_every_format_and_its_proof(exported: Exported) -> None:
    found = {path.name for path in exported.folder.iterdir()}
    assert found == {*FILES, "parity.json", "README.md", "ModelContract.json", "MODEL_CARD.md", "parity_kit"}
    parity = json.loads((exported.folder / "parity.json").read_text())
    assert parity["passed"] is True
    assert parity["photos"] == 12
    assert [gate for gate in verify_folder(exported.folder) if not gate.passed] == []
    bound = {path.relative_to(exported.folder).as_posix() for path in exported.folder.rglob("*") if path.is_file()}
    assert set(parity["sha256"]) == bound - {"parity.json"}
    assert [file["name"] for file in parity["files"]] == FILES
    for file in parity["files"]:
        assert file["same_answers"] == 1.0
        assert len(file["gates"]) >= 10
        assert all(gate["passed"] for gate in file["gates"]), file["name"]
        assert file["name"].removeprefix("BasketballMoves") in exported.said
    assert f"export: {exported.folder}" in exported.said
    leftovers = [path.name for path in exported.folder.parent.iterdir() if path != exported.folder]
    assert leftovers == []


@pytest.mark.parametrize("name", FILES)
def test_each_file_answers_as_the_evaluation_did(exported: Exported, name: str) -> None:
    answers = read_answers(exported.run / "predictions_test.csv")
    runner = runner_for(exported.folder / name)
    spec = MoveClassifier.from_checkpoint(exported.checkpoint).spec
    assert runner.class_names == answers.class_names
    for row in (0, 5, 11):
        photo = spec.resize(decode(exported.root / answers.paths[row]))
        np.testing.assert_allclose(runner.probabilities(photo), answers.probabilities[row], atol=4e-3)


def test_the_files_say_where_they_come_from(exported: Exported) -> None:
    checks: list[dict[str, str]] = []
    for name in FILES[1:]:
        metadata = ct.utils.load_spec(str(exported.folder / name)).description.metadata
        assert (metadata.author, metadata.license) == ("A. Coach", "CC BY 4.0")
        assert metadata.shortDescription == "球 moves"
        checks.append(dict(metadata.userDefined))
    checks.append({field.key: field.value for field in onnx.load(exported.folder / FILES[0]).metadata_props})
    for fields in checks:
        assert json.loads(fields["bball_pl.classes"]) == ["shoot", "dribble", "layup"]
        assert fields["bball_pl.crop_policy"] == "scaleFill"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", fields["bball_pl.trained"])
        assert re.fullmatch(r"[0-9a-f]{64}", fields["bball_pl.dataset_sha256"])
        assert "of 12 photos" in fields["bball_pl.test_accuracy"]
        assert float(fields["bball_pl.temperature"]) > 0
    card = (exported.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("A. Coach", "CC BY 4.0", "of 12 photos", "consent", "scaleFill", *FILES):
        assert words in card


def test_the_same_checkpoint_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    script("--run", exported.run, "--out", tmp_path, *exported.options)
    for name in [*FILES, "parity_kit"]:
        assert digest(tmp_path / "small" / name) == digest(exported.folder / name), name


def test_an_export_leaves_the_model_as_it_was_and_decodes_each_photo_of_the_proof_once(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exported.model()
    before = {name: tensor.clone() for name, tensor in model.classifier.state_dict().items()}
    layers = [type(module) for module in model.classifier.modules()]
    decoded: list[Path] = []

    def counted(path: Path) -> np.ndarray:
        decoded.append(path)
        return decode(path)

    monkeypatch.setattr("bball_pl.verify.parity.decode", counted)
    deployed = check_convertible(model, ExportSettings(formats=["mlmodel"]))
    settings = ExportSettings(photos=6, formats=["mlmodel"])
    assert export_model(model, tmp_path / "small", settings, deployed=deployed).passed
    assert len(decoded) == len(set(decoded)) == 6
    assert [type(module) for module in model.classifier.modules()] == layers
    for name, tensor in model.classifier.state_dict().items():
        assert tensor.stride() == before[name].stride()
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("suffix", ["mlpackage", "mlmodel"])
def test_the_routes_give_the_same_answers(exported: Exported, tmp_path: Path, suffix: str) -> None:
    trained = exported.model()
    about = About.of_model(trained, "", "", "")
    model = DeployModel(trained.classifier, trained.rule.temperature).eval()
    interface = interface_for(model.class_names)
    onnx_file = exported.folder / "BasketballMoves.onnx"
    form: Any = "mlprogram" if suffix == "mlpackage" else "neuralnetwork"
    answers = []
    routes: list[Any] = ["trace", "export", "onnx"]
    for route in routes:
        target: Any = "iOS16" if suffix == "mlpackage" else "iOS14"
        path = tmp_path / f"{route}.{suffix}"
        write_coreml(model, path, interface, about, form, target, route, "fp32", onnx_file)
        runner = runner_for(path)
        answers.append([runner.probabilities(model.spec.resize(photo)) for photo in edge_photos()])
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-5)


def test_the_app_of_2018_takes_the_new_file(exported: Exported, tmp_path: Path) -> None:
    options = ["--interface", "seed_2018", "--formats", "mlmodel", "--photos", 6]
    script("--run", exported.run, "--out", tmp_path, *options)
    spec = ct.utils.load_spec(str(tmp_path / "small" / "BasketballMoves.mlmodel"))
    assert [feature.name for feature in spec.description.input] == ["image"]
    assert {feature.name for feature in spec.description.output} == {"classLabel", "BasketballBConfidence"}
    assert spec.description.predictedFeatureName == "classLabel"
    labels = list(spec.neuralNetworkClassifier.stringClassLabels.vector)
    assert sorted(labels) == sorted(["投籃(shoot)", "運球(dribble)", "上籃(layup)"])
    assert spec.specificationVersion == 4, "iOS 13"


def test_a_compressed_copy_that_loses_too_much_is_left_out_unless_forced(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bball_pl.export import formats

    program = ExportSettings(formats=["mlpackage"], compress=["int8", "palette6"], photos=6)
    kept = export_model(exported.model(), tmp_path / "kept", program)
    assert {path.name for path in (tmp_path / "kept").glob("*.mlpackage")} == {
        "BasketballMoves.mlpackage",
        "BasketballMoves-int8.mlpackage",
        "BasketballMoves-palette6.mlpackage",
    }
    sizes = [file.megabytes for file in kept.files]
    assert sizes[0] > sizes[1] > sizes[2]
    monkeypatch.setattr(formats, "COMPRESSED_ACCURACY_LIMIT", -1.0)
    left = export_model(exported.model(), tmp_path / "left", program)
    assert left.passed
    assert [file.name for file in left.refused] == [
        "BasketballMoves-int8.mlpackage",
        "BasketballMoves-palette6.mlpackage",
    ]
    assert [path.name for path in (tmp_path / "left").glob("*.mlpackage")] == ["BasketballMoves.mlpackage"]
    forced = ExportSettings(formats=["mlpackage"], compress=["int8"], photos=6, force=True)
    assert export_model(exported.model(), tmp_path / "forced", forced).passed
    assert (tmp_path / "forced" / "BasketballMoves-int8.mlpackage").is_dir()


@pytest.mark.parametrize("compression", ["int8", "palette6"])
def test_compression_spares_the_layer_that_makes_the_logits(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Any
) -> None:
    # The head of the small network counts as small; that of inception_v3 does not.
    monkeypatch.setattr(coreml, "_SMALL", 0)
    program = exported.folder / "BasketballMoves.mlpackage"
    about = About.of_model(exported.model(), "", "", "")
    interface = interface_for(about.class_names)
    path = coreml.write_compressed(program, tmp_path / "small.mlpackage", compression, interface, about)
    weighty = [own for own in read_program(path).operations if own.op_type in {"conv", "linear"}]
    stored = [own.weight.op.op_type for own in weighty]
    assert all(kind.startswith("constexpr_") for kind in stored[:-1])
    assert stored[-1] == "const"
    whole = [own for own in read_program(program).operations if own.op_type in {"conv", "linear"}]
    np.testing.assert_array_equal(weighty[-1].weight.val, whole[-1].weight.val)


def test_what_is_not_proven_ends_with_status_3_and_another_name(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = DeployModel.forward
    monkeypatch.setattr(DeployModel, "forward", lambda self, image: original(self, image.flip(1)))
    options = ["--run", exported.run, "--out", tmp_path, "--formats", "onnx", "--photos", "12"]
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / "export.py"), run_name="__main__")
    assert ended.value.code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["small.rejected"]
    assert json.loads((tmp_path / "small.rejected" / "parity.json").read_text())["passed"] is False
    assert not (tmp_path / "small.rejected" / "ModelContract.json").exists(), "an app trusts it"
    assert "Not proven: do not ship" in (tmp_path / "small.rejected" / "README.md").read_text(encoding="utf-8")
    captured = capsys.readouterr()
    assert "not proven" in captured.err
    assert "same answers" in captured.out


def test_a_core_ai_asset_is_proven_by_apples_own_runtime(exported: Exported, tmp_path: Path) -> None:
    pytest.importorskip("coreai", reason="Apple's beta packages are not installed: pip install 'bball_pl[coreai]'")
    script("--run", exported.run, "--out", tmp_path, "--formats", "aimodel", "--photos", 6)
    folder = tmp_path / "small"
    (row,) = json.loads((folder / "parity.json").read_text())["files"]
    assert row["name"] == "BasketballMoves.aimodel"
    assert row["largest_difference"] < 1e-4
    said = script("--inspect", folder / "BasketballMoves.aimodel").stdout
    assert all(name in said for name in ("Core AI", "shoot", "dribble", "layup", "32 × 32"))
    runner = runner_for(folder / "BasketballMoves.aimodel")
    whole = runner_for(exported.folder / "BasketballMoves.onnx")
    for photo in edge_photos():
        pixels = DeployModel(MoveClassifier.load_from_checkpoint(exported.checkpoint, weights_only=True)).spec.resize(
            photo
        )
        np.testing.assert_allclose(runner.probabilities(pixels), whole.probabilities(pixels), atol=1e-5)
    assert isinstance(runner, CoreAIRunner)
    runner.close()


def test_a_core_ai_asset_with_swapped_channels_is_rejected(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("coreai", reason="Apple's beta packages are not installed: pip install 'bball_pl[coreai]'")
    original = DeployModel.forward
    monkeypatch.setattr(DeployModel, "forward", lambda self, image: original(self, image.flip(1)))
    settings = ExportSettings(formats=["aimodel"], photos=12)
    assert not export_model(exported.model(), tmp_path / "small", settings).passed
    assert [path.name for path in tmp_path.iterdir()] == ["small.rejected"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_export_that_breaks_off_leaves_the_older_one_alone(tmp_path: Path, fault: BaseException) -> None:
    target = tmp_path / "exports" / "demo"
    with staged_folder(target) as staging:
        (staging.folder / "old").write_text("old")

    def break_off() -> None:
        with staged_folder(target) as staging:
            (staging.folder / "new").write_text("half")
            raise fault

    with pytest.raises((RunError, KeyboardInterrupt)):
        break_off()
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["demo"]
    assert [path.name for path in target.iterdir()] == ["old"]
    with staged_folder(target) as staging:
        (staging.folder / "new").write_text("whole")
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["demo"]
    assert [path.name for path in target.iterdir()] == ["new"]


def test_inspecting_prints_the_interface(exported: Exported) -> None:
    for name in FILES:
        said = script("--inspect", exported.folder / name).stdout
        for word in ("image", "probabilities", "shoot", "layup", "球 moves"):
            assert word in said, (name, word, said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--formats", "mlmodel", "--route", "onnx"], ["--route onnx", "--formats"]),
        (["--formats", "onnx", "--compress", "int8"], ["--compress", "mlpackage"]),
        (["--formats"], ["--formats"]),
        (["--formats", "onnx", "--ios"], ["--ios", "mlpackage"]),
        (["--target", "iOS13"], ["iOS13", "iOS15"]),
        (["--name", "../away"], ["../away", "--out"]),
        (["--name", ".hidden"], [".hidden", "--name"]),
        (["--name", "two\nlines"], ["two\\nlines", "--name"]),
        (["--name", ""], ["--name", "''"]),
        (["--author", ""], ["--author", "''"]),
        (["--licence", "  "], ["--licence"]),
        (["--description", "two\nlines"], ["--description", "two\\nlines"]),
        (["--root", "nowhere"], ["nowhere"]),
        (["--compress", "int9"], ["int9"]),
    ],
)
def test_settings_that_do_not_go_together(
    exported: Exported, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    done = script("--run", exported.run, "--out", tmp_path / "out", *options, expect=2)
    for word in words:
        assert word in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "converting" not in done.stderr, "before the work"
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("labels", ["name", "bilingual"])
def test_labels_of_the_interface(labels: Any) -> None:
    interface = interface_for(["shoot", "dribble", "layup"], labels=labels)
    wanted = ["shoot", "dribble", "layup"] if labels == "name" else ["shoot 投籃", "dribble 運球", "layup 上籃"]
    assert interface.labels == wanted
