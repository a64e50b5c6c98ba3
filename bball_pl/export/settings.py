"""What an export is asked for, and what it was in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bball_pl.export.about import About
from bball_pl.export.compress import Compression
from bball_pl.export.coreml import Compute, Route, Target
from bball_pl.export.interface import Interface, InterfaceName, Labels
from bball_pl.export.verify.parity import FileParity

#: Stem of every exported file: the name that an app's code sees.
STEM = "BasketballMoves"

Format = Literal["onnx", "mlpackage", "mlmodel", "aimodel"]


@dataclass(frozen=True)
class ExportSettings:
    """What is to be exported, and how.

    Attributes:
        formats: onnx, mlpackage (ML Program), mlmodel (NeuralNetwork for iOS 13 and 14), aimodel (Core AI, beta).
        target: oldest system for the ML Program.
        route: from torch to Core ML.
        compute: precision of the ML Program.
        interface: names of features and labels.
        labels: the labels of the default interface.
        compress: compressed copies of the ML Program.
        force: ship a compressed copy even if it loses too much.
        photos: number of test photos to verify on; 0 takes all.
        author: who trained the model.
        licence: under which it may be used.
        description: one sentence.
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


@dataclass
class Export:
    """A finished export.

    Attributes:
        folder: where it lies.
        files: how each file compares with the trained model.
        photos: number of photos that it was verified on.
        about: the facts that every file carries.
        interface: names of features and labels.
        refused: compressed copies that lost too much and were left out.
    """

    folder: Path
    files: list[FileParity]
    photos: int
    about: About
    interface: Interface
    refused: list[FileParity] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every file that is in the folder is proven."""
        return all(file.passed for file in self.files)
