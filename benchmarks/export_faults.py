"""Faults planted in the default export of each format: which gate of the proof catches which.

    python benchmarks/export_faults.py                     # the model that comes along, on rendered scenes
    python benchmarks/export_faults.py --run lightning_logs/moves/version_0 --root data/moves --photos 10

Two kinds. A fault of a converter, a script or a hand is planted in the network before it is written: another
temperature, a head with noise, a lost bias. Damage is planted in the bytes of the weights of the finished file: single
bits flipped, 4 kB replaced by noise or by zeros, at random places. Damage that hardly changes an answer is caught by
the hash alone. The output is Markdown.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
import torch
from jsonargparse import auto_cli
from torch import nn

from bball_pl.court.demo_dataset import write_demo
from bball_pl.errors import VerificationError, exit_on_error
from bball_pl.evaluate.evaluation import split_photos
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.coreml import write_coreml
from bball_pl.export.formats import NEURAL_NETWORK_TARGET
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.export.options import ExportSettings
from bball_pl.photos.decode import decode
from bball_pl.verify.executors.mil_program import MilProgram
from bball_pl.verify.model_file import read_spec
from bball_pl.verify.parity import (
    FP16_LIMIT,
    FP32_LIMIT,
    ROUNDING_LIMIT,
    Reference,
    choose_photos,
    compare_file,
    reference_answers,
)
from bball_pl.verify.proof import verify_folder, write_proof
from bball_pl.verify.runners import runner_for

#: Suffix of each format by its name in the table.
FORMATS = {"ONNX": "onnx", "ML Program, fp16": "mlpackage", "NeuralNetwork": "mlmodel"}
_BLOCK = 4096


@dataclass
class Export:
    """The default export of a network, with what it is compared with.

    Attributes:
        folder: holds `model.onnx`, `model.mlpackage` and `model.mlmodel`, each in a folder of its own with its proof.
        model: the network as it is shipped.
        about: the facts that every file carries.
        reference: the trained model's answers.
        rounded: answers of the 32-bit program with rounded constants, float32 `[photos, classes]`.
    """

    folder: Path
    model: DeployModel
    about: About
    reference: Reference
    rounded: np.ndarray

    def file(self, suffix: str) -> Path:
        """Return the path of a format's file."""
        return self.folder / suffix / f"model.{suffix}"

    def failed(self, path: Path) -> list[tuple[str, float]]:
        """Return the gates that a file fails, with the largest difference of a probability from the trained model.

        A 16-bit program that is not the rounded 32-bit one has failed already: it is not run in 16 bits as well.
        """
        fp16 = path.suffix == ".mlpackage"
        try:
            if fp16:
                answers = _answers(MilProgram(path), self.reference)
                if not np.abs(answers - self.rounded).max() <= ROUNDING_LIMIT:
                    return [("only rounded to 16 bits", float(np.abs(answers - self.reference.probabilities).max()))]
            parity = compare_file(
                path,
                runner_for(path, fp16),
                self.reference,
                self.about.class_names,
                engine="",
                difference_limit=FP16_LIMIT if fp16 else FP32_LIMIT,
            )
        except VerificationError:
            return [("refused when it is opened", np.nan)]
        # The difference first: where it fails, others often follow from it.
        failed = sorted((gate.name for gate in parity.gates if not gate.passed), key="largest difference".__ne__)
        return [(name, parity.largest_difference) for name in failed]


