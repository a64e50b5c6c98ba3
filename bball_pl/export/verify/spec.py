"""Reads a saved Core ML file back from disk, as the protobuf message that it is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from bball_pl.errors import VerificationError

_EXPORT_AGAIN = "Export it again with scripts/export.py."


def read_spec(path: Path) -> Any:
    """Read the message of an .mlmodel, or of the model within an .mlpackage.

    Raises:
        VerificationError: if it is missing, damaged, or of another format.
    """
    # Before the import: on Linux it complains at once that it cannot run models.
    logging.getLogger("coremltools").setLevel(logging.CRITICAL)
    import coremltools as ct

    try:
        spec = ct.utils.load_spec(str(path))
    except Exception as error:  # coremltools, its C++ and protobuf each have errors of their own
        reason = (str(error) or type(error).__name__).splitlines()[0].removesuffix(".")
        raise VerificationError(f"{path} cannot be read ({reason}). {_EXPORT_AGAIN}") from error
    if spec.WhichOneof("Type") is None or not spec.description.input:
        raise VerificationError(f"{path} holds no Core ML model. {_EXPORT_AGAIN}")
    return spec


def photo_of(path: Path, description: Any) -> tuple[str, tuple[int, int], Literal["RGB", "BGR"]]:
    """Return name, size (width, height) and colour of a model's one photo.

    Raises:
        VerificationError: if the model takes anything else.
    """
    inputs = [f"{feature.name} ({feature.type.WhichOneof('Type')})" for feature in description.input]
    if len(inputs) != 1 or description.input[0].type.WhichOneof("Type") != "imageType":
        raise VerificationError(f"{path} takes {', '.join(inputs)}; expected one image")
    image = description.input[0].type.imageType
    colour: str = image.ColorSpace.Name(image.colorSpace)
    if colour not in ("RGB", "BGR"):
        raise VerificationError(f"{path} takes photos of colour {colour}; expected RGB or BGR")
    if image.WhichOneof("SizeFlexibility") is not None:
        raise VerificationError(f"{path} takes photos of several sizes; expected one")
    name: str = description.input[0].name
    return name, (int(image.width), int(image.height)), "BGR" if colour == "BGR" else "RGB"


def labels_of(spec: Any) -> list[str]:
    """Return the labels of a classifier, in the order of its probabilities; an empty list if it has none."""
    if spec.WhichOneof("Type") == "neuralNetworkClassifier":
        network = spec.neuralNetworkClassifier
        kind = network.WhichOneof("ClassLabels")
        return [str(label) for label in getattr(network, kind).vector] if kind else []
    for function in spec.mlProgram.functions.values():
        for operation in function.block_specializations[function.opset].operations:
            if operation.type == "classify":
                (classes,) = operation.inputs["classes"].arguments
                tensors = [item.immediateValue.tensor for item in classes.value.immediateValue.list.values]
                return [str(text) for tensor in tensors for text in (tensor.strings.values or tensor.longInts.values)]
    return []


def read_onnx(path: Path) -> Any:
    """Read the message of an ONNX file, without data that lies outside it.

    Raises:
        VerificationError: if it is missing, damaged, or of another format.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf and the file system each have errors of their own
        reason = (str(error) or type(error).__name__).splitlines()[0].removesuffix(".")
        raise VerificationError(f"{path} cannot be read ({reason}). {_EXPORT_AGAIN}") from error
    if not model.graph.node:
        raise VerificationError(f"{path} holds no ONNX model. {_EXPORT_AGAIN}")
    return model
