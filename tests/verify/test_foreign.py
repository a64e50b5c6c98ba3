"""Classifiers of other programs, made here by the public code of coremltools and torch: described and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import coremltools as ct
import onnx
import pytest
import torch
from torch import Tensor, nn

from bball_pl.export.conversion import mend_coremltools
from bball_pl.model.classifier import MoveClassifier
from bball_pl.verify.foreign import runs_here, stated_labels
from bball_pl.verify.runners import quietly

from helpers.painting import COLOURS, paint_photo
from helpers.predict_runs import NAMES, calibrated, colour_checkpoint
from helpers.verify_calls import verified

mend_coremltools()

#: The order of the other program, and one of its labels as an app shows it.
ORDER = ["layup", "shoot", "dribble"]
LABELS = ["layup 上籃", "Shoot", "dribble"]


class Elsewhere(nn.Module):
    """The network as another program would have it: classes in another order, values 0–1, no temperature."""

    mean: Tensor
    std: Tensor
    order: Tensor

    def __init__(self, classifier: MoveClassifier, logits: bool = False, shift: float = 0.0) -> None:
        super().__init__()
        self.network, self.logits, self.shift = classifier.network, logits, shift
        self.register_buffer("mean", torch.tensor(classifier.spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(classifier.spec.std).view(1, 3, 1, 1))
        self.register_buffer("order", torch.tensor([NAMES.index(name) for name in ORDER]))

    def forward(self, image: Tensor) -> Tensor:
        values: Tensor = self.network((image - self.mean) / self.std)[:, self.order] + self.shift * torch.eye(3)[0]
        return values if self.logits else values.softmax(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibrated(colour_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt", 2.0), 1.3, 0.8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for place, (name, colour) in enumerate(COLOURS.items()):
        for number in range(2):
            paint_photo(root / name / f"{number}.png", colour, 10 * place + number, (64, 40))
    return root


def network(checkpoint: Path, **options: Any) -> Elsewhere:
    return Elsewhere(MoveClassifier.from_checkpoint(checkpoint), **options).eval()


def onnx_file(model: nn.Module, path: Path, labels: Sequence[str] | None = LABELS) -> Path:
    """An ONNX file as Ultralytics writes it: `names` is a Python dictionary, one photo at a time."""
    with quietly():
        torch.onnx.export(model, (torch.zeros(1, 3, 32, 32),), path, input_names=["images"], dynamo=False)
    message = onnx.load(path)
    fields = {"task": "classify", "imgsz": "[32, 32]"}
    onnx.helper.set_model_props(message, fields | ({"names": str(dict(enumerate(labels)))} if labels else {}))
    onnx.save(message, path)
    return path


def core_ml_file(model: nn.Module, path: Path, labels: Sequence[str] | None = LABELS, photo: bool = True) -> Path:
    """A Core ML file as the examples of coremltools make one: a photo with a scale, or an array without labels."""
    shape = (1, 3, 32, 32)
    given = ct.ImageType("image", shape, scale=1 / 255) if photo else ct.TensorType("x", shape)
    form: dict[str, Any] = {"convert_to": "neuralnetwork"}
    if path.suffix == ".mlpackage":
        form = {"minimum_deployment_target": ct.target.iOS16}
    with quietly(), torch.no_grad():
        converted = ct.convert(
            torch.jit.trace(model, torch.zeros(shape), check_trace=False),
            inputs=[given],
            classifier_config=ct.ClassifierConfig(list(labels)) if labels and photo else None,
            skip_model_load=True,
            **form,
        )
        if labels and not photo:
            converted.user_defined_metadata["classes"] = ", ".join(labels)
        converted.save(str(path))
    return path


def write(model: nn.Module, folder: Path, kind: str, labels: Sequence[str] | None = LABELS) -> Path:
    suffix, _, array = kind.partition(" ")
    if suffix == "onnx":
        return onnx_file(model, folder / "other.onnx", labels)
    return core_ml_file(model, folder / f"other.{suffix}", labels, photo=not array)


KINDS = ["onnx", "mlpackage", "mlmodel", "mlpackage array", "mlmodel array"]


@pytest.fixture(scope="module")
def right(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """Return a function that writes a right file of a kind, with logits or probabilities, or takes the written one."""

    @cache
    def file(kind: str, logits: bool) -> Path:
        return write(network(checkpoint, logits=logits), tmp_path_factory.mktemp("right"), kind)

    return file


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_right_file_holds_and_a_spoiled_one_does_not(
    checkpoint: Path,
    photos: Path,
    right: Callable[[str, bool], Path],
    tmp_path: Path,
    kind: str,
    logits: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--ckpt", checkpoint, "--photos", photos]
    said, _ = verified([right(kind, logits), *options, "--verbose"], 0, capsys)
    array = kind == "onnx" or kind.endswith("array")
    assert f"input {'0–1' if array else '0–255'}, {'logits' if logits else 'probabilities'}, temperature 1" in said
    assert "same answers, near-ties aside: 0 changed" in said
    assert "conditions hold" in said
    wrong = write(network(checkpoint, logits=logits, shift=0.4), tmp_path, kind)
    said, _ = verified([wrong, *options], 3, capsys)
    assert "largest difference: found" in said


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_described_without_a_checkpoint(
    right: Callable[[str, bool], Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said, _ = verified([right(kind, False)], 0, capsys)
    for words in (
        "onnxruntime" if kind == "onnx" else "executor",
        "32 × 32 → 3 values",
        "oftmax",
        "can be run here: yes",
    ):
        assert words in said, said


def test_the_op_that_is_missing_is_named(checkpoint: Path, tmp_path: Path) -> None:
    class Turned(Elsewhere):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image).atan()

    model = Turned(MoveClassifier.from_checkpoint(checkpoint)).eval()
    for suffix in ("mlpackage", "mlmodel"):
        said = runs_here(core_ml_file(model, tmp_path / f"turned.{suffix}", photo=False))
        assert said.startswith("no: ")
        assert "atan" in said
    path = onnx_file(network(checkpoint), tmp_path / "own.onnx")
    message = onnx.load(path)
    message.graph.node[-1].domain, message.graph.node[-1].op_type = "elsewhere", "Shuffle"
    message.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    onnx.save(message, path)
    assert "Shuffle" in runs_here(path)


def test_what_only_apple_runs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Create ML's image classifiers: features of Vision, then a linear model."""
    spec = ct.proto.Model_pb2.Model(specificationVersion=4)
    image = spec.description.input.add(name="image").type.imageType
    image.width = image.height = 299
    image.colorSpace = ct.proto.FeatureTypes_pb2.ImageFeatureType.RGB
    models = spec.pipelineClassifier.pipeline.models
    models.add().visionFeaturePrint.scene.version = 1
    models.add().glmClassifier.stringClassLabels.vector.extend(["cat", "dog"])
    (tmp_path / "created.mlmodel").write_bytes(spec.SerializeToString())
    said, _ = verified([tmp_path / "created.mlmodel"], 0, capsys)
    flat = " ".join(said.split())
    assert "no: holds a pipelineClassifier of visionFeaturePrint, glmClassifier" in flat
    assert "cat" in flat


