"""device.json: written by the kit's script, read and checked by the export, and put into the model card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bball_pl.errors import ConfigError
from bball_pl.evaluate.origin import Origin
from bball_pl.export.export import export_model
from bball_pl.export.handover.contract import model_sha256
from bball_pl.export.handover.device import DeviceRun, read_device, refuse_strangers
from bball_pl.export.handover.resizing import squared
from bball_pl.export.options import ExportSettings
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.project import PACKAGE
from bball_pl.verify.runners import runner_for

from helpers.export_files import Exported, edge_photo, script
from helpers.ios_swift import of_type, text, tree, walk

KIT = PACKAGE / "export" / "parity_kit"
RUN = {
    "compute": "cpuAndNeuralEngine",
    "passed": True,
    "largest_difference": 0.0041,
    "same_answers": 1.0,
    "vision": {"largest_difference": 0.0312, "same_answers": 0.95},
    "cold_ms": 812.4,
    "warm_ms": 35.2,
    "p50_ms": 3.14,
    "p95_ms": 4.5,
    "thermal": "nominal",
}
RECORD: dict[str, Any] = {
    "schema": 1,
    "tool": "check.swift",
    "device": "Mac14,2",
    "system": "macOS 15.1",
    "date": "2026-11-26",
    "model": {"file": "BasketballMoves.mlpackage", "sha256": "ab" * 32},
    "photos": 20,
    "tolerance": 0.02,
    "runs": [RUN, {**RUN, "compute": "all", "passed": False, "vision": None, "thermal": "fair"}],
}


def write(path: Path, record: object) -> Path:
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def changed(*keys: str | int, to: Any = None) -> dict[str, Any]:
    """The record with one value changed, or taken out."""
    record: dict[str, Any] = json.loads(json.dumps(RECORD))
    target: Any = record
    for key in keys[:-1]:
        target = target[key]
    if to is None:
        del target[keys[-1]]
    else:
        target[keys[-1]] = to
    return record


def test_a_record_is_read(tmp_path: Path) -> None:
    record = read_device(write(tmp_path / "device.json", RECORD))
    assert (record.device, record.date.isoformat(), record.sha256) == ("Mac14,2", "2026-11-26", "ab" * 32)
    assert record.runs[0] == DeviceRun(
        "cpuAndNeuralEngine", True, 0.0041, 1.0, 0.0312, 0.95, 812.4, 35.2, 3.14, 4.5, "nominal"
    )
    assert record.runs[1].vision_same_answers is None


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ([], "schema is 'list', expected 1"),
        (changed("schema", to=2), "schema is 2, expected 1"),
        (changed("device"), "device is None"),
        (changed("device", to="a\nb"), r"device is 'a\\nb', expected text on one line"),
        (changed("date", to="yesterday"), "date is 'yesterday', expected YYYY-MM-DD"),
        (changed("model", "sha256", to="AB" * 32), "model.sha256 is .*, expected 64 hex digits"),
        (changed("model", to="x"), "model is 'x'"),
        (changed("photos", to=True), "photos is True"),
        (changed("tolerance", to=-1), "tolerance is -1, expected a number, 0 to 1"),
        (changed("runs", to=[]), "runs is empty"),
        (changed("runs", 1, "compute", to="gpu"), r"runs\[1\].compute is 'gpu', expected one of cpuOnly"),
        (changed("runs", 1, "compute", to="cpuAndNeuralEngine"), "twice"),
        (changed("runs", 0, "passed", to="yes"), r"runs\[0\].passed is 'yes', expected true or false"),
        (changed("runs", 0, "same_answers", to=1.5), r"runs\[0\].same_answers is 1.5, expected a number, 0 to 1"),
        (changed("runs", 0, "vision", "largest_difference"), r"runs\[0\].vision.largest_difference is None"),
        (changed("runs", 0, "p95_ms", to=float("nan")), r"runs\[0\].p95_ms is nan"),
        (changed("runs", 0, "p50_ms", to=float("inf")), r"runs\[0\].p50_ms is inf"),
        (changed("runs", 0, "thermal", to="hot"), r"runs\[0\].thermal is 'hot'"),
    ],
)
def test_a_faulty_record_is_refused_in_one_line(tmp_path: Path, record: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        read_device(write(tmp_path / "device.json", record))
    assert "\n" not in str(raised.value)
    assert "device.json" in str(raised.value)


def test_a_file_that_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    for path, words in ((tmp_path / "a.json", "is not JSON"), (tmp_path / "b.json", "cannot be read")):
        with pytest.raises(ConfigError, match=words):
            read_device(path)


def test_measurements_get_into_the_card(exported: Exported, tmp_path: Path) -> None:
    program = model_sha256(exported.folder / "BasketballMoves.mlpackage")
    path = write(tmp_path / "device.json", changed("model", "sha256", to=program))
    # A process of its own, as the command is: what ran before in this one changes names inside a converted program.
    options = ["--run", exported.run, "--out", tmp_path / "again", *exported.options]
    script(*options, "--formats", "mlpackage", "--photos", 6, "--device", path)
    card = (tmp_path / "again" / "small" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Mac14,2, macOS 15.1, 2026-11-26: `BasketballMoves.mlpackage`, 20 photos" in card
    assert (
        "| CPU and Neural Engine | pass | 4.1e-03 | 100.0% | 0.031 | 95.0% | 812 | 35 | 3.1 | 4.5 | nominal |" in card
    )
    assert "| all | FAIL | 4.1e-03 | 100.0% | – | – |" in card
    assert "Vision changed a probability by at most 0.031" in card
    with pytest.raises(ConfigError, match=r"measured BasketballMoves\.mlpackage with the SHA-256 abababababab…"):
        refuse_strangers({path: read_device(write(path, RECORD))}, {"BasketballMoves.mlpackage": program})


def test_measurements_of_another_export_are_refused(exported: Exported, tmp_path: Path) -> None:
    path, out = write(tmp_path / "device.json", RECORD), tmp_path / "out"
    options = ["--run", exported.run, "--out", out, "--photos", 6, "--formats", "onnx"]
    done = script(*options, "--device", path, expect=2)
    assert "Measure this export" in done.stderr
    assert list(out.iterdir()) == []
    done = script(*options, "--device", write(path, changed("photos")), expect=2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, "before the work"


STAND_IN = """
import json, os, types
import numpy as np
ComputeUnit = types.SimpleNamespace(CPU_ONLY=0, CPU_AND_NE=1, ALL=2)
class MLModel:
    def __init__(self, path, compute_units):
        self.spoilt = os.environ.get("SPOILT") == str(compute_units)
    def predict(self, inputs):
        (name, photo), = inputs.items()
        shares = json.loads(os.environ["ANSWERS"])[str(int(np.asarray(photo).sum()))]
        if self.spoilt:
            shares = dict(zip(shares, list(shares.values())[::-1]))
        return {"probabilities": shares, "classLabel": max(shares, key=shares.get)}
