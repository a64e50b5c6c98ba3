"""Inspection of an exported file without running it, held against the app's interface and the trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bball_pl.errors import VerificationError
from bball_pl.verify.graph import Graph, network_graph, onnx_graph, program_graph

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


#: Version of the specification that each target writes; a NeuralNetwork may need less than its target allows.
TARGET_VERSIONS = {"iOS13": 4, "iOS14": 5, "iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9, "iOS26": 10}
PREVIEW = "com.apple.coreml.model.preview.type"
_PREVIEW_WANTED = "imageClassifier"


@dataclass(frozen=True)
class Expected:
    """What a file should say.

    Attributes:
        class_names: labels, in the order of the network's outputs.
        size: side of the photo, in pixels.
        input_name: name of the photo.
        label_output: name of the output with the most probable label; an ONNX file has none.
        probabilities_output: name of the output with a probability for each label.
        target: oldest system of a Core ML file, such as iOS16.
        format: mlprogram, neuralnetwork or onnx.
    """

    class_names: Sequence[str]
    size: int
    input_name: str
    label_output: str
    probabilities_output: str
    target: str
    format: Literal["mlprogram", "neuralnetwork", "onnx"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was asked.
        passed: whether it is as it should be.
        found: what the file says.
        expected: what it should say.
    """

    check: str
    passed: bool
    found: str
    expected: str


def inspect_coreml(path: Path, expected: Expected) -> list[Finding]:
    """Look through an .mlpackage or .mlmodel.

    Args:
        path: the file.
        expected: what it should say.

    Returns:
        A finding per check; only the first of them if the file is of another format, and none on size and colour if
        it takes no image.

    Raises:
        VerificationError: if the file cannot be read.
    """
    spec = read_spec(path)
    kind = spec.WhichOneof("Type")
    form = {"mlProgram": "mlprogram", "neuralNetworkClassifier": "neuralnetwork"}.get(kind, kind)
    findings = [_same("format", form, expected.format)]
    if not findings[0].passed:
        return findings
    description = spec.description
    findings += [_target(spec.specificationVersion, expected), _features(description, expected)]
    if description.input[0].type.WhichOneof("Type") == "imageType":
        image = description.input[0].type.imageType
        sizes = f"{image.width} × {image.height}"
        if image.WhichOneof("SizeFlexibility") is not None:
            sizes += ", and others"
        findings.append(_same("image size", sizes, f"{expected.size} × {expected.size}"))
        findings.append(_same("image colour", image.ColorSpace.Name(image.colorSpace), "RGB"))
    program = form == "mlprogram"
    graph, answer, results = _program(path, spec) if program else _network(spec)
    findings += _labels(labels_of(spec), expected)
    findings.append(_predicted(description, results))
    findings.append(_scale_and_bias([] if program else spec.neuralNetworkClassifier.preprocessing))
    findings.append(_same("each name once", _some(graph.given_twice(), "yes"), "yes"))
    findings += _graph(graph, description.input[0].name, answer)
    findings += _metadata(description.metadata)
    return findings


