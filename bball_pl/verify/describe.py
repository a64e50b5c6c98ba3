"""A description of an exported file for a terminal: inputs, labels, weights, steps, metadata."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bball_pl.errors import VerificationError
from bball_pl.verify.graph import Graph, network_graph, onnx_graph, program_graph
from bball_pl.verify.inspection import TARGET_VERSIONS, labels_of, read_onnx, read_spec

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


#: Kinds of steps that are listed; the others are counted together.
_STEPS = 14

_FORMATS = ".onnx, .mlpackage, .mlmodel or .aimodel"


@dataclass(frozen=True)
class _Contents:
    """What a file holds, as text; an empty text or table is left out."""

    form: str
    inputs: list[str]
    outputs: list[str]
    labels: list[str]
    target: str
    weights: Counter[str]
    steps: Counter[str]
    metadata: dict[str, str]
    remark: str = ""


def describe(path: Path) -> RenderableType:
    """Say what is in an exported file: what goes in and out, for which systems, how large, of what made.

    Args:
        path: ends in .onnx, .mlpackage, .mlmodel or .aimodel.

    Returns:
        Something that rich prints, readable at 80 columns.

    Raises:
        VerificationError: if there is no such file, it cannot be read, or it is of another format.
    """
    readers = {".onnx": _onnx, ".mlpackage": _coreml, ".mlmodel": _coreml, ".aimodel": _core_ai}
    path = Path(path)
    if path.suffix not in readers:
        raise VerificationError(f"{path} cannot be described; expected a file that ends in {_FORMATS}")
    if not path.exists():
        raise VerificationError(f"there is no {path}; make one with scripts/export.py")
    contents = readers[path.suffix](path)
    total = sum(contents.weights.values())
    rows = [
        ("format", contents.form),
        ("size on disk", _megabytes(path)),
        ("target", contents.target),
        *_lines("input", contents.inputs),
        *_lines("output", contents.outputs),
        *_lines("labels", [f"{place}  {label}" for place, label in enumerate(contents.labels)]),
        ("parameters", f"{total:,}" if total else ""),
        *_lines("weights", [f"{count:,} as {kind}" for kind, count in contents.weights.most_common()]),
    ]
    parts: list[RenderableType] = [Text(path.name, style="bold"), _table(rows)]
    if contents.steps:
        parts += [Text(), Text(f"{sum(contents.steps.values()):,} steps", style="bold"), _histogram(contents.steps)]
    if contents.metadata:
        parts += [Text(), Text("metadata", style="bold"), _table(list(contents.metadata.items()))]
    if contents.remark:
        parts += [Text(), Text(contents.remark)]
    return Group(*parts)


def _lines(title: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(title if place == 0 else "", line) for place, line in enumerate(lines)]


def _table(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", max_width=30, overflow="fold")
    table.add_column(overflow="fold")
    for title, text in rows:
        if text:
            # As Text: square brackets in a file's own words are no mark-up.
            table.add_row(Text(title.removeprefix("com.apple.coreml.model.")), Text(text))
    return table


def _histogram(steps: Counter[str]) -> Table:
    listed = steps.most_common(_STEPS)
    rest = steps.total() - sum(count for _, count in listed)
    if rest:
        listed.append((f"of {len(steps) - len(listed)} other kinds", rest))
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(justify="right")
        table.add_column(style="cyan", max_width=30, overflow="fold")
    half = -(-len(listed) // 2)
    for row in range(half):
        cells = [cell for kind, count in listed[row::half] for cell in (f"{count:,}", Text(kind))]
        table.add_row(*cells)
    return table


def _steps(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes if node.kind != "constant")


def _megabytes(path: Path) -> str:
    files = [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]
    size = sum(found.stat().st_size for found in files)
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _coreml(path: Path) -> _Contents:
    spec = read_spec(path)
    kind, description = spec.WhichOneof("Type"), spec.description
    form, weights, steps = f"Core ML, {kind}", Counter[str](), Counter[str]()
    if kind == "mlProgram":
        form = "Core ML, ML Program"
        for function in spec.mlProgram.functions.values():
            block = function.block_specializations[function.opset]
            weights += program_weights(block)
            steps += _steps(program_graph(block))
    elif kind in ("neuralNetworkClassifier", "neuralNetwork", "neuralNetworkRegressor"):
        network = getattr(spec, kind)
        form = "Core ML, NeuralNetwork"
        weights, steps = network_weights(network), _steps(network_graph(network))
    targets = {version: target for target, version in TARGET_VERSIONS.items()}
    version = spec.specificationVersion
    metadata = description.metadata
    fields = {
        "author": metadata.author,
        "licence": metadata.license,
        "description": metadata.shortDescription,
        "version": metadata.versionString,
    }
    return _Contents(
        form=form,
        inputs=[_feature(feature) for feature in description.input],
        outputs=[_feature(feature) for feature in description.output],
        labels=labels_of(spec),
        target=f"{targets.get(version, 'older than iOS13')} or newer (specification {version})"
        if version <= max(targets)
        else f"newer than {targets[max(targets)]} (specification {version})",
        weights=weights,
        steps=steps,
        metadata=fields | dict(sorted(metadata.userDefined.items())),
    )


def _feature(feature: Any) -> str:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        image = feature.type.imageType
        text = f"{feature.name}: photo, {image.ColorSpace.Name(image.colorSpace)}, {image.width} × {image.height}"
    elif kind == "dictionaryType":
        text = f"{feature.name}: a number for each label"
    elif kind == "multiArrayType":
        text = f"{feature.name}: numbers {list(feature.type.multiArrayType.shape)}"
    else:
        text = f"{feature.name}: {str(kind).removesuffix('Type')}"
    return f"{text} – {feature.shortDescription}" if feature.shortDescription else text


def _onnx(path: Path) -> _Contents:
    import onnx

    model = read_onnx(path)
    fields = {field.key: field.value for field in model.metadata_props}
    labels = fields.pop("labels", "")
    opsets = ", ".join(f"{entry.domain or 'opset'} {entry.version}" for entry in model.opset_import)
    outside = sum(bool(tensor.external_data) for tensor in model.graph.initializer)

    def value(info: Any) -> str:
        tensor = info.type.tensor_type
        sides = [str(side.dim_value or side.dim_param or "?") for side in tensor.shape.dim]
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        return f"{info.name}: {'float32' if kind == 'float' else kind} [{', '.join(sides)}]"

    return _Contents(
        form="ONNX",
        inputs=[value(info) for info in model.graph.input],
        outputs=[value(info) for info in model.graph.output],
        labels=labels.split("\n") if labels else [],
        target=f"{opsets} (IR {model.ir_version})",
        weights=onnx_weights(model.graph),
        steps=_steps(onnx_graph(model.graph)),
        metadata={"description": model.doc_string, "producer": model.producer_name} | dict(sorted(fields.items())),
        remark=f"{outside} of its tensors lie in other files." if outside else "",
    )


def _core_ai(path: Path) -> _Contents:
    from bball_pl.verify.coreai_runtime import coreai_metadata

    fields = coreai_metadata(path)
    labels = fields.pop("labels", "")
    try:
        size = int(json.loads(fields["bball_pl.preprocess"])["size"])
        inputs = [f"photo, RGB, {size} × {size}"]
    except (KeyError, TypeError, ValueError):
        inputs = []
    return _Contents(
        form="Core AI (beta)",
        inputs=inputs,
        outputs=[],
        labels=labels.split("\n") if labels else [],
        target="iOS27 or newer",
        weights=Counter(),
        steps=Counter(),
        metadata=fields,
        remark="Its steps are in a format of Apple's own; this is what its metadata says.",
    )