models = types.SimpleNamespace(MLModel=MLModel)
"""


def test_the_kit_passes_a_good_model_and_fails_a_bad_one(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core ML is played by the executor: what is tested is the kit's script and its expectations."""
    (tmp_path / "coremltools.py").write_text(STAND_IN)
    kit = Path(shutil.copytree(exported.folder, tmp_path / "folder")) / "parity_kit"
    expected = json.loads((kit / "expected.json").read_text())
    assert expected["model"] == "BasketballMoves.mlpackage"
    assert expected["tolerances"] == {"BasketballMoves.mlpackage": 0.02, "BasketballMoves.mlmodel": 0.02}
    assert 10 <= len(expected["photos"]) <= 20
    runner = runner_for(exported.folder / "BasketballMoves.mlpackage", fp16=True)
    answers = {}
    for item in expected["photos"]:
        photo = decode(kit / item["photo"])
        shares = dict(zip(runner.class_names, map(float, runner.probabilities(photo)), strict=True))
        answers[str(int(photo.sum()))] = shares
        assert (kit / item["original"]).is_file()
    monkeypatch.chdir(tmp_path)
    for spoilt, status, word in (("", 0, "PASS: 3 of 3"), ("1", 1, "FAIL: 2 of 3")):
        extra = {"ANSWERS": json.dumps(answers), "PYTHONPATH": str(tmp_path), "SPOILT": spoilt}
        done = script(path=kit / "check_parity.py", expect=status, extra=extra)
        assert done.stdout.splitlines()[-1].startswith(word)
        record = read_device(tmp_path / "device.json")
        assert record.sha256 == model_sha256(exported.folder / "BasketballMoves.mlpackage")
        assert [(run.compute, run.passed) for run in record.runs] == [
            ("cpuOnly", True),
            ("cpuAndNeuralEngine", not spoilt),
            ("all", True),
        ]
        assert all(0 < run.p50_ms <= run.p95_ms for run in record.runs)


