"""Options of an export, as `bball export` documents them; free of heavy imports, because its help reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bball_pl.errors import ConfigError
from bball_pl.files import has_control

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
        labels: class labels, unless --interface seed_2018: name (shoot) or bilingual (shoot 投籃).
        compress: compressed copies of the ML Program to write as well.
        force: keep a compressed copy even if it loses more than one point of accuracy.
        photos: number of test photos for the proof; 0 takes all.
        author: author of the model, for the file's metadata.
        licence: licence of the model, for the file's metadata.
        description: description of the model in one sentence, for the file's metadata.

    Raises:
        ConfigError: if options contradict each other, or author, licence or description is empty or has a line break.
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

    def __post_init__(self) -> None:
        if not self.formats:
            raise ConfigError("--formats is empty; expected some of onnx, mlpackage, mlmodel, aimodel")
        if "mlpackage" in self.formats and self.target in {"iOS13", "iOS14"}:
            raise ConfigError(
                f"--target {self.target} does not take an ML Program; expected iOS15, iOS16, iOS17, iOS18 or iOS26, or "
                "--formats mlmodel"
            )
        if self.route == "onnx" and "onnx" not in self.formats:
            raise ConfigError("--route onnx starts from the ONNX file; add onnx to --formats")
        if self.compress and ("mlpackage" not in self.formats or self.target == "iOS15"):
            raise ConfigError("--compress works on the ML Program for iOS16 or newer; add mlpackage to --formats")
        if self.compress and self.compute == "fp32":
            raise ConfigError("--compress and --compute fp32 contradict each other; leave one out")
        for name in ("author", "licence", "description"):
            text = getattr(self, name)
            # Core ML drops an empty field, and then the metadata would not be the expected one.
            if not text.strip() or has_control(text):
                raise ConfigError(f"--{name} is {text!r}; expected text on one line. Leave the option out, or give it.")
