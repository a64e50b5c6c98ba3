"""Options of an export, as `bball export` documents them; free of heavy imports, because its help reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Format = Literal["onnx", "mlpackage", "mlmodel", "aimodel"]
Target = Literal["iOS13", "iOS14", "iOS15", "iOS16", "iOS17", "iOS18", "iOS26"]
Route = Literal["trace", "export", "onnx"]
Compute = Literal["fp16", "fp32"]
InterfaceName = Literal["default", "seed_2018"]
Labels = Literal["name", "bilingual"]
Compression = Literal["int8", "palette8", "palette6", "palette4"]


@dataclass(frozen=True)
class ExportSettings:
    """Options of an export.

    Attributes:
        formats: files to write: onnx, mlpackage (ML Program), mlmodel (NeuralNetwork for iOS 13 and 14), aimodel (Core
            AI for iOS 27, beta; needs the extra coreai).
        target: oldest system that the ML Program has to run on, iOS15 to iOS26.
        route: way from PyTorch to Core ML: trace, export (torch.export) or onnx (from the ONNX file).
        compute: precision of the ML Program's arithmetic and weights.
        interface: names of inputs and outputs; seed_2018 is for the app of 2018.
        labels: class labels of the default interface: name (shoot) or bilingual (shoot 投籃).
        compress: compressed copies of the ML Program to write as well.
        force: keep a compressed copy even if it loses more than one point of accuracy.
        photos: number of test photos for the proof; 0 takes all.
        author: author of the model, for the file's metadata.
        licence: licence of the model, for the file's metadata.
        description: description of the model in one sentence, for the file's metadata.
    """

    formats: Sequence[Format] = ("onnx", "mlpackage", "mlmodel")
    target: Target = "iOS16"
    route: Route = "trace"
    compute: Compute = "fp16"
    interface: InterfaceName = "default"
    labels: Labels = "name"
    compress: Sequence[Compression] = ()
    force: bool = False
    photos: int = 60
    author: str = "not stated"
    licence: str = "not stated"
    description: str = "Says which basketball move a photo shows."
