"""A saved ML Program on torch: read back from disk and run op by op, without a Mac."""

from __future__ import annotations

import logging
import math
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.verify.mil_ops import EXACT_OPS, OPS, TYPES, Op

_EXPORT_AGAIN = "Export it again with scripts/export.py."


@dataclass(frozen=True)
class SavedProgram:
    """What a package holds.

    Attributes:
        input_name: name of the photo.
        size: width and height of the photo, in pixels.
        colour: order of the channels that the program takes.
        outputs: names of the label and of the probabilities, as the package describes them.
        operations: coremltools' operations, in their order; the last of them is `classify`.
        image: coremltools' variable for the photo, `[1, 3, height, width]`.
    """

    input_name: str
    size: tuple[int, int]
    colour: Literal["RGB", "BGR"]
    outputs: list[str]
    operations: list[Any]
    image: Any


def read_program(path: Path) -> SavedProgram:
    """Read an .mlpackage.

    Raises:
        VerificationError: if the package is missing, damaged or not an ML Program, or if it is not one function that
            takes one colour photo and ends in `classify`, with ops that are known here.
    """
    # Before the import: on Linux it complains at once that it cannot run models.
    logging.getLogger("coremltools").setLevel(logging.CRITICAL)
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

    try:
        model = ct.models.MLModel(str(path), skip_model_load=True)
        saved = model.get_spec()
    except Exception as error:  # coremltools, its C++ and protobuf each have errors of their own
        raise VerificationError(f"{path} cannot be read ({reason_of(error)}). {_EXPORT_AGAIN}") from error
    colour = _checked(path, saved)
    try:
        program = load(saved, saved.specificationVersion, model.weights_dir)
    except Exception as error:
        raise VerificationError(
            f"{path}{_place(error)} cannot be read ({reason_of(error)}). {_EXPORT_AGAIN}"
        ) from error
    (function,) = program.functions.values()
    description = saved.description
    (feature,) = description.input
    size = (feature.type.imageType.width, feature.type.imageType.height)
    image = function.inputs.get(feature.name)
    if image is None or tuple(image.shape) != (1, 3, size[1], size[0]):
        takes = ", ".join(f"{name} {tuple(var.shape)}" for name, var in function.inputs.items())
        raise VerificationError(
            f"{path}: the package takes {feature.name}, {size[0]} × {size[1]} pixels, and its program {takes}"
        )
    operations = [operation for operation in function.operations if not _is_constant(operation.op_type)]
    given = [var.name for var in operations[-1].outputs] if operations else []
    outputs = [description.predictedFeatureName, description.predictedProbabilitiesName]
    described = sorted(output.name for output in description.output)
    if given != outputs or operations[-1].op_type != "classify" or described != sorted(outputs):
        raise VerificationError(
            f"{path}: its last op gives {', '.join(given) or 'nothing'} and the package {', '.join(described)}; "
            "expected the two results of classify, a label and its probabilities"
        )
    return SavedProgram(feature.name, size, colour, outputs, operations, image)


def label_of(operation: Any) -> str:
    """Return what an operation is called in messages: its first result, and its type."""
    return f"{operation.outputs[0].name} ({operation.op_type})"


def _is_constant(op_type: str) -> bool:
    return op_type == "const" or op_type.startswith("constexpr_")


def _checked(path: Path, saved: Any) -> Literal["RGB", "BGR"]:
    """Refuse what is not one function from one colour photo with known ops; return the order of the channels."""
    kind = saved.WhichOneof("Type")
    if kind != "mlProgram":
        raise VerificationError(f"{path} holds a model of type {kind}; expected mlProgram")
    functions = sorted(saved.mlProgram.functions)
    if len(functions) != 1:
        raise VerificationError(f"{path} has {len(functions)} functions ({', '.join(functions)}); expected one")
    states = [feature.name for feature in saved.description.state]
    if states:
        raise VerificationError(f"{path} keeps state between photos ({', '.join(states)}); expected none")
    inputs = [f"{feature.name} ({feature.type.WhichOneof('Type')})" for feature in saved.description.input]
    if len(inputs) != 1 or saved.description.input[0].type.WhichOneof("Type") != "imageType":
        raise VerificationError(f"{path} takes {', '.join(inputs) or 'nothing'}; expected one image")
    function = saved.mlProgram.functions[functions[0]]
    blocks = function.block_specializations
    unknown = sorted(
        {
            f"{operation.type} (gives {operation.outputs[0].name if operation.outputs else 'nothing'})"
            for operation in blocks[function.opset].operations
            if operation.type not in OPS and operation.type != "classify" and not _is_constant(operation.type)
        }
    )
    if unknown:
        raise VerificationError(f"{path} has ops that cannot be checked here: {', '.join(unknown)}")
    image = saved.description.input[0].type.imageType
    colour: str = image.ColorSpace.Name(image.colorSpace)
    if colour not in ("RGB", "BGR"):
        raise VerificationError(f"{path} takes photos of colour {colour}; expected RGB or BGR")
    return "BGR" if colour == "BGR" else "RGB"


