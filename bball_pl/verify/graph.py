"""One view of the graphs of ONNX, ML Program and NeuralNetwork: each step with its inputs and outputs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Kind = Literal[
    "arithmetic",  # with one number per value or channel: add, multiply, divide, scale
    "batch norm",
    "constant",
    "convolution",
    "dropout",
    "negate",
    "other",
    "photo statistics",  # a norm of each channel by the photo's mean and variance, over height and width
    "pass",  # the same numbers in another type or shape
    "random",
    "shape",  # the shape of what it takes, not its numbers
    "softmax",
    "spatial mean",  # over height and width, perhaps over photos as well, for each channel
    "subtract",
]


@dataclass(frozen=True)
class Node:
    """One step.

    Attributes:
        op: what the format calls it.
        kind: what it means, as far as inspection asks.
        inputs: names of what it takes; parameters may be among them.
        outputs: names of what it gives.
        axis: of a softmax; else None.
    """

    op: str
    kind: Kind
    inputs: list[str]
    outputs: list[str]
    axis: int | None = None


@dataclass(frozen=True)
class Graph:
    """The steps in their order, and the questions that inspection has."""

    nodes: list[Node]

    @cached_property
    def makers(self) -> dict[str, Node]:
        """Which step gives a name; the first of them, if a damaged file has several."""
        return {name: node for node in reversed(self.nodes) for name in node.outputs}

    @cached_property
    def users(self) -> dict[str, list[Node]]:
        """Which steps take the numbers of a name, themselves or after casts and changes of shape."""
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            if node.kind not in ("pass", "shape"):
                for name in {source for given in node.inputs for source in (given, self.origin(given))}:
                    found[name].append(node)
        return found

    def origin(self, name: str) -> str:
        """Return the name that had the same numbers first, before casts and changes of shape."""
        for _ in self.nodes:
            if name not in self.makers or self.makers[name].kind != "pass":
                break
            name = self.makers[name].inputs[0]
        return name

    def given_twice(self) -> list[str]:
        """Return the names that more than one step gives."""
        counts = Counter(name for node in self.nodes for name in node.outputs)
        return [name for name, count in counts.items() if count > 1]

    def unfolded(self) -> list[str]:
        """Return the batch norms that could be part of the convolution before them: nothing else takes its result."""
        found = []
        for node in self.nodes:
            if node.kind == "batch norm":
                source = self.origin(node.inputs[0])
                before = self.makers.get(source)
                if before is not None and before.kind == "convolution" and len(self.users[source]) == 1:
                    found.append(node.outputs[0])
        return found

    def traces_of_training(self) -> list[str]:
        """Return the steps that only a network in training mode has, or one that normalises by the photo itself.

        Batch norm in training mode takes a channel's mean over height and width from the channel itself. Nothing else
        in a network does that with a result that also goes on by itself: a squeeze-and-excite block multiplies by
        what it makes of such a mean, and layer norm takes its mean along channels.
        """
        found = []
        for node in self.nodes:
            if node.kind in ("dropout", "photo statistics", "random"):
                found.append(f"{node.outputs[0]} ({node.op})")
            if node.kind == "spatial mean":
                source = self.origin(node.inputs[0])
                negated = {user.outputs[0] for user in self.users[node.outputs[0]] if user.kind == "negate"}
                for user in self.users[source]:
                    taken = {self.origin(name) for name in user.inputs}
                    centred = user.kind == "subtract" and node.outputs[0] in taken
                    if centred or (user.kind == "arithmetic" and taken & negated):
                        found.append(f"{user.outputs[0]} ({user.op})")
        return found

    def normalised(self, image: str) -> bool:
        """Say whether everything that takes the photo is arithmetic on its numbers."""
        users = self.users[image]
        return bool(users) and all(user.kind in ("arithmetic", "subtract", "batch norm") for user in users)

    def softmax_before(self, name: str) -> bool:
        """Say whether numbers come from a softmax over classes, with at most changes of type or shape after it."""
        maker = self.makers.get(self.origin(name))
        return maker is not None and maker.axis in (-3, -1, 1)


def _spatial(axes: Sequence[int]) -> bool:
    """Say whether axes of a blob [photo, channel, height, width] are height and width, with or without the photo."""
    return {axis % 4 for axis in axes} - {0} == {2, 3}


#: Kinds of the steps of all three formats whose parameters do not matter; the names of no two formats contradict.
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("add", "mul", "real_div"), "arithmetic"),
    **dict.fromkeys(("addBroadcastable", "bias", "divideBroadcastable", "multiply", "scale"), "arithmetic"),
    **dict.fromkeys(("multiplyBroadcastable", "Add", "Mul", "Div"), "arithmetic"),
    **dict.fromkeys(("loadConstant", "loadConstantND", "const", "Constant"), "constant"),
    **dict.fromkeys(("conv", "conv_transpose", "convolution", "Conv", "ConvTranspose"), "convolution"),
    **dict.fromkeys(("cast", "identity", "expand_dims", "squeeze", "reshape"), "pass"),
    **dict.fromkeys(("copy", "expandDims", "flatten", "flattenTo2D"), "pass"),
    **dict.fromkeys(("rankPreservingReshape", "reshapeStatic"), "pass"),
    **dict.fromkeys(("Cast", "Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze"), "pass"),
    **dict.fromkeys(("Bernoulli", "Multinomial"), "random"),
    **dict.fromkeys(("softmax", "softmaxND", "Softmax"), "softmax"),
    **dict.fromkeys(("sub", "subtractBroadcastable", "Sub"), "subtract"),
    **dict.fromkeys(("instance_norm", "InstanceNormalization"), "photo statistics"),
    "batch_norm": "batch norm",
    "Dropout": "dropout",
    "GlobalAveragePool": "spatial mean",
    "Neg": "negate",
    "Shape": "shape",
}


def program_graph(block: Any) -> Graph:
    """Return the graph of an ML Program's block (`MIL_pb2.Block`)."""
    integers: dict[str, list[int]] = {}
    nodes = []
    for operation in block.operations:
        outputs = [output.name for output in operation.outputs]
        if operation.type == "const":
            value = operation.attributes["val"].immediateValue.tensor
            integers[outputs[0]] = [int(number) for number in value.ints.values]
        inputs = {name: [argument.name for argument in given.arguments] for name, given in operation.inputs.items()}
        # What is worked on comes first, whatever the order of the map.
        keys = sorted(inputs, key=lambda name: (name not in ("x", "values", "probabilities"), name))
        axes = integers.get(inputs.get("axes", [""])[0], [])
        axis = integers.get(inputs.get("axis", [""])[0], [None])[0]
        kind = _program_kind(operation.type, axes)
        nodes.append(Node(operation.type, kind, [name for key in keys for name in inputs[key] if name], outputs, axis))
    return Graph(nodes)


