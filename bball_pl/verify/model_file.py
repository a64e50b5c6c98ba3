"""Exported files as messages: reading them, and what they state of photo, labels, metadata and weights."""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

from bball_pl.errors import VerificationError

_EXPORT_AGAIN = "Export it again with bball export."


def reason_of(error: Exception) -> str:
    """Return the first line of another library's message."""
    return (str(error) or type(error).__name__).splitlines()[0].strip().removesuffix(".")


def unreadable(path: Path | str, error: Exception) -> VerificationError:
    """Return the error for a file that another library cannot read."""
    return VerificationError(f"{path} cannot be read ({reason_of(error)}). {_EXPORT_AGAIN}")


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files in a package."""
    files = [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]
    return sum(found.stat().st_size for found in files)


def _model_within(path: Path) -> Path:
    """Return the .mlmodel of a package, by its manifest: coremltools would rewrite that when it opens the package."""
    if not path.is_dir():
        return path
    manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
    return path / "Data" / str(manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"])


def weights_folder(path: Path) -> Path:
    """Return the folder of a package's weights; `read_spec` says whether the package can be read."""
    return _model_within(path).parent / "weights"


def read_spec(path: Path) -> Any:
    """Read the message of an .mlmodel, or of the model within an .mlpackage.

    Raises:
        VerificationError: if it is missing, damaged, or of another format.
    """
    # Before the import: on Linux it complains at once that it cannot run models.
    logging.getLogger("coremltools").setLevel(logging.CRITICAL)
    import coremltools as ct

    try:
        spec = ct.utils.load_spec(str(_model_within(path)))
    except Exception as error:  # coremltools, its C++ and protobuf raise different errors
        raise unreadable(path, error) from error
    if spec.WhichOneof("Type") is None or not spec.description.input:
        raise VerificationError(f"{path} holds no Core ML model. {_EXPORT_AGAIN}")
    return spec


#: Order of a photo's channels; `array` for numbers that the file does not explain.
Colour = Literal["RGB", "BGR", "array"]


def photo_of(path: Path, description: Any, arrays: bool = False) -> tuple[str, tuple[int, int], Colour]:
    """Return name, size (width, height) and colour of a model's one photo.

    Args:
        path: the file, for messages.
        description: the model's description.
        arrays: whether an array `[1, 3, H, W]` or `[3, H, W]` is a photo as well.

    Raises:
        VerificationError: if the model takes anything else.
    """
    inputs = [f"{feature.name} ({feature.type.WhichOneof('Type')})" for feature in description.input]
    kind = description.input[0].type.WhichOneof("Type")
    name: str = description.input[0].name
    if arrays and len(inputs) == 1 and kind == "multiArrayType":
        sides = [int(side) for side in description.input[0].type.multiArrayType.shape]
        if len(sides) not in (3, 4) or sides[-3] != 3 or sides[:-3] not in ([], [1]):
            raise VerificationError(f"{path} takes {name} {sides}; expected [1, 3, height, width]")
        return name, (sides[-1], sides[-2]), "array"
    if len(inputs) != 1 or kind != "imageType":
        raise VerificationError(f"{path} takes {', '.join(inputs)}; expected one image")
    image = description.input[0].type.imageType
    colour: str = image.ColorSpace.Name(image.colorSpace)
    if colour not in ("RGB", "BGR"):
        raise VerificationError(f"{path} takes photos of colour {colour}; expected RGB or BGR")
    if image.WhichOneof("SizeFlexibility") is not None:
        raise VerificationError(f"{path} takes photos of several sizes; expected one")
    return name, (int(image.width), int(image.height)), "BGR" if colour == "BGR" else "RGB"


def labels_of(spec: Any) -> list[str]:
    """Return the labels of a classifier, in the order of its probabilities; an empty list if it has none."""
    holder = getattr(spec, spec.WhichOneof("Type"))
    if hasattr(holder, "pipeline") and holder.pipeline.models:
        return labels_of(holder.pipeline.models[-1])
    if "ClassLabels" in holder.DESCRIPTOR.oneofs_by_name:
        kind = holder.WhichOneof("ClassLabels")
        return [str(label) for label in getattr(holder, kind).vector] if kind else []
    for function in spec.mlProgram.functions.values():
        for operation in function.block_specializations[function.opset].operations:
            if operation.type == "classify":
                (classes,) = operation.inputs["classes"].arguments
                tensors = [item.immediateValue.tensor for item in classes.value.immediateValue.list.values]
                return [str(text) for tensor in tensors for text in (tensor.strings.values or tensor.longInts.values)]
    return []