def reason_of(error: Exception) -> str:
    """Return the first line of what another library says."""
    return (str(error) or type(error).__name__).splitlines()[0].removesuffix(".")


def _place(error: Exception) -> str:
    """Return the op that coremltools' loader was at when it failed: its own message leaves that out."""
    place = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        operation = frame.f_locals.get("op_spec")
        if operation is not None and operation.outputs:
            place = f": {operation.outputs[0].name} ({operation.type})"
    return place


@dataclass(frozen=True)
class _Result:
    """What the program states of a result: where it is kept, its shape (None where not known) and its type."""

    key: int
    shape: tuple[int | None, ...]
    type: str


@dataclass(frozen=True)
class _Step:
    """One op, ready to run: constants as Python values, and the keys of the tensors that it takes."""

    label: str
    function: Op
    constants: dict[str, Any]
    tensors: dict[str, int | list[int]]
    results: list[_Result]
    exact: bool
    last_used: list[int] = field(default_factory=list)


class MilProgram:
    """A saved ML Program that answers photos as its file says, with its own weights, compressed ones included.

    Mode fp32 computes everything in float32 from the weights as they are stored: what differs from the trained network
    is the conversion. Mode fp16 also rounds every value that the program calls fp16, after each op. Within an op the
    arithmetic is float32 in both: a phone's processors may round there as well, each in its own way.

    Attributes:
        class_names: labels, in the order of the probabilities.
        input_name: name of the photo.
        size: width and height of the photo, in pixels.
        colour: order of the channels that the program takes; the photo is turned into it here.
        outputs: names of the label and the probabilities.
        largest_activation: largest absolute value of a result that the program calls fp16, over all photos so far; inf
            also stands for what is not a number. fp16 ends at 65504. 0 for a program in fp32.
        largest_activation_at: the op that gave it.

    Args:
        path: an .mlpackage.
        mode: fp32 or fp16.

    Raises:
        VerificationError: if the package is missing or damaged, is not one function from one colour photo to a label
            and its probabilities, or has an op or a parameter that is not known here; the message names it.
    """

    def __init__(self, path: Path, mode: Literal["fp32", "fp16"] = "fp32") -> None:
        saved = read_program(path)
        self.input_name, self.outputs = saved.input_name, saved.outputs
        self.size, self.colour = saved.size, saved.colour
        self.largest_activation, self.largest_activation_at = 0.0, ""
        self._name, self._round = path.name, mode == "fp16"
        self._keys: dict[Any, int] = {saved.image: 0}
        self._constants: dict[int, Tensor] = {}
        *operations, classify = saved.operations
        self._steps = [self._step(operation) for operation in operations]
        self._answer = self._key(classify.probabilities, label_of(classify))
        self._note_last_uses()
        self._keys.clear()  # it holds the loaded file
        self.class_names = [str(name) for name in classify.classes.val]
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            raise VerificationError(
                f"{path}: Core ML's answer would lack a class: {', '.join(twice)} labels two of them"
            )

    @torch.inference_mode()
    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo.

        Args:
            photo: RGB uint8 `[height, width, 3]`, 0–255, as `PreprocessSpec.resize` makes it.

        Returns:
            float32 `[classes]`: the numbers in Core ML's dictionary, in the order of `class_names`.

        Raises:
            VerificationError: if the photo has another size, or an op gives another shape than the program states or
                has a parameter with a value that is not known here; the message names the op.
        """
        values = {**self._constants, 0: self._image(photo)}
        for step in self._steps:
            for stated, value in zip(step.results, self._run(step, values), strict=True):
                values[stated.key] = value
            for key in step.last_used:
                del values[key]
        answer: np.ndarray = values[self._answer].flatten().numpy().copy()
        return answer

    def _image(self, photo: np.ndarray) -> Tensor:
        width, height = self.size
        if photo.shape != (height, width, 3) or photo.dtype != np.uint8:
            raise VerificationError(
                f"{self._name} takes photos uint8 [{height}, {width}, 3]; found {photo.dtype} {list(photo.shape)}"
            )
        pixels = torch.tensor(photo)
        # [H, W, 3] seen as [3, H, W] is channels_last already.
        return (pixels.flip(2) if self.colour == "BGR" else pixels).permute(2, 0, 1)[None].float()

    def _run(self, step: _Step, values: dict[int, Tensor]) -> list[Tensor]:
        tensors = {
            name: [values[key] for key in keys] if isinstance(keys, list) else values[keys]
            for name, keys in step.tensors.items()
        }
        try:
            given = step.function(**tensors, **step.constants)
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            raise VerificationError(f"{self._name}: {step.label} cannot be run here: {reason_of(error)}") from error
        results = list(given) if isinstance(given, tuple) else [given]
        if len(results) != len(step.results):
            raise VerificationError(f"{self._name}: {step.label} gives {len(results)} results, not {len(step.results)}")
        return [self._checked(step, stated, result) for stated, result in zip(step.results, results, strict=True)]

    def _checked(self, step: _Step, stated: _Result, result: Tensor) -> Tensor:
        fits = len(stated.shape) == result.dim() and all(
            known in (None, side) for known, side in zip(stated.shape, result.shape, strict=True)
        )
        if not fits or result.dtype != TYPES[stated.type]:
            raise VerificationError(
                f"{self._name}: {step.label} gives {result.dtype} {list(result.shape)}; "
                f"the program states {stated.type} {list(stated.shape)}"
            )
        if stated.type != "fp16" or step.exact:
            return result
        if self._round:
            result = result.half().float()
        # Two passes: aminmax, and abs().max(), take twenty times as long where the memory format is channels_last.
        largest = max(-result.amin().item(), result.amax().item())
        if not largest <= self.largest_activation and self.largest_activation < math.inf:
            self.largest_activation = math.inf if math.isnan(largest) else largest
            self.largest_activation_at = step.label
        return result

    # --- once per file: from coremltools' operations to steps ---------------------------------------------------------

    def _step(self, operation: Any) -> _Step:
        label, function = label_of(operation), OPS[operation.op_type]
        hints = get_type_hints(function)
        constants: dict[str, Any] = {}
        tensors: dict[str, int | list[int]] = {}
        for name, given in operation.inputs.items():
            if given is None:
                continue
            if name not in hints:
                raise VerificationError(f"{self._name}: {label} has a parameter {name} that cannot be checked here")
            if hints[name] == list[Tensor]:
                tensors[name] = [self._key(var, label) for var in given]
            elif hints[name] in (Tensor, Tensor | None):
                tensors[name] = self._key(given, label)
            elif given.val is None:
                raise VerificationError(f"{self._name}: {label} computes its parameter {name}; expected a constant")
            else:
                constants[name] = _plain(given.val)
        results = [self._result(var, label) for var in operation.outputs]
        return _Step(label, function, constants, tensors, results, operation.op_type in EXACT_OPS)

    def _result(self, var: Any, label: str) -> _Result:
        from coremltools.converters.mil.mil import types

        name = types.builtin_to_string(var.dtype)
        if name not in TYPES:
            raise VerificationError(f"{self._name}: {label} is of type {name}; expected one of {', '.join(TYPES)}")
        key = self._keys[var] = len(self._keys)
        # A dimension that is not known when the program is loaded is a symbol there.
        return _Result(
            key, tuple(int(side) if isinstance(side, int | np.integer) else None for side in var.shape), name
        )

    def _key(self, var: Any, label: str) -> int:
        """Return where a variable is kept while the program runs; a constant is put there now."""
        if var not in self._keys:
            if var.op is None or not var.op.op_type.startswith("const"):
                raise VerificationError(f"{self._name}: {label} takes {var.name}, which nothing computes before it")
            try:
                value = _tensor(var)
            except Exception as error:  # damaged tables and masks fail in coremltools in many ways
                place = label_of(var.op)
                raise VerificationError(f"{self._name}: {place} cannot be read ({reason_of(error)})") from error
            self._keys[var] = len(self._keys)
            self._constants[self._keys[var]] = value
        return self._keys[var]

    def _note_last_uses(self) -> None:
        """Let every step drop the values that no later one takes: the memory of a photo stays small."""
        kept = {self._answer, *self._constants}
        for step in reversed(self._steps):
            taken = {key for keys in step.tensors.values() for key in (keys if isinstance(keys, list) else [keys])}
            step.last_used.extend(sorted((taken | {result.key for result in step.results}) - kept))
            kept |= taken


def _plain(value: Any) -> Any:
    """Turn a constant parameter into a Python number, text, truth value, or list of them."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _tensor(var: Any) -> Tensor:
    """Return a constant as a tensor; compressed weights are unpacked by coremltools' own formulas."""
    value = var.val
    if var.op.op_type != "const":
        value = var.op.materialized_val_inference()
        value = value[var.op.outputs.index(var)] if isinstance(value, tuple) else value
    array = np.asarray(value)
    kind = {"f": np.float32, "b": np.bool_}.get(array.dtype.kind, np.int32)
    tensor = torch.from_numpy(array.astype(kind))
    # As the photos: convolutions on CPUs are fastest in it.
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