def _program_kind(op: str, axes: Sequence[int]) -> Kind:
    if op == "const" or op.startswith("constexpr_"):
        return "constant"
    if op.startswith("random_"):
        return "random"
    if op == "reduce_mean":
        return "spatial mean" if _spatial(axes) else "other"
    return _KINDS.get(op, "other")


def network_graph(network: Any) -> Graph:
    """Return the graph of a NeuralNetwork classifier (`NeuralNetwork_pb2.NeuralNetworkClassifier`)."""
    nodes = []
    for layer in network.layers:
        op = layer.WhichOneof("layer") or "unknown"
        axis = layer.softmaxND.axis if op == "softmaxND" else -3 if op == "softmax" else None
        nodes.append(Node(op, _layer_kind(op, layer), list(layer.input), list(layer.output), axis))
    return Graph(nodes)


def _layer_kind(op: str, layer: Any) -> Kind:
    if op.startswith("random"):
        return "random"
    if op == "activation" and layer.activation.WhichOneof("NonlinearityType") == "linear":
        line = (layer.activation.linear.alpha, layer.activation.linear.beta)
        return "pass" if line == (1, 0) else "negate" if line == (-1, 0) else "arithmetic"
    if op == "pooling":
        whole = layer.pooling.globalPooling and layer.pooling.type == layer.pooling.AVERAGE
        return "spatial mean" if whole else "other"
    if op == "reduceMean":
        return "spatial mean" if _spatial(layer.reduceMean.axes) else "other"
    if op == "batchnorm":
        return "photo statistics" if layer.batchnorm.computeMeanVar else "batch norm"
    return _KINDS.get(op, "other")


def onnx_graph(graph: Any) -> Graph:
    """Return the graph of an ONNX model (`onnx.GraphProto`)."""
    import onnx

    integers = {
        tensor.name: [int(number) for number in onnx.numpy_helper.to_array(tensor).flatten()]
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT64 and sum(tensor.dims) <= 8 and not tensor.external_data
    }
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            integers[node.output[0]] = [int(x) for x in onnx.numpy_helper.to_array(node.attribute[0].t).flatten()[:8]]
    nodes = []
    for node in graph.node:
        settings = {setting.name: onnx.helper.get_attribute_value(setting) for setting in node.attribute}
        axes = settings.get("axes") or integers.get(node.input[1], []) if len(node.input) > 1 else settings.get("axes")
        axis = int(settings.get("axis", -1)) if node.op_type == "Softmax" else None
        kind = _onnx_kind(node.op_type, axes or [], bool(settings.get("training_mode", 0)))
        nodes.append(Node(node.op_type, kind, list(node.input), list(node.output), axis))
    return Graph(nodes)


def _onnx_kind(op: str, axes: Sequence[int], training: bool) -> Kind:
    if op.startswith("Random"):
        return "random"
    if op == "BatchNormalization":
        return "photo statistics" if training else "batch norm"
    if op == "ReduceMean":
        return "spatial mean" if _spatial(axes) else "other"
    return _KINDS.get(op, "other")
