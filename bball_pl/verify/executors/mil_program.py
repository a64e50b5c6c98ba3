"""A saved ML Program on torch: read back from disk and run op by op, without a Mac."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.verify.executors.kernels import TYPES
from bball_pl.verify.executors.mil_ops import EXACT_OPS, OPS, Op
from bball_pl.verify.model_file import Colour, photo_of, read_spec, reason_of, unreadable, weights_folder
from bball_pl.verify.runners import Mode, Step, TorchExecutor


@dataclass(frozen=True)
class SavedProgram:
    """Contents of a package.

    Attributes:
        input_name: name of the photo.
        size: width and height of the photo, in pixels.
        colour: order of the channels that the program takes.
        outputs: names of the label and of the probabilities, as the package describes them; that of the values alone
            for a program from elsewhere that does not end in `classify`.
        operations: coremltools' operations, in their order; the last of them is `classify`.
        image: coremltools' variable for the photo, `[1, 3, height, width]`.
        answer: coremltools' variable for the probabilities, or for the values.
        metadata: text fields of the package.
    """

    input_name: str
    size: tuple[int, int]
    colour: Colour
    outputs: list[str]
    operations: list[Any]
    image: Any
    answer: Any
    metadata: dict[str, str]


def read_program(path: Path, foreign: bool = False) -> SavedProgram:
    """Read an .mlpackage.

    Args:
        path: the package.
        foreign: whether it may also take an array for a photo, and give one array of values.

    Raises:
        VerificationError: if the package is missing, damaged or not an ML Program, or if it is not one function that
            takes one colour photo and ends in `classify`, with ops that are known here.
    """
    saved = read_spec(path)
    from coremltools.converters.mil.frontend.milproto.load import load

    name, size, colour = _checked(path, saved, foreign)
    try:
        program = load(saved, saved.specificationVersion, str(weights_folder(path)))
    except Exception as error:  # coremltools has errors of many kinds
        raise unreadable(f"{path}{_failed_op(error)}", error) from error
    (function,) = program.functions.values()
    description = saved.description
    image = function.inputs.get(name)
    if image is None or tuple(image.shape) != (1, 3, size[1], size[0]):
        takes = ", ".join(f"{name} {tuple(var.shape)}" for name, var in function.inputs.items())
        raise VerificationError(
            f"{path}: the package takes {name}, {size[0]} × {size[1]} pixels, and its program {takes}"
        )
    operations = [operation for operation in function.operations if not _is_constant(operation.op_type)]
    described = sorted(output.name for output in description.output)
    if foreign and operations and operations[-1].op_type != "classify":
        results = list(function.outputs)
        if len(results) != 1 or described != [results[0].name]:
            raise VerificationError(
                f"{path} gives {', '.join(described)}; expected a label and probabilities, or values"
            )
        outputs, answer = described, results[0]
    else:
        outputs = [description.predictedFeatureName, description.predictedProbabilitiesName]
        given = [var.name for var in operations[-1].outputs] if operations else []
        if given != outputs or operations[-1].op_type != "classify" or described != sorted(outputs):
            raise VerificationError(
                f"{path}: its last op gives {', '.join(given) or 'nothing'} and the package {', '.join(described)}; "
                "expected the two results of classify, a label and its probabilities"
            )
        answer = operations[-1].probabilities
    metadata = dict(description.metadata.userDefined)
    return SavedProgram(name, size, colour, outputs, operations, image, answer, metadata)


def label_of(operation: Any) -> str:
    """Return the name of an operation in messages: its first result, and its type."""
    return f"{operation.outputs[0].name} ({operation.op_type})"


def _is_constant(op_type: str) -> bool:
    return op_type == "const" or op_type.startswith("constexpr_")


def _checked(path: Path, saved: Any, foreign: bool) -> tuple[str, tuple[int, int], Colour]:
    """Refuse what is not one function from one colour photo with known ops; return what `photo_of` does."""
    kind = saved.WhichOneof("Type")
    if kind != "mlProgram":
        raise VerificationError(f"{path} holds a model of type {kind}; expected mlProgram")
    functions = sorted(saved.mlProgram.functions)
    if len(functions) != 1:
        raise VerificationError(f"{path} has {len(functions)} functions ({', '.join(functions)}); expected one")
    states = [feature.name for feature in saved.description.state]
    if states:
        raise VerificationError(f"{path} keeps state between photos ({', '.join(states)}); expected none")
    photo = photo_of(path, saved.description, arrays=foreign)
    function = saved.mlProgram.functions[functions[0]]
    unknown = sorted(
        {
            f"{operation.type} (gives {operation.outputs[0].name if operation.outputs else 'nothing'})"
            for operation in function.block_specializations[function.opset].operations
            if operation.type not in OPS and operation.type != "classify" and not _is_constant(operation.type)
        }
    )
    if unknown:
        raise VerificationError(f"{path} has ops that cannot be checked here: {', '.join(unknown)}")
    return photo


def _failed_op(error: Exception) -> str:
    """Return the op that coremltools' loader was at when it failed: its message leaves that out."""
    label = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        operation = frame.f_locals.get("op_spec")
        if operation is not None and operation.outputs:
            label = f": {operation.outputs[0].name} ({operation.type})"
    return label


