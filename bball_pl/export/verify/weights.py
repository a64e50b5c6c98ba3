"""How many weights an exported file holds, and as what they are stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

#: What coremltools' compressions are called here, by the op that undoes them when the model is loaded.
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
    # Tables and scales of compressed weights are no weights, whether they are compressed themselves or not.
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

    # What a compressed weight is made of: attributes up to iOS17, from iOS18 on inputs, by name or in place.
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
