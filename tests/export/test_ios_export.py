"""Model and contract on their way into the app: what is written, what is refused, and that nothing half is left."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import coremltools as ct
import pytest

from bball_pl.errors import BballError, ConfigError, RunError, VerificationError
from bball_pl.export.coreml import write_coreml
from bball_pl.export.export import check_convertible
from bball_pl.export.handover.contract import CONTRACT, contract, main_file, model_sha256, write_contract
from bball_pl.export.ios import MODEL_FOLDER, install_in_app
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel
from bball_pl.export.options import ExportSettings
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.parity import FileParity

from helpers.export_files import Exported
from helpers.ios_swift import APP, VECTORS, contract_keys, decoded_keys
from helpers.ios_twins import contract_problem, decodes

NAMES = ["shoot", "dribble", "layup"]
VECTOR_FILE: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
DAY = datetime.date(2026, 11, 23)
FIGURES = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 40}
FILES = [
    FileParity("BasketballMoves.mlpackage", 1.0, engine, difference, same, accuracy, 0.01, 9.0)
    for engine, same, difference, accuracy in [
        ("own executor, fp16", 1.0, 0.002, 0.91),
        ("Core ML on this Mac", 0.98, 0.001, 0.9),
    ]
]
PARITY: dict[str, Any] = {"passed": True, "photos": 60, "files": [{"name": file.name} for file in FILES]}


def about(**changes: Any) -> About:
    test = {"split": "test", "n": 120, "accuracy": 0.85, "accuracy_ci95": [0.78, 0.9], "macro_f1": 0.84}
    facts = About(
        author="A. Coach",
        licence="CC BY 4.0",
        description="球 moves",
        class_names=NAMES,
        spec=PreprocessSpec(32, "crop"),
        backbone="test_resnet",
        temperature=1.25,
        threshold=0.625,
        trained="2026-11-20",
        dataset_sha256="cd" * 32,
        test={**test, "per_class": dict.fromkeys(NAMES, FIGURES)},
        checkpoint_sha256="ef" * 32,
    )
    return replace(facts, **changes)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "exports" / "demo"
    package = folder / "BasketballMoves.mlpackage"
    (package / "Data" / "weights").mkdir(parents=True)
    (package / "Manifest.json").write_text("{}")
    (package / "Data" / "weights" / "weight.bin").write_bytes(bytes(range(256)))
    (folder / "parity.json").write_text(json.dumps(PARITY))
    make_kit(folder)
    describe(folder)
    return folder


def make_kit(folder: Path) -> None:
    """Write a parity kit of one photo into an export."""
    for part in ("photos", "originals"):
        (folder / "parity_kit" / part).mkdir(parents=True)
        (folder / "parity_kit" / part / "00_layup.png").write_bytes(part.encode())
    for name in ("expected.json", "check.swift", "README.md"):
        (folder / "parity_kit" / name).write_text("{}")


def describe(folder: Path, **changes: Any) -> None:
    """Write the contract of an export."""
    facts = about(**changes)
    write_contract(folder, facts, interface_for(facts.class_names), FILES, 60, DAY)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return Path(shutil.copytree(APP, tmp_path / "App.swiftpm", ignore=shutil.ignore_patterns("Export")))


def _tree(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_app_gets_model_and_contract(export: Path, app: Path) -> None:
    before = _tree(app)
    place = install_in_app(export, app)
    assert place == app / MODEL_FOLDER
    after = _tree(app)
    assert {name: after[name] for name in before} == before, "nothing else is touched"
    model = "BasketballMoves.mlpackage"
    assert set(after) - set(before) == {
        f"{MODEL_FOLDER.as_posix()}/{name}"
        for name in (
            *(CONTRACT, f"{model}/Manifest.json", f"{model}/Data/weights/weight.bin"),
            *(f"ParityKit/{name}" for name in ("expected.json", "photos/00_layup.png", "originals/00_layup.png")),
        )
    }
    assert after[f"{MODEL_FOLDER.as_posix()}/ParityKit/originals/00_layup.png"] == b"originals"
    assert _tree(place / model) == _tree(export / model)
    found = json.loads((place / CONTRACT).read_text(encoding="utf-8"))
    assert found["model"] == {"file": model, "sha256": model_sha256(export / model)}
    assert found["features"] == {"image": "image", "label": "classLabel", "probabilities": "probabilities"}
    assert [item["name"] for item in found["classes"]] == NAMES
    assert found["classes"][2] == {"label": "layup", "name": "layup", "display": {"en": "layup", "zh-Hant": "上籃"}}
    assert found["input"] == {"size": 32, "fit": "crop", "cropAndScale": "centerCrop"}
    assert found["threshold"] == 0.625
    assert found["accuracy"]["value"] == 0.85
    assert (found["accuracy"]["low"], found["accuracy"]["high"]) == (0.78, 0.9)
    # Of executor and Core ML the worse figures.
    assert found["verification"] == {
        "photos": 60,
        "engines": ["own executor, fp16", "Core ML on this Mac"],
        "sameAnswers": 0.98,
        "largestDifference": 0.002,
        "accuracy": 0.9,
    }
    assert found["card"]["exported"] == "2026-11-23"
    assert "上籃" in (place / CONTRACT).read_text(encoding="utf-8"), "readable, not escaped"


def _same_keys(value: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, tuple):
        if value is not None:
            _same_keys(value, wanted[0], where)
    elif isinstance(wanted, list):
        for item in value:
            _same_keys(item, wanted[0], where)
    elif isinstance(wanted, dict):
        assert set(value) == set(wanted), where
        for key, kind in wanted.items():
            _same_keys(value[key], kind, f"{where}.{key}")


@pytest.mark.parametrize("changes", [{}, {"threshold": None, "test": None, "dataset_sha256": ""}])
def test_swift_reads_every_key_that_is_written_and_no_other(changes: dict[str, Any]) -> None:
    keys = contract_keys()
    written = contract(
        about(**changes), interface_for(NAMES), {"file": "a.mlpackage", "sha256": "ab" * 32}, _verification(), DAY
    )
    sample = VECTOR_FILE["contract"]
    for found in (json.loads(json.dumps(written)), sample):
        _same_keys(found, keys, "contract")
        assert decodes(found, keys)
        assert contract_problem(found, keys) is None
    del written["card"]["licence"]
    assert not decodes(written, keys)


def _verification() -> dict[str, Any]:
    return {"photos": 60, "engines": ["x"], "sameAnswers": 1.0, "largestDifference": 0.0, "accuracy": 1.0}


@pytest.mark.parametrize(("name", "labels"), [("default", "bilingual"), ("seed_2018", "name")])
def test_labels_are_what_the_model_answers(name: Any, labels: Any) -> None:
    interface = interface_for(NAMES, name, labels)
    found = contract(about(), interface, {}, _verification(), DAY)
    assert [item["label"] for item in found["classes"]] == interface.labels
    assert [item["name"] for item in found["classes"]] == NAMES
    assert found["features"]["probabilities"] == interface.probabilities


def test_swift_reads_the_contract_and_the_kit_of_a_real_export(exported: Exported, app: Path) -> None:
    place = install_in_app(exported.folder, app)
    found = json.loads((place / CONTRACT).read_text(encoding="utf-8"))
    assert decodes(found, contract_keys())
    assert contract_problem(found, contract_keys()) is None
    kit = json.loads((place / "ParityKit" / "expected.json").read_text(encoding="utf-8"))
    assert decodes(kit, decoded_keys("ParityKit"))
    assert kit["image"] == found["features"]["image"]
    assert found["model"]["file"] in kit["tolerances"]
    labels = {item["label"] for item in found["classes"]}
    for item in kit["photos"]:
        assert set(item["probabilities"]) == labels
        assert (place / "ParityKit" / item["photo"]).is_file()
        assert (place / "ParityKit" / item["original"]).is_file()
    assert {path.name for path in (place / "ParityKit").iterdir()} == {"expected.json", "photos", "originals"}


def test_other_classes_keep_their_names() -> None:
    facts = about(class_names=["ants", "蜜蜂 bees", "none"], test=None)
    found = contract(facts, interface_for(facts.class_names), {}, _verification(), DAY)
    assert found["classes"][1]["display"] == {"en": "蜜蜂 bees", "zh-Hant": "蜜蜂 bees"}
    assert found["classes"][2]["display"] == {"en": "none", "zh-Hant": "無動作"}


@pytest.mark.parametrize("part", ["expected.json", "photos", "originals"])
def test_a_model_without_its_kit_is_not_for_the_app(export: Path, app: Path, part: str) -> None:
    before = _tree(app)
    (export / "parity_kit" / part).rename(export / part)
    with pytest.raises(VerificationError, match=f"has no {part}"):
        install_in_app(export, app)
    assert _tree(app) == before


@pytest.mark.parametrize("name", [item["name"] for item in VECTOR_FILE["folderNames"] if not item["safe"]], ids=ascii)
def test_a_class_that_cannot_name_a_folder_is_not_for_the_app(export: Path, app: Path, name: str) -> None:
    before = _tree(app)
    describe(export, class_names=["ants", name], test=None)
    with pytest.raises(ConfigError, match="cannot name a folder"):
        install_in_app(export, app)
    assert _tree(app) == before


@pytest.mark.parametrize(
    "names", [["a"], ["caf\u00e9", "cafe\u0301"], ["a", "b", "a"], ["a", "zero\u200bwidth"]], ids=ascii
)
def test_classes_that_the_app_refuses_are_refused_before_an_export_is_written(names: list[str]) -> None:
    model = MoveClassifier(class_names=["a", "b"], backbone="test_resnet", weights="none", image_size=32)

    class Model:
        class_names = names
        classifier = model

    with pytest.raises(ConfigError, match=r"expected two or more|one name|cannot name a folder"):
        check_convertible(Model(), ExportSettings())  # type: ignore[arg-type]
    classes = [{"label": name, "name": name, "display": {"en": name}} for name in names]
    assert contract_problem({**VECTOR_FILE["contract"], "classes": classes}, contract_keys()) is not None


def test_a_model_that_its_contract_does_not_describe_is_not_for_the_app(export: Path, app: Path) -> None:
    before = _tree(app)
    (export / "BasketballMoves.mlpackage" / "Manifest.json").write_text('{"other": 1}')
    with pytest.raises(VerificationError, match=r"is not the model that ModelContract\.json describes"):
        install_in_app(export, app)
    for broken in ("[]", "{}", '{"classes": [{"name": "a"}]}'):
        (export / CONTRACT).write_text(broken)
        with pytest.raises(VerificationError, match="is no contract"):
            install_in_app(export, app)
    (export / CONTRACT).unlink()
    with pytest.raises(VerificationError, match="cannot be read"):
        install_in_app(export, app)
    assert _tree(app) == before


def test_the_contract_describes_the_file_that_an_app_takes(export: Path) -> None:
    names = ["BasketballMoves.onnx", "BasketballMoves-int8.mlpackage", "BasketballMoves.mlmodel"]
    assert main_file([*names, "BasketballMoves.mlpackage"]) == "BasketballMoves.mlpackage"
    assert main_file([names[0], names[2]]) == "BasketballMoves.mlmodel"
    assert main_file(names[:1]) == "BasketballMoves.onnx"
    file = export / "BasketballMoves.onnx"
    file.write_bytes(b"onnx")
    only = FileParity(file.name, 1.0, "onnxruntime", 0.001, 1.0, 0.9, 0.01, 9.0)
    written = json.loads(write_contract(export, about(), interface_for(NAMES), [only], 60).read_text())
    assert written["model"] == {"file": file.name, "sha256": hashlib.sha256(b"onnx").hexdigest()}
    assert written["verification"]["engines"] == ["onnxruntime"]


def test_a_real_package_is_as_its_contract_says(tmp_path: Path, app: Path) -> None:
    model = MoveClassifier(class_names=NAMES, backbone="test_resnet", weights="none", image_size=32)
    facts = about(spec=model.spec)
    interface = interface_for(NAMES, labels="bilingual")
    folder = tmp_path / "real"
    folder.mkdir()
    write_coreml(DeployModel(model).eval(), folder / "BasketballMoves.mlpackage", interface, facts)
    (folder / "parity.json").write_text(json.dumps(PARITY))
    make_kit(folder)
    write_contract(folder, facts, interface, FILES, 60)
    place = install_in_app(folder, app)
    found = json.loads((place / CONTRACT).read_text(encoding="utf-8"))
    spec = ct.utils.load_spec(str(place / found["model"]["file"]))
    (image,) = spec.description.input
    assert image.name == found["features"]["image"]
    assert image.type.imageType.width == image.type.imageType.height == found["input"]["size"]
    assert spec.description.predictedFeatureName == found["features"]["label"]
    assert spec.description.predictedProbabilitiesName == found["features"]["probabilities"]
    program = spec.mlProgram.SerializeToString()
    assert all(item["label"].encode() in program for item in found["classes"])
    assert spec.description.metadata.userDefined["bball_pl.crop_policy"] == found["input"]["cropAndScale"]
    assert found["card"]["exported"] == datetime.datetime.now(datetime.UTC).date().isoformat()


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("step", ["copytree", "copyfile"])
def test_a_failed_export_leaves_the_older_model(
    export: Path, app: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, step: str
) -> None:
    install_in_app(export, app)
    before = _tree(app)

    def fail(*_: object, **__: object) -> None:
        raise fault

    (export / "BasketballMoves.mlpackage" / "Manifest.json").write_text('{"new": 1}')
    describe(export, threshold=None)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, step, fail)
        with pytest.raises((KeyboardInterrupt, RunError)) as raised:
            install_in_app(export, app)
    if isinstance(raised.value, BballError):
        assert "keeps its old model" in str(raised.value)
        assert "is full" in str(raised.value)
    assert _tree(app) == before
    place = install_in_app(export, app)
    assert json.loads((place / CONTRACT).read_text())["threshold"] is None
    assert (place / "BasketballMoves.mlpackage" / "Manifest.json").read_text() == '{"new": 1}'
    assert {path.name for path in place.parent.iterdir()} == {"README.md", "Export"}


def test_what_a_killed_process_left_does_not_get_into_the_app(export: Path, app: Path) -> None:
    left = app / MODEL_FOLDER.parent / ".Export.abc.partial"
    left.mkdir()
    (left / "weight.bin").write_bytes(b"half")
    install_in_app(export, app)
    assert not left.exists()


@pytest.mark.parametrize("parity", [{**PARITY, "passed": False}, {**PARITY, "files": []}, {"passed": True}, [], None])
def test_only_a_proven_model_goes_into_the_app(export: Path, app: Path, parity: object) -> None:
    if parity is None:
        (export / "parity.json").unlink()
    else:
        (export / "parity.json").write_text(json.dumps(parity))
    before = _tree(app)
    with pytest.raises(VerificationError, match=r"parity\.json"):
        install_in_app(export, app)
    assert _tree(app) == before


def test_an_export_without_ml_program_and_a_folder_without_app(export: Path, app: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Package\.swift"):
        install_in_app(export, tmp_path)
    shutil.rmtree(export / "BasketballMoves.mlpackage")
    with pytest.raises(ConfigError, match="--formats"):
        install_in_app(export, app)


def test_the_fingerprint_is_what_a_shell_says(export: Path) -> None:
    package = export / "BasketballMoves.mlpackage"
    fingerprint = model_sha256(package)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(_tree(package).items())]
    assert fingerprint == hashlib.sha256("".join(lines).encode()).hexdigest()
    (package / ".DS_Store").write_bytes(b"a Mac looked at it")
    assert model_sha256(package) == fingerprint
    if shutil.which("sha256sum") is not None:
        command = "find * -type f ! -name '.*' | LC_ALL=C sort | xargs sha256sum | sha256sum"
        done = subprocess.run(["sh", "-c", command], cwd=package, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == fingerprint
    weights = package / "Data" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert model_sha256(package) != fingerprint, "a truncated file is noticed"
