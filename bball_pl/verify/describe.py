"""Description of an exported file for a terminal: inputs, labels, weights, steps, metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bball_pl.errors import VerificationError
from bball_pl.verify.graph import Graph, network_graph, onnx_graph, program_graph
from bball_pl.verify.inspection import TARGET_VERSIONS
from bball_pl.verify.model_file import (
    coreai_metadata,
    coreml_texts,
    labels_of,
    network_weights,
    onnx_labels,
    onnx_texts,
    onnx_weights,
    program_weights,
    read_onnx,
    read_spec,
    size_on_disk,
)

#: Kinds of steps that are listed; the others are counted together.
_STEPS = 14

_FORMATS = ".onnx, .mlpackage, .mlmodel or .aimodel"


@dataclass(frozen=True)
class _Contents:
    """A file's contents as text; an empty text or table is left out."""

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
    """Describe an exported file: inputs, outputs, oldest system, size, weights, steps and metadata.

    Args:
        path: ends in .onnx, .mlpackage, .mlmodel or .aimodel.

    Returns:
        A renderable for rich's console, readable at 80 columns.

    Raises:
        VerificationError: if there is no such file, it cannot be read, or it is of another format.
    """
    readers = {".onnx": _onnx, ".mlpackage": _coreml, ".mlmodel": _coreml, ".aimodel": _core_ai}
    path = Path(path)
    if path.suffix not in readers:
        raise VerificationError(f"{path} cannot be described; expected a file that ends in {_FORMATS}")
    if not path.exists():
        raise VerificationError(f"there is no {path}; make one with bball export")
    contents = readers[path.suffix](path)
    total = sum(contents.weights.values())
    rows = [
        ("format", contents.form),
        ("size on disk", _megabytes(path)),
        ("target", contents.target),
        *_lines("input", contents.inputs),
        *_lines("output", contents.outputs),
        *_lines("labels", [f"{index}  {label}" for index, label in enumerate(contents.labels)]),
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
    return [(title if index == 0 else "", line) for index, line in enumerate(lines)]


def _table(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", max_width=30, overflow="fold")
    table.add_column(overflow="fold")
    for title, text in rows:
        if text:
            # As Text: square brackets in a file's texts are not mark-up.
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
    size = size_on_disk(path)
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
        metadata=coreml_texts(spec),
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
        labels=onnx_labels(model),
        target=f"{opsets} (IR {model.ir_version})",
        weights=onnx_weights(model.graph),
        steps=_steps(onnx_graph(model.graph)),
        metadata=onnx_texts(model),
        remark=f"{outside} of its tensors lie in other files." if outside else "",
    )


def _core_ai(path: Path) -> _Contents:
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
        remark="Its steps are in a format that only Apple reads; this is what its metadata says.",
    )