def export_faults(
    run: Path | None = None,
    root: Path | None = None,
    faults: bool = True,
    number: int = 200,
    photos: int = 4,
    seed: int = 0,
) -> None:
    """Write the default export, plant the faults, and print a table of the gates that catch them.

    Args:
        run: folder of a run, or a checkpoint. Default: the newest run, or the model that comes along.
        root: its dataset with test photos. Default: scenes of the court.
        faults: plants the faults of the network, too.
        number: damaged copies of each format: half with one bit flipped, a quarter each with noise and with zeros.
        photos: number of test photos that each copy answers.
        seed: random seed of the places and the noise.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export = _export(run, root, photos, folder)
        print(f"{export.about.backbone}, {export.model.spec.size} px, {len(export.reference.photos)} photos\n")
        print("| fault | " + " | ".join(FORMATS) + " |", "|---|" + "---|" * len(FORMATS), sep="\n")
        for name, plant in FAULTS.items() if faults else ():
            cells = [_planted(export, plant, suffix) for suffix in FORMATS.values()]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        if number < 4:
            return
        for name, count in (("one bit flipped", number - 2 * (number // 4)), *((_[0], number // 4) for _ in _BLOCKS)):
            cells = [_damaged(export, suffix, name, count, seed) for suffix in FORMATS.values()]
            print(f"| {name}, {count} random places | " + " | ".join(cells) + " |", flush=True)


def _export(run: Path | None, root: Path | None, photos: int, folder: Path) -> Export:
    trained = TrainedModel.open(run, device="cpu")
    if root is None and trained.run is None:
        root = write_demo(folder / "photos", 4, max(8, 2 * photos), 2018, show_progress=False, court="teaching").root
    chosen = choose_photos(split_photos(trained, "test", root)[0], photos)
    reference = reference_answers(trained, chosen)
    about = About.of_model(trained, "a", "l", "d")
    model = DeployModel(trained.classifier, about.temperature).eval()
    export = Export(folder, model, about, reference, np.zeros(0))
    for suffix in FORMATS.values():
        (folder / suffix).mkdir()
        _write(export, model, export.file(suffix))
        write_proof(folder / suffix, {"passed": True})
    precise = _write(export, model, folder / "precise.mlpackage", "fp32")
    export.rounded = _answers(MilProgram(precise, rounded_constants=True), reference)
    for suffix in FORMATS.values():
        if wrong := export.failed(export.file(suffix)):
            raise VerificationError(f"the {suffix} file fails without a fault: {wrong}")
    return export


def _write(export: Export, model: DeployModel, path: Path, compute: Any = None) -> Path:
    settings, interface = ExportSettings(), interface_for(export.about.class_names)
    if path.suffix == ".onnx":
        return write_onnx(model, path, interface, export.about)
    if path.suffix == ".mlmodel":
        return write_coreml(model, path, interface, export.about, "neuralnetwork", NEURAL_NETWORK_TARGET)
    return write_coreml(
        model, path, interface, export.about, target=settings.target, compute=compute or settings.compute
    )


def _answers(program: MilProgram, reference: Reference) -> np.ndarray:
    spec = program.preprocess
    return np.stack([program.probabilities(spec.resize(decode(photo.path))) for photo in reference.photos])


# --- faults in the network ------------------------------------------------------------------------------------------


def _noise(model: DeployModel) -> None:
    weight = _head(model).weight
    weight.add_(0.5 * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))


def _set_temperature(model: DeployModel) -> None:
    model.temperature = 20.0


def _head(model: DeployModel) -> Any:
    return model.network.head


FAULTS: dict[str, Callable[[DeployModel], object]] = {
    "temperature 20": _set_temperature,
    "the head's weights × 10": lambda model: _head(model).weight.mul_(10),
    "half noise in the head": _noise,
    "no bias in the head": lambda model: _head(model).bias.zero_(),
    "one class's logit + 0.2": lambda model: _head(model).bias[1].add_(0.2),
    "32 channels of the head zero": lambda model: _head(model).weight[:, :32].zero_(),
    "photo's scale × 1.05": lambda model: model.scale.mul_(1.05),
    "photo's mean + 2/255": lambda model: model.mean.add_(2),
    "red and blue swapped": lambda model: _first(model).weight.copy_(_first(model).weight.flip(1)),
}


def _first(model: DeployModel) -> nn.Conv2d:
    return next(module for module in model.modules() if isinstance(module, nn.Conv2d))


@torch.no_grad()
def _planted(export: Export, plant: Callable[[DeployModel], object], suffix: str) -> str:
    model = copy.deepcopy(export.model)
    plant(model)
    with tempfile.TemporaryDirectory() as temporary:
        failed = export.failed(_write(export, model, Path(temporary) / f"model.{suffix}"))
    return f"{failed[0][0]} ({failed[0][1]:.2g})" if failed else "**not caught**"


# --- damage in the file ---------------------------------------------------------------------------------------------

_BLOCKS: tuple[tuple[str, Callable[[np.random.Generator, bytes], bytes]], ...] = (
    ("4 kB of noise", lambda generator, old: generator.bytes(len(old))),
    ("4 kB of zeros", lambda _, old: bytes(len(old))),
)


def _damaged(export: Export, suffix: str, name: str, count: int, seed: int) -> str:
    """Damage a file `count` times; say how often hash and answers showed it, and the largest difference they missed."""
    path = export.file(suffix)
    file, parts = weights(path)
    content, generator = file.read_bytes(), np.random.default_rng(seed)
    sizes = np.array([end - start for start, end in parts], float)
    hashes = answers = 0
    for _ in range(count):
        while True:
            start, end = parts[generator.choice(len(parts), p=sizes / sizes.sum())]
            if name == "one bit flipped":
                at = int(generator.integers(start, end))
                new = bytes([content[at] ^ (1 << int(generator.integers(8)))])
            else:
                at = int(generator.integers(start, max(start + 1, end - _BLOCK)))
                new = dict(_BLOCKS)[name](generator, content[at : min(at + _BLOCK, end)])
            if new != content[at : at + len(new)]:  # zeros may be zeros already
                break
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(new)
        hashes += any(not gate.passed for gate in verify_folder(path.parent))
        answers += bool(export.failed(path))
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(content[at : at + len(new)])
    return f"hash {hashes} of {count}, answers {answers}"


def weights(path: Path) -> tuple[Path, list[tuple[int, int]]]:
    """Return the file that holds a model's weights, and where each tensor of 64 bytes or more begins and ends."""
    if path.suffix == ".mlpackage":
        file = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
        return file, [(64, file.stat().st_size)]  # a header of 64 bytes, then the tensors with theirs
    content = path.read_bytes()
    if path.suffix == ".onnx":
        tensors = [tensor.raw_data for tensor in onnx.load(path).graph.initializer]
    else:
        layers = read_spec(path).neuralNetworkClassifier.layers
        fields = [getattr(layer, layer.WhichOneof("layer")) for layer in layers]
        values: list[Any] = [field.weights for field in fields if hasattr(field, "weights")]
        tensors = [np.array(value.floatValue, np.float32).tobytes() for value in values]
    found = [(content.find(tensor), len(tensor)) for tensor in tensors if len(tensor) >= 64]
    return path, [(start, start + length) for start, length in found if start >= 0]


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(export_faults, as_positional=False)