def test_a_compressed_copy_is_allowed_its_own_difference(exported: Exported, tmp_path: Path) -> None:
    settings = ExportSettings(formats=["mlpackage"], compress=["int8"], photos=6)
    result = export_model(exported.model(), tmp_path / "small", settings)
    tolerances = json.loads((result.folder / "parity_kit" / "expected.json").read_text())["tolerances"]
    (copy,) = [file for file in result.files if "int8" in file.name]
    assert tolerances == {"BasketballMoves.mlpackage": 0.02, copy.name: 0.02 + copy.largest_difference}


def test_the_swift_script_parses_and_writes_the_keys_of_the_schema() -> None:
    root = tree(KIT / "check.swift")
    assert [node for node in walk(root) if node.is_error or node.is_missing] == []
    source = (KIT / "check.swift").read_text(encoding="utf-8")
    keys = {}
    for node in of_type(root, "class_declaration"):
        found = re.match(r"struct (\w+): Encodable \{(.*)\}", text(node), re.DOTALL)
        if found:
            names = re.findall(r"(\w+)(?=[,:])", " ".join(re.findall(r"let ([^:]+:)", found[2])))
            # As JSONEncoder's convertToSnakeCase does it.
            keys[found[1]] = {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower() for name in names}
    assert keys["Record"] == set(RECORD)
    assert keys["Run"] == set(RUN)
    assert keys["VisionFigures"] == {"largest_difference", "same_answers"}
    assert keys["Model"] == {"file", "sha256"}
    for words in (".cpuOnly", ".cpuAndNeuralEngine", ".all", "MLModel.compileModel", "item.photo", "$0.original"):
        assert words in source


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_another_filter_makes_photos_square_in_the_same_way(fit: Any) -> None:
    spec = PreprocessSpec(32, fit, interpolation="bilinear")
    seen: list[tuple[int, int]] = []

    def note(resize: Callable[..., Any]) -> Callable[..., Any]:
        def noted(photo: Any, width: int, height: int) -> Any:
            seen.append((width, height))
            return resize(photo, width, height)

        return noted

    from bball_pl.export.handover import resizing

    bilinear = next(resize for name, antialiased, resize in resizing._FILTERS if name == "bilinear" and antialiased)
    photo = edge_photo((10, 20, 30), 3)
    # Pillow's box looks at pixels beside the crop as well: the outermost columns differ.
    inner = slice(2, -2) if fit == "crop" else slice(None)
    assert (squared(photo, spec, note(bilinear))[:, inner] == spec.resize(photo)[:, inner]).all()
    assert seen == [(32, 16) if fit == "pad" else (32, 32)]


def test_the_card_says_what_resizing_costs(exported: Exported) -> None:
    card = (exported.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([\w ()]+) \| (yes|no) \| (\S+) \| (\S+)% \| (\S+)% \|$", card, re.MULTILINE)
    assert [(name, antialiased) for name, antialiased, *_ in found] == [
        ("bicubic", "yes"),
        ("bilinear (as trained)", "yes"),
        ("Lanczos", "yes"),
        ("area", "yes"),
        ("bicubic", "no"),
        ("bilinear", "no"),
        ("nearest", "no"),
    ]
    costs = {(name, antialiased): float(difference) for name, antialiased, difference, *_ in found}
    assert costs["bilinear (as trained)", "yes"] < 1e-5
    assert costs["nearest", "no"] > costs["bicubic", "yes"] > 1e-5
    assert "Apple does not document" in card


@pytest.mark.parametrize(
    ("trained", "tested", "words"),
    [
        (1, 1, ["Trained and tested on rendered scenes: this model has seen no real photo of a move"]),
        (1, 0, ["Trained on rendered scenes"]),
        (0.25, 1, ["25% of the photos of the training dataset", "Tested on rendered scenes"]),
        (0, 0, []),
    ],
)
def test_rendered_scenes_are_named(trained: float, tested: float, words: list[str]) -> None:
    lines = Origin(trained, tested).lines()
    assert len(lines) == len(words) == len(Origin(trained, tested).lines("zh-Hant"))
    assert all(line.startswith(start) for line, start in zip(lines, words, strict=True))