class MilProgram(TorchExecutor):
    """A saved ML Program that answers photos as its file says, with the weights on disk, compressed ones included.

    Mode fp32 computes everything in float32 from the weights as they are stored: what differs from the trained network
    is the conversion. Mode fp16 also rounds every value that the program calls fp16, after each op. Within an op the
    arithmetic is float32 in both: a phone's processors may round within an op as well, each differently.

    The largest activation is that of the results that the program calls fp16; inf also stands for what is not a number.
    fp16 ends at 65504.

    Args:
        path: an .mlpackage.
        mode: fp32 or fp16.
        rounded_constants: every constant is rounded to fp16 first, as a conversion to 16 bits does.
        foreign: whether it may also be a program of an array, that gives values without labels; `values` runs it then.

    Raises:
        VerificationError: if the package is missing or damaged, is not one function from one colour photo to a label
            and its probabilities, or has an op or a parameter that is not known here; the message names it.
    """

    def __init__(self, path: Path, mode: Mode = "fp32", rounded_constants: bool = False, foreign: bool = False) -> None:
        super().__init__(path, mode)
        saved = read_program(path, foreign)
        self.input_name, self.outputs, self.metadata = saved.input_name, saved.outputs, saved.metadata
        self.size, self.colour = saved.size, saved.colour
        self._rounded_constants = rounded_constants
        self._keys: dict[Any, int] = {saved.image: 0}
        #: Type and parameters of the op of each step, for `digest`.
        self._ops: list[tuple[str, str]] = []
        operations, last = saved.operations, saved.operations[-1]
        classifies = last.op_type == "classify"
        self._steps = [self._step(operation) for operation in (operations[:-1] if classifies else operations)]
        self._answer_key = self._key(saved.answer, label_of(last))
        self._note_last_uses()
        self._keys.clear()  # it holds the loaded file
        self.class_names = [str(name) for name in last.classes.val] if classifies else []
        if classifies:
            self._check_labels()

    def digest(self) -> bytes:
        """Return a digest of the whole computation from the photo to the answer in mode fp32.

        Programs with equal digests answer every photo alike in that mode, to the last bit: each value's digest is that
        of its op, of the op's constants and of the values that it takes. Changes between kinds of floats, which do
        nothing in that mode, and names do not count.
        """
        digests: dict[Hashable, bytes] = {0: b"photo"}
        floats: set[Hashable] = {0}
        for key, value in self._constants.items():
            content = value.contiguous().numpy().tobytes()
            digests[key] = _digest(str(value.dtype), str(tuple(value.shape)), content)
            if value.dtype.is_floating_point:
                floats.add(key)
        for (op_type, parameters), step in zip(self._ops, self._steps, strict=True):
            inputs = [digests[key] for key in step.inputs]
            for number, (key, kind) in enumerate(zip(step.outputs, step.types, strict=True)):
                digests[key] = _digest(op_type, number, parameters, *inputs)
                if kind in ("fp16", "fp32"):
                    floats.add(key)
                    if op_type == "cast" and step.inputs[0] in floats:
                        (digests[key],) = inputs
        return _digest(self.colour, self.size, digests[self._answer_key])

    # --- once per file: from coremltools' operations to steps ---------------------------------------------------------

    def _step(self, operation: Any) -> Step:
        label, function = label_of(operation), OPS[operation.op_type]
        hints = get_type_hints(function)
        constants: dict[str, Any] = {}
        tensors: dict[str, list[int]] = {}
        lists = set()
        for name, given in operation.inputs.items():
            if given is None:
                continue
            if name not in hints:
                raise self._refusal(label, f"has a parameter {name} that cannot be checked here")
            if hints[name] == list[Tensor]:
                tensors[name] = [self._key(var, label) for var in given]
                lists.add(name)
            elif hints[name] in (Tensor, Tensor | None):
                tensors[name] = [self._key(given, label)]
            elif given.val is None:
                raise self._refusal(label, f"computes its parameter {name}; expected a constant")
            else:
                constants[name] = self._plain(given.val)
        shapes, types = zip(*(self._stated(var, label) for var in operation.outputs), strict=True)
        counts = {name: len(keys) for name, keys in tensors.items()}
        self._ops.append((operation.op_type, repr((sorted(constants.items()), counts))))
        return Step(
            label,
            _bound(function, constants, counts, lists),
            [key for keys in tensors.values() for key in keys],
            [self._keys[var] for var in operation.outputs],
            list(shapes),
            list(types),
            rounded=types[0] == "fp16" and operation.op_type not in EXACT_OPS,
        )

    def _stated(self, var: Any, label: str) -> tuple[tuple[int | None, ...], str]:
        """Give a result a key; return its shape and type."""
        from coremltools.converters.mil.mil import types

        name = types.builtin_to_string(var.dtype)
        if name not in TYPES:
            raise self._refusal(label, f"is of type {name}; expected one of {', '.join(TYPES)}")
        self._keys[var] = len(self._keys)
        # coremltools has a symbol for a dimension that is not known when the program is loaded.
        return tuple(int(side) if isinstance(side, int | np.integer) else None for side in var.shape), name

    def _key(self, var: Any, label: str) -> int:
        """Return the key of a variable's value; that of a constant is stored now."""
        if var not in self._keys:
            if var.op is None or not var.op.op_type.startswith("const"):
                raise self._refusal(label, f"takes {var.name}, which nothing computes before it")
            try:
                value = self._tensor(constant_value(var))
            except Exception as error:  # damaged tables and masks fail in coremltools in many ways
                raise self._refusal(label_of(var.op), f"cannot be read ({reason_of(error)})") from error
            self._keys[var] = len(self._keys)
            self._constants[self._keys[var]] = value
        return self._keys[var]

    def _tensor(self, array: np.ndarray) -> Tensor:
        if self._rounded_constants and array.dtype.kind == "f":
            array = _rounded_to_fp16(array)
        kind = {"f": np.float32, "b": np.bool_}.get(array.dtype.kind, np.int32)
        tensor = torch.from_numpy(array.astype(kind))
        # As the photos: convolutions on CPUs are fastest in it.
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def _plain(self, value: Any) -> Any:
        """Turn a constant parameter into a Python number, text, truth value, or list of them."""
        if not isinstance(value, np.ndarray | np.generic):
            return value
        rounded = self._rounded_constants and value.dtype.kind == "f"
        return (_rounded_to_fp16(np.asarray(value)) if rounded else value).tolist()


