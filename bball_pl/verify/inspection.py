"""Inspection of an exported file without running it: what it states, compared with what an export should contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bball_pl.errors import VerificationError
from bball_pl.verify.graph import Graph, network_graph, onnx_graph, program_graph
from bball_pl.verify.model_file import (
    coreml_texts,
    labels_of,
    onnx_labels,
    onnx_texts,
    read_onnx,
    read_spec,
    reason_of,
)

#: Version of the specification that each target writes; a NeuralNetwork may need less than its target allows.
TARGET_VERSIONS = {"iOS13": 4, "iOS14": 5, "iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9, "iOS26": 10}
_NEEDED = ("author", "licence", "description", "version")
PREVIEW = "com.apple.coreml.model.preview.type"


@dataclass(frozen=True)
class Expected:
    """The statements that a right file contains.

    Attributes:
        class_names: labels in the order of the network's outputs.
        size: side of the photo, in pixels.
        input_name: name of the photo.
        label_output: name of the output with the most probable label; an ONNX file has none.
        probabilities_output: name of the output with a probability for each label.
        target: oldest system of a Core ML file, such as iOS16.
        format: mlprogram, neuralnetwork or onnx.
        metadata: every text field with its value; author, licence, description and version under these names.
    """

    class_names: Sequence[str]
    size: int
    input_name: str
    label_output: str
    probabilities_output: str
    target: str
    format: Literal["mlprogram", "neuralnetwork", "onnx"]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Gate:
    """One condition that a file has to meet.

    Attributes:
        name: the condition.
        found: what the file contains, or how it answers.
        expected: what it should be.
        passed: whether the condition holds.
    """

    name: str
    found: str
    expected: str
    passed: bool


def inspect_coreml(path: Path, expected: Expected) -> list[Gate]:
    """Inspect an .mlpackage or .mlmodel.

    Args:
        path: the file.
        expected: its right statements.

    Returns:
        One gate for each condition; only the first of them if the file is of another format, and none on size and
        colour if it takes no image.

    Raises:
        VerificationError: if the file cannot be read.
    """
    spec = read_spec(path)
    kind = spec.WhichOneof("Type")
    form = {"mlProgram": "mlprogram", "neuralNetworkClassifier": "neuralnetwork"}.get(kind, kind)
    gates = [_same("format", form, expected.format)]
    if not gates[0].passed:
        return gates
    description = spec.description
    gates += [_target(spec.specificationVersion, expected), _features(description, expected)]
    if description.input[0].type.WhichOneof("Type") == "imageType":
        image = description.input[0].type.imageType
        sizes = f"{image.width} × {image.height}"
        if image.WhichOneof("SizeFlexibility") is not None:
            sizes += ", and others"
        gates.append(_same("image size", sizes, f"{expected.size} × {expected.size}"))
        gates.append(_same("image colour", image.ColorSpace.Name(image.colorSpace), "RGB"))
    program = form == "mlprogram"
    graph, answer, results = _program(path, spec) if program else _network(spec)
    gates += _labels(labels_of(spec), expected)
    gates.append(_predicted(description, results))
    gates.append(_scale_and_bias([] if program else spec.neuralNetworkClassifier.preprocessing))
    gates.append(_fixed_weights(spec))
    if not program:
        network = spec.neuralNetworkClassifier
        mappings = network.DESCRIPTOR.fields_by_name["imageInputShapeMapping"].enum_type.values_by_number
        gates.append(_same("image's rank", mappings[network.imageInputShapeMapping].name, "RANK4_IMAGE_MAPPING"))
    gates.append(_same("each name once", _some(graph.given_twice(), "yes"), "yes"))
    gates += _graph(graph, description.input[0].name, answer)
    fields = coreml_texts(spec)
    gates.append(_same("preview type", fields.pop(PREVIEW, "none"), "imageClassifier"))
    gates.append(_metadata(fields, expected.metadata))
    return gates


def inspect_onnx(path: Path, expected: Expected) -> list[Gate]:
    """Inspect an ONNX file.

    Args:
        path: the file.
        expected: its right statements; target and label output do not count.

    Returns:
        One gate for each condition.

    Raises:
        VerificationError: if the file cannot be read.
    """
    import onnx

    model = read_onnx(path)
    graph = onnx_graph(model.graph)
    outside = [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    standard = set(opsets) == {"ai.onnx"} and 13 <= opsets["ai.onnx"] <= newest
    text = ", ".join(f"{domain} {version}" for domain, version in sorted(opsets.items()))
    inputs, outputs = ([_tensor(value) for value in side] for side in (model.graph.input, model.graph.output))
    size, classes = expected.size, len(expected.class_names)
    photo = [f"{expected.input_name} {kind} [any, 3, {size}, {size}]" for kind in ("float32", "uint8")]
    answer = f"{expected.probabilities_output} float32 [any, {classes}]"
    try:
        # By its path, so that data outside is looked for; but shapes cannot be inferred from that.
        onnx.checker.check_model(str(path), full_check=not outside)
        complaint = ""
    except Exception as error:  # the checker and shape inference raise different errors
        complaint = reason_of(error)
    name = model.graph.input[0].name if model.graph.input else ""
    result = model.graph.output[0].name if model.graph.output else ""
    return [
        _same("single file", _some(outside, "all weights inside"), "all weights inside"),
        Gate("opset", text, f"ai.onnx 13 to {newest}, and no other", standard),
        Gate("input", ", ".join(inputs) or "none", photo[0], len(inputs) == 1 and inputs[0] in photo),
        _same("output", ", ".join(outputs) or "none", answer),
        *_labels(onnx_labels(model), expected),
        *_graph(graph, name, result)[:1],
        _training(graph),
        _softmax(graph, result),
        _metadata(onnx_texts(model), expected.metadata),
        Gate("ONNX checker", complaint or "valid", "valid", not complaint),
    ]


def _same(name: str, found: str, expected: str) -> Gate:
    return Gate(name, found, expected, found == expected)


def _some(names: Sequence[str], otherwise: str) -> str:
    """Return the first names of a list that may be long."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or otherwise