def inspect_onnx(path: Path, expected: Expected) -> list[Finding]:
    """Look through an ONNX file.

    Args:
        path: the file.
        expected: what it should say; its target and label output do not count.

    Returns:
        A finding per check.

    Raises:
        VerificationError: if the file cannot be read.
    """
    import onnx

    model = read_onnx(path)
    graph = onnx_graph(model.graph)
    fields = {field.key: field.value for field in model.metadata_props}
    outside = [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    standard = set(opsets) == {"ai.onnx"} and 13 <= opsets["ai.onnx"] <= newest
    text = ", ".join(f"{domain} {version}" for domain, version in sorted(opsets.items()))
    inputs, outputs = ([_tensor(value) for value in side] for side in (model.graph.input, model.graph.output))
    size, classes = expected.size, len(expected.class_names)
    photo = [f"{expected.input_name} {kind} [any, 3, {size}, {size}]" for kind in ("float32", "uint8")]
    answer = f"{expected.probabilities_output} float32 [any, {classes}]"
    missing = [name for name in ("author", "licence", "bball_pl.preprocess") if not fields.get(name)]
    missing += [] if model.doc_string else ["description"]
    try:
        # By its path, so that data outside is looked for; but shapes cannot be inferred from that.
        onnx.checker.check_model(str(path), full_check=not outside)
        complaint = ""
    except Exception as error:  # the checker and shape inference each have errors of their own
        complaint = str(error).strip().splitlines()[0]
    name = model.graph.input[0].name if model.graph.input else ""
    result = model.graph.output[0].name if model.graph.output else ""
    return [
        _same("single file", _some(outside, "all weights inside"), "all weights inside"),
        Finding("opset", standard, text, f"ai.onnx 13 to {newest}, and no other"),
        Finding("input", len(inputs) == 1 and inputs[0] in photo, ", ".join(inputs) or "none", photo[0]),
        _same("output", ", ".join(outputs) or "none", answer),
        *_labels(fields.get("labels", "").split("\n"), expected),
        *_graph(graph, name, result)[:1],
        _training(graph),
        _softmax(graph, result),
        _same("metadata", _some([f"no {name}" for name in missing], "complete"), "complete"),
        Finding("ONNX checker", not complaint, complaint or "valid", "valid"),
    ]


def _same(check: str, found: str, expected: str) -> Finding:
    return Finding(check, found == expected, found, expected)


def _some(names: Sequence[str], otherwise: str) -> str:
    """Return the first names of a list that may be long."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or otherwise


def _target(version: int, expected: Expected) -> Finding:
    wanted = TARGET_VERSIONS.get(expected.target, 0)
    if expected.format == "neuralnetwork":
        return Finding("target", 4 <= version <= wanted, f"version {version}", f"version 4 to {wanted}")
    return _same("target", f"version {version}", f"version {wanted}")


def _features(description: Any, expected: Expected) -> Finding:
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


def _labels(labels: list[str], expected: Expected) -> list[Finding]:
    twice = sorted({label for label in labels if labels.count(label) > 1})
    return [
        _same("labels", ", ".join(labels), ", ".join(expected.class_names)),
        _same("no label twice", ", ".join(twice) or "none", "none"),
    ]


def _predicted(description: Any, results: str) -> Finding:
    """Check that the description points to outputs of the right types, and that the network gives them."""
    types = {_type(feature.type).split()[0]: feature.name for feature in description.output}
    label, answer = types.get("string", "none"), types.get("dictionary", "none")
    found = f"{description.predictedFeatureName}, {description.predictedProbabilitiesName}; the network gives {results}"
    # The label is looked up by Core ML itself in a NeuralNetwork; a program computes it.
    given = f"{label}, {answer}" if "," in results else answer
    return _same("predicted features", found, f"{label}, {answer}; the network gives {given}")


def _scale_and_bias(preprocessing: Sequence[Any]) -> Finding:
    found = []
    for entry in preprocessing:
        scaler = entry.scaler
        numbers = (scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias)
        if entry.WhichOneof("preprocessor") != "scaler":
            found.append("a mean image")
        elif numbers != (1, 0, 0, 0):
            found.append(f"scale {numbers[0]:g}, bias {', '.join(f'{number:g}' for number in numbers[1:])}")
    return _same("scale and bias outside", "; ".join(found) or "none", "none")


def _graph(graph: Graph, image: str, answer: str) -> list[Finding]:
    first = sorted({user.op for user in graph.users[image]})
    return [
        Finding("normalisation inside", graph.normalised(image), ", ".join(first) or "nothing", "arithmetic first"),
        _same("batch norm folded", _some(graph.unfolded(), "all"), "all"),
        _training(graph),
        _softmax(graph, answer),
    ]


def _training(graph: Graph) -> Finding:
    return _same("traces of training", _some(graph.traces_of_training(), "none"), "none")


def _softmax(graph: Graph, answer: str) -> Finding:
    maker = graph.makers.get(graph.origin(answer))
    found = "nothing" if maker is None else maker.op if maker.axis is None else f"{maker.op} over axis {maker.axis}"
    return Finding("softmax at the end", graph.softmax_before(answer), found, "softmax over the classes")


def _metadata(metadata: Any) -> list[Finding]:
    fields = {
        "author": metadata.author,
        "licence": metadata.license,
        "short description": metadata.shortDescription,
        "version": metadata.versionString,
    }
    missing = [f"no {name}" for name, text in fields.items() if not text]
    return [
        _same("metadata", ", ".join(missing) or "complete", "complete"),
        _same("preview type", metadata.userDefined.get(PREVIEW, "none"), _PREVIEW_WANTED),
    ]


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