def _no_labels(checkpoint: Path, folder: Path) -> Path:
    return onnx_file(network(checkpoint), folder / "other.onnx", None)


def _cats(checkpoint: Path, folder: Path) -> Path:
    return core_ml_file(network(checkpoint), folder / "other.mlmodel", ["cat", "dog", "horse"])


def _wide(checkpoint: Path, folder: Path) -> Path:
    path = onnx_file(network(checkpoint), folder / "other.onnx")
    message = onnx.load(path)
    message.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 64
    onnx.save(message, path)
    return path


def _nothing(checkpoint: Path, folder: Path) -> Path:
    (folder / "other.onnx").write_bytes(b"nothing")
    return folder / "other.onnx"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_no_labels, "states no labels; expected"),
        (_cats, "has the labels cat, dog, horse; the checkpoint has"),
        (_wide, "64 × 32"),
        (_nothing, "cannot be read"),
    ],
)
def test_what_does_not_match_is_said_in_one_line(
    checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path, Path], Path],
    words: str,
) -> None:
    options = ["--ckpt", checkpoint, "--photos", photos]
    _, said = verified([make(checkpoint, tmp_path), *options], 2, capsys)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"names": "{1: 'b', 0: 'a'}"}, ["a", "b"]),
        ({"labels": "a\nb"}, ["a", "b"]),
        ({"classes": '["a", "b"]'}, ["a", "b"]),
        ({"id2label": '{"10": "b", "9": "a"}'}, ["a", "b"]),
        ({"classes": "a, b"}, ["a", "b"]),
        ({"names": "{'x': 'y'}"}, []),
        ({}, []),
    ],
)
def test_labels_in_text_fields(fields: dict[str, str], labels: list[str]) -> None:
    assert stated_labels(fields) == labels
