"""Reads a saved ML Program back from disk with coremltools' own loader, and refuses what cannot be run here."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bball_pl.errors import VerificationError
from bball_pl.export.verify.mil_ops import OPS

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
