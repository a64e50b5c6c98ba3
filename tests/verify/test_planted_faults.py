"""Faults that a converter, a script or a hand could plant in an exported file: each is caught, and by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.evaluate.calibration import DecisionRule
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.coreml import write_coreml
from bball_pl.export.deploy import DeployModel
from bball_pl.export.metadata import About, Interface, interface_for
from bball_pl.export.onnx import write_onnx
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.linear_probe import fit_regressions
from bball_pl.photos.tree import Photo
from bball_pl.verify.inspection import Expected, inspect_coreml, inspect_onnx
from bball_pl.verify.parity import FP32_LIMIT, Reference, compare_file, reference_answers
from bball_pl.verify.runners import runner_for

from helpers.export_files import edge_photos
from helpers.painting import COLOURS

NAMES = ["shoot", "dribble", "layup"]
SUFFIXES = ["mlpackage", "mlmodel", "onnx"]


@dataclass
class Right:
    """A small classifier that tells the photos apart, and all that a right export of it needs."""

    photos: list[Photo]
    about: About
    reference: Reference
    state: dict[str, Tensor]

    def classifier(self, seed: int = 0) -> MoveClassifier:
        torch.manual_seed(seed)
        classifier = MoveClassifier(NAMES, "test_resnet", "none", 32).eval()
        if seed == 0:
            classifier.load_state_dict(self.state)
        return classifier

    def model(self) -> DeployModel:
        return DeployModel(self.classifier(), self.about.temperature).eval()


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Right:
    folder = tmp_path_factory.mktemp("photos")
    photos = []
    for place, photo in enumerate(edge_photos()):
        name = NAMES[list(COLOURS).index(NAMES[place % 3])]
        path = folder / f"{place}.png"
        Image.fromarray(photo).save(path)
        photos.append(Photo(path, path.name, "test", name, ""))
    torch.manual_seed(0)
    classifier = MoveClassifier(NAMES, "test_resnet", "none", 32).eval()
    spec = classifier.spec
    pixels = np.stack([spec.resize(photo) for photo in edge_photos()])
    images = spec.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    classifier.train()
    for module in classifier.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the plain mean of what it sees
    with torch.no_grad():
        classifier.network(images)
        classifier.eval()
        features = classifier.network.features(images)
        targets = torch.arange(6) % 3
        probe = fit_regressions(features, targets, 3)[-1]
        head: Any = classifier.network.head
        head.weight.copy_(probe.weight)
        head.bias.copy_(probe.bias)
    about = About("a", "l", "d", NAMES, spec, "test_resnet", 1.3, 0.6, "2026-11-23", "0" * 64, None, "1" * 64)
    reference = reference_answers(
        TrainedModel(classifier, DecisionRule(NAMES, about.temperature), device="cpu"), photos
    )
    assert reference.accuracy == 1.0
    return Right(photos, about, reference, classifier.state_dict())


def write(
    right: Right,
    path: Path,
    model: DeployModel | None = None,
    about: About | None = None,
    interface: Interface | None = None,
) -> Path:
    model, about, interface = model or right.model(), about or right.about, interface or interface_for(NAMES)
    if path.suffix == ".onnx":
        return write_onnx(model, path, interface, about)
    if path.suffix == ".mlmodel":
        return write_coreml(model, path, interface, about, "neuralnetwork", "iOS13")
    return write_coreml(model, path, interface, about, compute="fp32")


def failures(right: Right, path: Path) -> set[str]:
    """Return the names of the gates that a file fails: those of an export, on the file read back from disk."""
    interface = interface_for(NAMES)
    parity = compare_file(
        path, runner_for(path), right.reference, interface.labels, engine="test", difference_limit=FP32_LIMIT
    )
    form: Any = {".onnx": "onnx", ".mlmodel": "neuralnetwork", ".mlpackage": "mlprogram"}[path.suffix]
    target = {".onnx": "", ".mlmodel": "iOS13", ".mlpackage": "iOS16"}[path.suffix]
    expected = Expected(
        class_names=interface.labels,
        size=32,
        input_name=interface.image,
        label_output=interface.label,
        probabilities_output=interface.probabilities,
        target=target,
        format=form,
    )
    findings = (inspect_onnx if form == "onnx" else inspect_coreml)(path, expected)
    failed = {gate.name for gate in parity.gates if not gate.passed}
    return failed | {finding.name for finding in findings if not finding.passed}


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"model.{request.param}"


def test_a_right_file_passes(right: Right, path: Path) -> None:
    assert failures(right, write(right, path)) == set()


def test_wrong_scale(right: Right, path: Path) -> None:
    model = right.model()
    model.scale *= 1.5
    assert "largest difference" in failures(right, write(right, path, model))


def test_wrong_bias(right: Right, path: Path) -> None:
    model = right.model()
    model.mean += 40
    assert "largest difference" in failures(right, write(right, path, model))


def test_wrong_normalisation_by_a_hair(right: Right, path: Path) -> None:
    model = right.model()
    model.scale *= 1.01
    assert "largest difference" in failures(right, write(right, path, model)), "too little for any answer to change"


def test_blue_for_red_in_the_network(right: Right, path: Path) -> None:
    model = right.model()
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    first.weight.data = first.weight.data.flip(1)  # it takes RGB for BGR
    assert {"largest difference", "same answers, near-ties aside"} <= failures(right, write(right, path, model))


@pytest.mark.parametrize("suffix", ["mlpackage", "mlmodel"])
def test_blue_for_red_in_the_description(right: Right, tmp_path: Path, suffix: str) -> None:
    path = write(right, tmp_path / f"model.{suffix}")
    inner = path / "Data" / "com.apple.CoreML" / "model.mlmodel" if path.is_dir() else path
    spec = ct.utils.load_spec(str(inner))
    colours = ct.proto.FeatureTypes_pb2.ImageFeatureType
    spec.description.input[0].type.imageType.colorSpace = colours.BGR
    inner.write_bytes(spec.SerializeToString())
    failed = failures(right, path)
    assert "largest difference" in failed, "the executor obeys the description"
    assert any("colour" in name for name in failed), failed


def test_swapped_labels(right: Right, path: Path) -> None:
    swapped = replace(interface_for(NAMES), labels=["dribble", "shoot", "layup"])
    assert "labels in order" in failures(right, write(right, path, interface=swapped))


def test_missing_softmax(right: Right, path: Path) -> None:
    class Logits(DeployModel):
        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.network((image - self.mean) * self.scale)
            return logits

    model = Logits(right.classifier(), right.about.temperature).eval()
    failed = failures(right, write(right, path, model))
    assert "probabilities sum to 1" in failed
    assert any("softmax" in name for name in failed), failed


def test_another_temperature(right: Right, path: Path) -> None:
    model = DeployModel(right.classifier(), 1.0).eval()
    assert failures(right, write(right, path, model)) == {"largest difference"}, "the answers stay, the numbers do not"


@pytest.mark.parametrize("suffix", ["mlpackage", "mlmodel"])
def test_training_mode(right: Right, tmp_path: Path, suffix: str) -> None:
    model = right.model()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms[:3]:  # further down one photo of this size has one value a channel, which torch refuses
        norm.train()
    failed = failures(right, write(right, tmp_path / f"model.{suffix}", model))
    assert "largest difference" in failed
    assert any("train" in name or "batch norm" in name for name in failed), failed


def test_wrong_fit_of_the_photo(right: Right, path: Path) -> None:
    about = replace(right.about, spec=replace(right.about.spec, fit="crop"))
    assert "same answers, near-ties aside" in failures(right, write(right, path, about=about))


def test_wrong_size_of_the_photo(right: Right, path: Path) -> None:
    about = replace(right.about, spec=replace(right.about.spec, size=64))
    assert "photo's size" in failures(right, write(right, path, about=about))


def test_the_weights_of_another_model(right: Right, path: Path) -> None:
    model = DeployModel(right.classifier(seed=1), right.about.temperature).eval()
    assert "largest difference" in failures(right, write(right, path, model))


def test_the_weight_file_of_another_program(right: Right, tmp_path: Path) -> None:
    path = write(right, tmp_path / "model.mlpackage")
    stranger = right.model()
    for parameter in stranger.parameters():
        if parameter.ndim == 4:
            parameter.data *= 1.3
    other = write(right, tmp_path / "other.mlpackage", stranger)
    weights = Path("Data", "com.apple.CoreML", "weights", "weight.bin")
    shutil.copyfile(other / weights, path / weights)
    assert "largest difference" in failures(right, path)


def _cut(path: Path) -> None:
    inner = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin" if path.is_dir() else path
    inner.write_bytes(inner.read_bytes()[: inner.stat().st_size // 2])


def _empty(path: Path) -> None:
    inner = path / "Data" / "com.apple.CoreML" / "model.mlmodel" if path.is_dir() else path
    inner.write_bytes(b"")


@pytest.mark.parametrize("harm", [_cut, _empty])
def test_truncated_files(right: Right, path: Path, harm: Callable[[Path], None]) -> None:
    harm(write(right, path))
    with pytest.raises(VerificationError, match="model"):
        failures(right, path)