def coreml_texts(spec: Any) -> dict[str, str]:
    """Return author, licence, description, version and all further text fields of a Core ML file."""
    metadata = spec.description.metadata
    fields = {
        "author": metadata.author,
        "licence": metadata.license,
        "description": metadata.shortDescription,
        "version": metadata.versionString,
    }
    return fields | dict(sorted(metadata.userDefined.items()))


def onnx_texts(model: Any) -> dict[str, str]:
    """Return author, licence, description, version and all further text fields of an ONNX file, except its labels."""
    fields = {field.key: field.value for field in model.metadata_props if field.key != "labels"}
    fields |= {"description": model.doc_string, "version": model.producer_version}
    return {name: fields.pop(name, "") for name in ("author", "licence", "description", "version")} | fields


def onnx_labels(model: Any) -> list[str]:
    """Return the labels of an ONNX file, in the order of its probabilities."""
    return [label for field in model.metadata_props if field.key == "labels" for label in field.value.split("\n")]


def read_onnx(path: Path) -> Any:
    """Read the message of an ONNX file, without data that lies outside it.

    Raises:
        VerificationError: if it is missing, damaged, or of another format.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf and the file system raise different errors
        raise unreadable(path, error) from error
    if not model.graph.node:
        raise VerificationError(f"{path} holds no ONNX model. {_EXPORT_AGAIN}")
    return model


def coreai_metadata(path: Path) -> dict[str, str]:
    """Return the text fields of a Core AI asset.

    Raises:
        VerificationError: if they cannot be read.
    """
    try:
        fields = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
        custom = fields.get("creatorDefinedMetadata", fields)
        return {str(name): str(value) for name, value in custom.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise VerificationError(f"{path.name}: its metadata cannot be read ({error})") from error


#: Names of coremltools' compressions, by the op that unpacks them when the model is loaded.
_COMPRESSED = {
    "constexpr_affine_dequantize": "linear",
    "constexpr_blockwise_shift_scale": "linear",
    "constexpr_cast": "cast",
    "constexpr_lut_to_dense": "palette",
    "constexpr_sparse_to_dense": "sparse",
}


def program_weights(block: Any) -> Counter[str]:
    """Count the weights of an ML Program's block by how they are stored, such as float16 or int8, linear."""
    from coremltools.proto import MIL_pb2

    types = {output.name: output.type.tensorType for operation in block.operations for output in operation.outputs}
    compressed = [operation for operation in block.operations if operation.type.startswith("constexpr_")]
    # Tables and scales of compressed weights do not count as weights, compressed or not.
    parts = {given.arguments[0].name for operation in compressed for given in operation.inputs.values()}
    counts: Counter[str] = Counter()
    for operation in block.operations:
        name = operation.outputs[0].name if operation.outputs else ""
        if name in parts:
            continue
        if operation.type.startswith("constexpr_"):
            counts[_stored(operation, types)] += _size(types[name])
        elif operation.type == "const" and types[name].rank:  # a number alone is a setting
            kind = MIL_pb2.DataType.Name(types[name].dataType)
            if kind.startswith(("FLOAT", "BFLOAT")):
                counts[kind.lower()] += _size(types[name])
    return counts


def _stored(operation: Any, types: dict[str, Any]) -> str:
    from coremltools.proto import MIL_pb2

    # Parts of a compressed weight: attributes up to iOS17, inputs from iOS18, by name or inline.
    given = {name: value.type.tensorType for name, value in operation.attributes.items()}
    for name, value in operation.inputs.items():
        argument = value.arguments[0]
        given[name] = types[argument.name] if argument.name else argument.value.type.tensorType
    how = _COMPRESSED.get(operation.type, operation.type)
    if how == "palette":
        # The table's last dimension but one from iOS18 on, its only one before.
        sides = [int(side.constant.size) for side in given["lut"].dimensions]
        return f"{(sides[-2] if len(sides) > 1 else sides[0]).bit_length() - 1} bits, palette"
    data = next((given[name] for name in ("quantized_data", "data", "nonzero_data") if name in given), None)
    return how if data is None else f"{MIL_pb2.DataType.Name(data.dataType).lower()}, {how}"


def _size(kind: Any) -> int:
    return math.prod(int(side.constant.size) for side in kind.dimensions)


