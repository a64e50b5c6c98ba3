"""Faults that a converter, a script or a hand could plant in an exported file: each is caught, and by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.evaluate.calibration import DecisionRule
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.coreml import write_compressed, write_coreml
from bball_pl.export.formats import NEURAL_NETWORK_TARGET
from bball_pl.export.metadata import About, Interface, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.export.options import Compression, Compute, ExportSettings, Target
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.linear_probe import fit_regressions
from bball_pl.photos.tree import Photo
from bball_pl.verify.executors.mil_program import MilProgram
from bball_pl.verify.inspection import Expected, inspect_coreml, inspect_onnx
from bball_pl.verify.model_file import read_spec
from bball_pl.verify.parity import (
    FP16_LIMIT,
    FP32_LIMIT,
    Reference,
    compare_file,
    compression_gates,
    reference_answers,
    rounding_gate,
)
from bball_pl.verify.proof import verify_folder, write_proof
from bball_pl.verify.runners import runner_for

from helpers.export_files import edge_photos
from helpers.painting import COLOURS

NAMES = ["shoot", "dribble", "layup"]
SUFFIXES = ["mlpackage", "mlmodel", "onnx"]
#: Oldest systems of an export's files.
_TARGETS: dict[str, Target] = {".onnx": "iOS16", ".mlmodel": "iOS14", ".mlpackage": "iOS16"}


@dataclass
class Right:
    """A small classifier that tells the photos apart, and all that a right export of it needs."""

    photos: list[Photo]
    about: About
    reference: Reference
    state: dict[str, Tensor]
    folder: Path
    #: Files without a fault by suffix and precision: converted once, copied for each test.
    files: dict[tuple[str, Compute], Path] = field(default_factory=dict)

    def classifier(self, seed: int = 0) -> MoveClassifier:
        torch.manual_seed(seed)
        classifier = MoveClassifier(NAMES, "test_resnet", "none", 32).eval()
        if seed == 0:
            classifier.load_state_dict(self.state)
        return classifier

    def model(self) -> DeployModel:
        return DeployModel(self.classifier(), self.about.temperature).eval()

    def file(self, suffix: str, compute: Compute) -> Path:
        compute = compute if suffix == ".mlpackage" else "fp32"
        if (suffix, compute) not in self.files:
            path = self.folder / f"{compute}{suffix}"
            self.files[suffix, compute] = convert(path, self.model(), self.about, interface_for(NAMES), compute)
        return self.files[suffix, compute]


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
    return Right(photos, about, reference, classifier.state_dict(), tmp_path_factory.mktemp("right"))


def write(
    right: Right,
    path: Path,
    model: DeployModel | None = None,
    about: About | None = None,
    interface: Interface | None = None,
    compute: Compute = "fp32",
) -> Path:
    if model is None and about is None and interface is None:
        whole = right.file(path.suffix, compute)
        return Path(shutil.copytree(whole, path) if whole.is_dir() else shutil.copyfile(whole, path))
    model, about, interface = model or right.model(), about or right.about, interface or interface_for(NAMES)
    same = same_graph(right, model) if path.suffix == ".onnx" else None
    with pytest.MonkeyPatch.context() as patch:
        if same is not None:
            patch.setattr(torch.onnx, "export", lambda model, args, target, **_: onnx.save(same, target))
        return convert(path, model, about, interface, compute)


#: Tensors that an ONNX file has as the network has them; batch norm is folded into the others.
_UNFOLDED = {"mean", "scale", "network.net.fc.weight", "network.net.fc.bias"}


def same_graph(right: Right, model: DeployModel) -> onnx.ModelProto | None:
    """Return what torch would export if only numbers in the graph of the right file differ; else None.

    An export of torch takes longer than all that is asked of the file.
    """
    own, whole = model.state_dict(), right.model().state_dict()
    changed = {name for name in whole if not torch.equal(own[name], whole[name])}
    if type(model) is not DeployModel or not changed <= _UNFOLDED:
        return None
    proto = onnx.load(right.file(".onnx", "fp32"))
    (division,) = (node for node in proto.graph.node if node.op_type == "Div")
    numbers = {name: own[name] for name in changed} | {division.input[1]: torch.tensor(model.temperature)}
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    for name, values in numbers.items():
        assert list(stored[name].dims) == list(values.shape), name
        stored[name].CopyFrom(onnx.numpy_helper.from_array(values.detach().numpy(), name))
    return proto


def convert(path: Path, model: DeployModel, about: About, interface: Interface, compute: Compute) -> Path:
    if path.suffix == ".onnx":
        return write_onnx(model, path, interface, about)
    if path.suffix == ".mlmodel":
        return write_coreml(model, path, interface, about, "neuralnetwork", _TARGETS[".mlmodel"])
    return write_coreml(model, path, interface, about, compute=compute)


def failures(right: Right, path: Path, precise: Path | None = None) -> set[str]:
    """Return the names of the gates that a file fails: those of an export, on the file read back from disk.

    With `precise`, the proven 32-bit program, a `.mlpackage` is one of 16 bits, as it is shipped.
    """
    interface = interface_for(NAMES)
    rounds = precise is not None and path.suffix == ".mlpackage"
    parity = compare_file(
        path,
        runner_for(path, fp16=rounds),
        right.reference,
        interface.labels,
        engine="test",
        difference_limit=FP16_LIMIT if rounds else FP32_LIMIT,
    )
    if precise is not None and rounds:
        parity.gates.append(rounding_gate(path, precise, right.reference))
    fields = right.about.user_defined()
    form: Any = {".onnx": "onnx", ".mlmodel": "neuralnetwork", ".mlpackage": "mlprogram"}[path.suffix]
    target = _TARGETS[path.suffix]
    expected = Expected(
        class_names=interface.labels,
        size=32,
        input_name=interface.image,
        label_output=interface.label,
        probabilities_output=interface.probabilities,
        target=target,
        format=form,
        metadata={"author": "a", "licence": "l", "description": "d", "version": fields["bball_pl.version"], **fields},
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


# --- the files as they are shipped -----------------------------------------------------------------------------------


@dataclass
class Shipped:
    """The default file of each format with its proof, and the proven program of 32 bits."""

    folder: Path
    precise: Path

    def copy(self, target: Path, suffix: str) -> Path:
        shutil.copytree(self.folder, target)
        return target / f"model.{suffix}"


@pytest.fixture(scope="module")
def shipped(right: Right, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    folder = tmp_path_factory.mktemp("shipped")
    for suffix in SUFFIXES:
        write(right, folder / f"model.{suffix}", compute="fp16")
    write_proof(folder, {"passed": True})
    return Shipped(folder, write(right, tmp_path_factory.mktemp("precise") / "precise.mlpackage"))


def head(model: DeployModel) -> Any:
    return model.network.head


def _temperature(model: DeployModel) -> None:
    model.temperature = 20.0


def _head_times_ten(model: DeployModel) -> None:
    head(model).weight.mul_(10)


def _noise_in_the_head(model: DeployModel) -> None:
    weight = head(model).weight
    weight.add_(0.5 * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))


def _no_bias(model: DeployModel) -> None:
    head(model).bias.zero_()


def _one_logit(model: DeployModel) -> None:
    head(model).bias[1] += 0.2


def _scale(model: DeployModel) -> None:
    model.scale.mul_(1.05)


def _mean(model: DeployModel) -> None:
    model.mean.add_(2)  # of 255


def _dead_channels(model: DeployModel) -> None:
    head(model).weight[:, :32] = 0


@pytest.mark.parametrize(
    "fault",
    [_temperature, _head_times_ten, _noise_in_the_head, _no_bias, _one_logit, _scale, _mean, _dead_channels],
)
def test_a_fault_in_the_file_that_is_shipped(
    right: Right, shipped: Shipped, path: Path, fault: Callable[[DeployModel], None]
) -> None:
    model = right.model()
    with torch.no_grad():
        fault(model)
    failed = failures(right, write(right, path, model, compute="fp16"), shipped.precise)
    assert ("only rounded to 16 bits" if path.suffix == ".mlpackage" else "largest difference") in failed


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_files_that_are_shipped_pass(right: Right, shipped: Shipped, suffix: str) -> None:
    assert failures(right, shipped.folder / f"model.{suffix}", shipped.precise) == set()
    if suffix != "onnx":
        ct.utils.load_spec(str(shipped.folder / f"model.{suffix}"))  # it rewrites the manifest of a package
    assert [gate for gate in verify_folder(shipped.folder) if not gate.passed] == []


def test_a_shipped_program_is_the_proven_one_to_the_last_bit(right: Right, shipped: Shipped) -> None:
    program = MilProgram(shipped.folder / "model.mlpackage")
    rounded = MilProgram(shipped.precise, rounded_constants=True)
    assert program.digest() == rounded.digest() != MilProgram(shipped.precise).digest()
    for photo in edge_photos():
        pixels = right.about.spec.resize(photo)
        np.testing.assert_array_equal(program.probabilities(pixels), rounded.probabilities(pixels))


def stored(path: Path) -> tuple[Path, int, int]:
    """Return the file that holds the weights, and where its largest tensor begins and ends."""
    if path.suffix == ".mlpackage":
        file = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
        return file, file.stat().st_size // 2, file.stat().st_size
    if path.suffix == ".onnx":
        largest = max((tensor.raw_data for tensor in onnx.load(path).graph.initializer), key=len)
    else:
        layers = read_spec(path).neuralNetworkClassifier.layers
        values = max((layer.convolution.weights.floatValue for layer in layers), key=len)
        largest = np.array(values, np.float32).tobytes()
    start = path.read_bytes().find(largest)
    assert start > 0
    return path, start, start + len(largest)


def change(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_exponent_bit_of_the_head(right: Right, shipped: Shipped, tmp_path: Path, suffix: str) -> None:
    path = shipped.copy(tmp_path / "copy", suffix)
    file, _, _ = stored(path)
    weight = head(right.model()).weight.detach().numpy()
    weight = weight.astype(np.float16 if suffix == "mlpackage" else np.float32)
    start = file.read_bytes().find(weight.tobytes())
    assert start > 0
    last = weight.itemsize - 1  # the byte with the sign and the upper bits of the exponent
    change(file, start + last, bytes([weight.tobytes()[last] ^ 0b1000]))
    assert failures(right, path, shipped.precise)


def damage(generator: np.random.Generator, content: bytes, first: int, last: int, kind: str) -> tuple[int, bytes]:
    """Return where weights are damaged and by which bytes: others than those that are there."""
    while True:
        start = int(generator.integers(first, last - 4096))
        old = content[start : start + (1 if kind == "bit" else 4096)]
        if kind == "bit":
            new = bytes([old[0] ^ (1 << int(generator.integers(8)))])
        else:
            new = generator.bytes(4096) if kind == "noise" else bytes(4096)
        if new != old:
            return start, new


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_weights(right: Right, shipped: Shipped, tmp_path: Path, suffix: str) -> None:
    """The hash shows each of 200 damages; of the first six with noise, at least five show in the answers as well.

    The others lie in weights that hardly matter to these photos. benchmarks/export_faults.py asks the answers of all.
    """
    path = tmp_path / f"model.{suffix}"
    whole = shipped.folder / path.name
    shutil.copytree(whole, path) if whole.is_dir() else shutil.copyfile(whole, path)
    write_proof(tmp_path, {"passed": True})
    file, first, last = stored(path)
    content, generator = file.read_bytes(), np.random.default_rng(5)
    shown = 0
    for number, kind in enumerate(["noise"] * 50 + ["zeros"] * 50 + ["bit"] * 100):
        start, new = damage(generator, content, first, last, kind)
        change(file, start, new)
        assert file.stat().st_size == len(content)
        wrong = [gate.name for gate in verify_folder(tmp_path) if not gate.passed]
        assert wrong == [file.relative_to(tmp_path).as_posix()], f"{kind} at {start}"
        if number < 6:
            shown += bool(failures(right, path, shipped.precise))
        change(file, start, content[start : start + len(new)])
    assert shown >= 5
    assert verify_folder(tmp_path)[-1].passed
    assert failures(right, path, shipped.precise) == set()


def test_what_is_damaged_here_is_what_ships_by_default(shipped: Shipped) -> None:
    defaults = ExportSettings()
    assert set(defaults.formats) == set(SUFFIXES)
    assert (defaults.compute, defaults.target, defaults.route, defaults.compress) == ("fp16", "iOS16", "trace", ())
    assert _TARGETS[".mlmodel"] == NEURAL_NETWORK_TARGET
    weights, first, last = stored(shipped.folder / "model.mlpackage")
    precise, _, _ = stored(shipped.precise)
    assert 0.45 < weights.stat().st_size / precise.stat().st_size < 0.55, "16 bits a weight"
    assert last - first >= 4096 * 2


@pytest.mark.parametrize("compression", ["int8", "palette6"])
def test_faults_of_a_compressed_copy(right: Right, shipped: Shipped, tmp_path: Path, compression: Compression) -> None:
    def wrong(name: str, model: DeployModel | None = None) -> list[bool]:
        whole = shipped.folder / "model.mlpackage"
        if model is not None:
            whole = write(right, tmp_path / f"{name}.mlpackage", model, compute="fp16")
        small = tmp_path / f"{name}-{compression}.mlpackage"
        write_compressed(whole, small, compression, interface_for(NAMES), right.about)
        return [gate.passed for gate in compression_gates(small, shipped.folder / "model.mlpackage", compression)]

    assert wrong("right") == [True, True]
    hotter, noisy = right.model(), right.model()
    hotter.temperature = 1.4
    convolution = [module for module in noisy.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        convolution.weight[0, 0] += 0.2 * convolution.weight.abs().max()
    assert wrong("hotter", hotter) == [False, True]
    assert wrong("noisy", noisy) == [True, False]
