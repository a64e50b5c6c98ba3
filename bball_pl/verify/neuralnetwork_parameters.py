"""Parameters of a NeuralNetwork's layer: read one by one, so that none is overlooked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import VerificationError


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
            VerificationError: if it has another length than asked, unless it is empty and there is a default.
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
            shape: theirs; quantisation in steps of their own is along its first dimension.
            exact: never rounded to fp16.

        Raises:
            VerificationError: if they are not `shape` in number, or stored in a way that is not known here.
        """
        self._read.add(field)
        try:
            values = decode_weights(getattr(self._message, field), shape)
        except ValueError as error:
            raise self.refusal(f"{field}: {error}") from error
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
        stored: the message.
        shape: of the weights.

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