def network_weights(network: Any) -> Counter[str]:
    """Count the weights of a NeuralNetwork by how they are stored."""
    counts: Counter[str] = Counter()
    for layer in network.layers:
        for stored in _weight_params(layer):
            bits = stored.quantization.numberOfBits
            if stored.rawValue:
                linear = stored.quantization.WhichOneof("QuantizationType") == "linearQuantization"
                kind = f"{bits} bits, {'linear' if linear else 'palette'}" if bits else "raw bytes"
                counts[kind] += len(stored.rawValue) * 8 // (bits or 8)
            elif stored.float16Value:
                counts["float16"] += len(stored.float16Value) // 2
            else:
                counts["float32"] += len(stored.floatValue)
    return +counts


def _weight_params(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if hasattr(value, "__len__") else [value]:
                if field.message_type.name == "WeightParams":
                    yield child
                else:
                    yield from _weight_params(child)


def onnx_weights(graph: Any) -> Counter[str]:
    """Count the weights of an ONNX graph by how they are stored; integers are settings, unless they have 8 bits."""
    import onnx

    counts: Counter[str] = Counter()
    for tensor in graph.initializer:
        name = onnx.TensorProto.DataType.Name(tensor.data_type).lower().replace("float", "float32")
        name = name.replace("float3216", "float16").replace("double", "float64")
        if tensor.dims and ("float" in name or name in ("int8", "uint8", "int4", "uint4")):
            counts[name] += math.prod(tensor.dims)
    return counts


# --- parameters of a NeuralNetwork's layers -------------------------------------------------------------------------


class Parameters:
    """A layer's protobuf message that remembers which of its fields were read.

    Args:
        file: name of the file, for messages.
        label: the layer in messages, such as `conv1 (convolution)`.
        message: the parameters.
        rounded: weights are rounded to fp16.
    """

    def __init__(self, file: str, label: str, message: Any, rounded: bool = False) -> None:
        self.file, self.label, self.rounded = file, label, rounded
        self._message = message
        self._read: set[str] = set()
        self._children: list[Parameters] = []

    def refusal(self, reason: str) -> VerificationError:
        """Return the error that names the layer."""
        return VerificationError(f"{self.file}: {self.label}: {reason}")

    def need(self, condition: bool, reason: str) -> None:
        """Check what the layer asks of its parameters or of its input.

        Raises:
            VerificationError: if the condition does not hold.
        """
        if not condition:
            raise self.refusal(reason)

    def get(self, field: str) -> Any:
        """Return the plain value of a field; protobuf's zero or empty string if it is not set."""
        self._read.add(field)
        return getattr(self._message, field)

    def nonzero(self, field: str, default: float) -> float:
        """Return a number for which the format says that 0 stands for a default."""
        return float(self.get(field)) or default

    def numbers(self, field: str, length: int | None = None, default: Sequence[int] | None = None) -> list[int]:
        """Return a repeated integer field.

        Raises:
            VerificationError: if its length is not the expected one, unless it is empty and has a default.
        """
        values = [int(value) for value in self.get(field)]
        if not values and default is not None:
            return list(default)
        self.need(length is None or len(values) == length, f"{field} has {len(values)} numbers; expected {length}")
        return values

    def choice(self, oneof: str) -> str:
        """Return which of several fields is set.

        Raises:
            VerificationError: if none of them is.
        """
        name: str | None = self._message.WhichOneof(oneof)
        if name is None:
            raise self.refusal(f"{oneof} is not set, or is of a kind that is not known here")
        return name

    def child(self, field: str) -> Parameters:
        """Return a message within the message."""
        self._read.add(field)
        child = Parameters(self.file, self.label, getattr(self._message, field), self.rounded)
        self._children.append(child)
        return child

    def enum(self, field: str) -> str:
        """Return the name of an enumerated value.

        Raises:
            VerificationError: if the number has no name.
        """
        number = self.get(field)
        names = self._message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
        self.need(number in names, f"{field} is {number}, which is not known here")
        return str(names[number].name)

    def weights(self, field: str, shape: Sequence[int], exact: bool = False) -> Tensor:
        """Return weights, whatever they are stored as.

        Args:
            field: name of the `WeightParams`.
            shape: of the weights; scales of quantised weights are along its first dimension.
            exact: never rounded to fp16.

        Raises:
            VerificationError: if they are not `shape` in number, or stored in a way that is not known here.
        """
        self._read.add(field)
        try:
            values = decode_weights(getattr(self._message, field), shape)
        except ValueError as error:
            raise self.refusal(f"{field}: {error}") from error
        import torch

        tensor = torch.from_numpy(values)
        return tensor.half().float() if self.rounded and not exact else tensor

    def count(self, field: str) -> int:
        """Return how many numbers a `WeightParams` holds as plain fp32 or fp16; 0 if it is quantised."""
        message = getattr(self._message, field)
        return len(message.floatValue) or len(message.float16Value) // 2

    def skip(self, *fields: str) -> None:
        """Note that fields are without effect, as the format says."""
        self._read.update(fields)

    def finish(self) -> None:
        """Check that no field is left unread.

        Raises:
            VerificationError: if one is: it would change the answer in a way that is not known here.
        """
        left = [name for name in set_fields(self._message) if name not in self._read]
        self.need(not left, f"{', '.join(left)} cannot be checked here")
        for child in self._children:
            child.finish()


def set_fields(message: Any) -> Iterator[str]:
    """Yield the names of a message's fields that are set; a field that this coremltools does not know by its number."""
    from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

    for field, _ in message.ListFields():
        yield field.name
    for unknown in UnknownFieldSet(message):
        yield f"field {unknown.field_number}"


def decode_weights(stored: Any, shape: Sequence[int]) -> np.ndarray:
    """Decode `WeightParams`: fp32, fp16, or 1–8 bits with a linear scale or a look-up table.

    Args:
        stored: the protobuf message.
        shape: shape of the weights.

    Returns:
        float32, of that shape.

    Raises:
        ValueError: if the bytes are not enough for the shape or too many, or the coding is not known here.
    """
    # coremltools leaves an empty message for the quantisation when it undoes one.
    empty = {"isUpdatable"} | ({"quantization"} if stored.quantization.ByteSize() == 0 else set())
    found = [name for name in set_fields(stored) if name not in empty]
    count = math.prod(shape)
    if found == ["floatValue"]:
        values = np.array(stored.floatValue, np.float32)
    elif found == ["float16Value"]:
        if len(stored.float16Value) % 2:
            raise ValueError(f"{len(stored.float16Value)} bytes of fp16")
        values = np.frombuffer(stored.float16Value, "<f2").astype(np.float32)
    elif found == ["rawValue", "quantization"]:
        return _dequantised(stored, shape)
    elif not found and count == 0:
        values = np.zeros(0, np.float32)
    else:
        raise ValueError(f"stored as {' and '.join(found) or 'nothing'}; expected fp32, fp16 or quantised values")
    if values.size != count:
        raise ValueError(f"{values.size} values; expected {list(shape)}")
    return values.reshape(*shape)


def _dequantised(stored: Any, shape: Sequence[int]) -> np.ndarray:
    coding = stored.quantization
    bits, count = int(coding.numberOfBits), math.prod(shape)
    if not 1 <= bits <= 8:
        raise ValueError(f"quantised to {bits} bits; expected 1 to 8")
    if len(stored.rawValue) != -(-count * bits // 8):
        raise ValueError(f"{len(stored.rawValue)} bytes for {list(shape)} values of {bits} bits")
    raw = np.frombuffer(stored.rawValue, np.uint8)
    if bits < 8:
        # The first value begins at the highest bit of the first byte, and values run across bytes.
        single = np.unpackbits(raw, count=count * bits).reshape(count, bits)
        raw = np.packbits(np.pad(single, ((0, 0), (8 - bits, 0))), axis=1)[:, 0]
    if coding.WhichOneof("QuantizationType") == "lookupTableQuantization":
        table = np.array(coding.lookupTableQuantization.floatValue, np.float32)
        if table.size != 2**bits:
            raise ValueError(f"a look-up table of {table.size} values; expected {2**bits}")
        return table[raw].reshape(*shape)
    if coding.WhichOneof("QuantizationType") != "linearQuantization":
        raise ValueError("quantised in a way that is not known here")
    rows = shape[0] if shape else 1
    scale, bias = (
        np.array(getattr(coding.linearQuantization, name), np.float32).reshape(-1, 1) for name in ("scale", "bias")
    )
    if scale.size not in (1, rows) or bias.size != scale.size:
        raise ValueError(f"{scale.size} scales and {bias.size} biases; expected 1 or {rows} of each")
    scaled = raw.reshape(rows, -1).astype(np.float32) * scale + bias
    return np.asarray(scaled.reshape(*shape), np.float32)