def _target(version: int, expected: Expected) -> Gate:
    newest = TARGET_VERSIONS.get(expected.target, 0)
    if expected.format == "neuralnetwork":
        return Gate("target", f"version {version}", f"version 4 to {newest}", 4 <= version <= newest)
    return _same("target", f"version {version}", f"version {newest}")


def _features(description: Any, expected: Expected) -> Gate:
    def words(features: Any) -> str:
        return ", ".join(sorted(f"{feature.name} ({_type(feature.type)})" for feature in features))

    wanted = [f"{expected.label_output} (string)", f"{expected.probabilities_output} (dictionary by string)"]
    return _same(
        "features",
        f"{words(description.input)} → {words(description.output)}",
        f"{expected.input_name} (image) → {', '.join(sorted(wanted))}",
    )


def _type(feature: Any) -> str:
    kind = str(feature.WhichOneof("Type")).removesuffix("Type")
    if kind == "dictionary":
        kind += f" by {str(feature.dictionaryType.WhichOneof('KeyType')).removesuffix('KeyType')}"
    return kind


def _labels(labels: list[str], expected: Expected) -> list[Gate]:
    twice = sorted({label for label in labels if labels.count(label) > 1})
    return [
        _same("labels", ", ".join(labels), ", ".join(expected.class_names)),
        _same("no label twice", ", ".join(twice) or "none", "none"),
    ]


def _predicted(description: Any, results: str) -> Gate:
    """Check that the description points to outputs of the right types, and that the network gives them."""
    types = {_type(feature.type).split()[0]: feature.name for feature in description.output}
    label, answer = types.get("string", "none"), types.get("dictionary", "none")
    found = f"{description.predictedFeatureName}, {description.predictedProbabilitiesName}; the network gives {results}"
    # The label is looked up by Core ML itself in a NeuralNetwork; a program computes it.
    given = f"{label}, {answer}" if "," in results else answer
    return _same("predicted features", found, f"{label}, {answer}; the network gives {given}")


def _scale_and_bias(preprocessing: Sequence[Any]) -> Gate:
    found = []
    for entry in preprocessing:
        scaler = entry.scaler
        numbers = (scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias)
        if entry.WhichOneof("preprocessor") != "scaler":
            found.append("a mean image")
        elif numbers != (1, 0, 0, 0):
            found.append(f"scale {numbers[0]:g}, bias {', '.join(f'{number:g}' for number in numbers[1:])}")
    return _same("scale and bias outside", "; ".join(found) or "none", "none")


def _graph(graph: Graph, image: str, answer: str) -> list[Gate]:
    first = sorted({user.op for user in graph.users[image]})
    return [
        Gate("normalisation inside", ", ".join(first) or "nothing", "arithmetic first", graph.normalised(image)),
        _same("batch norm folded", _some(graph.unfolded(), "all"), "all"),
        _training(graph),
        _softmax(graph, answer),
    ]


def _training(graph: Graph) -> Gate:
    return _same("traces of training", _some(graph.traces_of_training(), "none"), "none")


def _softmax(graph: Graph, answer: str) -> Gate:
    maker = graph.makers.get(graph.origin(answer))
    found = "nothing" if maker is None else maker.op if maker.axis is None else f"{maker.op} over axis {maker.axis}"
    return Gate("softmax at the end", found, "softmax over the classes", graph.softmax_before(answer))


def _fixed_weights(spec: Any) -> Gate:
    """Check that no phone may train the model further."""
    updatable = ["the model"] if spec.isUpdatable else []
    updatable += [layer.name for layer in spec.neuralNetworkClassifier.layers if layer.isUpdatable]
    return _same("updatable on the phone", _some(updatable, "nothing"), "nothing")


def _metadata(found: Mapping[str, str], expected: Mapping[str, str]) -> Gate:
    """Compare text fields value for value; the first four may not be empty either."""
    wrong = [
        name
        for name in {**expected, **found}
        if found.get(name, "") != expected.get(name, "") or (name in _NEEDED and not found.get(name))
    ]
    texts = [
        _some([f"{name} {fields[name]!r}" if fields.get(name) else f"no {name}" for name in wrong], "complete")
        for fields in (found, expected)
    ]
    return Gate("metadata", texts[0], texts[1], not wrong)


def _program(path: Path, spec: Any) -> tuple[Graph, str, str]:
    """Return a program's graph, the name of the probabilities in it, and the names of its results."""
    functions = spec.mlProgram.functions
    if list(functions) != ["main"]:
        raise VerificationError(f"{path} has functions {', '.join(sorted(functions))}; expected main alone")
    main = functions["main"]
    block = main.block_specializations[main.opset]
    graph = program_graph(block)
    answers = [node.inputs[0] for node in graph.nodes if node.op == "classify"]
    return graph, answers[-1] if answers else "", ", ".join(block.outputs)


def _network(spec: Any) -> tuple[Graph, str, str]:
    network = spec.neuralNetworkClassifier
    answer = network.labelProbabilityLayerName or spec.description.predictedProbabilitiesName
    graph = network_graph(network)
    return graph, answer, answer if answer in graph.makers else "nothing"


def _tensor(value: Any) -> str:
    import onnx

    kind = value.type.tensor_type
    sides = [str(side.dim_value) if side.WhichOneof("value") == "dim_value" else "any" for side in kind.shape.dim]
    names = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
    return f"{value.name} {names.get(kind.elem_type, 'of another type')} [{', '.join(sides)}]"