def _digest(*parts: object) -> bytes:
    """Return a digest of parts; bytes are taken as they are, everything else as Python writes it."""
    made = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else repr(part).encode()
        made.update(b"%d:" % len(content))
        made.update(content)
    return made.digest()


def _bound(
    function: Op, constants: dict[str, Any], counts: dict[str, int], lists: set[str]
) -> Callable[[list[Tensor]], Tensor | Sequence[Tensor]]:
    """Return an op as a function of its tensors alone, `counts` of them for each parameter."""

    def run(tensors: list[Tensor]) -> Tensor | Sequence[Tensor]:
        rest = iter(tensors)
        arguments = {name: [next(rest) for _ in range(count)] for name, count in counts.items()}
        return function(**{name: x if name in lists else x[0] for name, x in arguments.items()}, **constants)

    return run


def constant_value(var: Any) -> np.ndarray:
    """Return a constant of a program; compressed weights are unpacked by coremltools' formulas."""
    value = var.val
    if var.op.op_type != "const":
        value = var.op.materialized_val_inference()
        value = value[var.op.outputs.index(var)] if isinstance(value, tuple) else value
    return np.asarray(value)


def _rounded_to_fp16(array: np.ndarray) -> np.ndarray:
    """Round constants as coremltools does: in short ones, nothing but 0 becomes 0, so that no epsilon vanishes."""
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    if array.size >= 400:
        return rounded
    smallest = np.copysign(np.float16(2.0**-24), array).astype(np.float16)
    return np.where((rounded == 0) & (array != 0), smallest, rounded)
