"""A saved Core ML NeuralNetwork on torch: read back from disk and run layer by layer, without a Mac."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bball_pl.errors import VerificationError
from bball_pl.verify.executors import kernels
from bball_pl.verify.executors.neuralnetwork_layers import SHAPE_LAYERS, SPATIAL_LAYERS, Layer, single
from bball_pl.verify.model_file import Parameters, labels_of, photo_of, read_spec, set_fields
from bball_pl.verify.runners import Mode, Step, TorchExecutor

# --- one blob, number by number ------------------------------------------------------------------------------------


def _activation(p: Parameters) -> Layer:
    kind = p.choice("NonlinearityType")
    q = p.child(kind)
    if kind in ("PReLU", "parametricSoftplus"):
        alpha, beta = (_per_channel(q, name) for name in ("alpha", "beta" if kind == "parametricSoftplus" else "alpha"))
        if kind == "PReLU":
            return single(lambda x: torch.where(x >= 0, x, _along_channels(p, alpha, x) * x))
        return single(lambda x: _along_channels(p, alpha, x) * _softplus(_along_channels(p, beta, x) * x))
    a = float(q.get("alpha")) if kind in _WITH_ALPHA else 0.0
    b = float(q.get("beta")) if kind in _WITH_BETA else 0.0
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "linear": lambda x: a * x + b,
        "ReLU": torch.relu,
        "leakyReLU": lambda x: torch.where(x >= 0, x, a * x),
        "thresholdedReLU": lambda x: torch.where(x >= a, x, 0.0),
        "tanh": torch.tanh,
        "scaledTanh": lambda x: a * torch.tanh(b * x),
        "sigmoid": torch.sigmoid,
        "sigmoidHard": lambda x: (a * x + b).clamp(0, 1),
        "ELU": lambda x: torch.where(x >= 0, x, a * torch.expm1(x)),
        "softsign": lambda x: x / (1 + x.abs()),
        "softplus": _softplus,
    }
    p.need(kind in functions, f"activation {kind} cannot be checked here")
    return single(functions[kind])


_WITH_ALPHA = ("linear", "leakyReLU", "thresholdedReLU", "scaledTanh", "sigmoidHard", "ELU")
_WITH_BETA = ("linear", "scaledTanh", "sigmoidHard")


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros(()))


def _per_channel(p: Parameters, field: str) -> Tensor:
    return p.weights(field, (p.count(field),))


def _along_channels(p: Parameters, values: Tensor, x: Tensor) -> Tensor:
    if values.numel() == 1:
        return values
    p.need(x.dim() >= 3 and x.shape[-3] == values.numel(), f"{values.numel()} numbers for shape {list(x.shape)}")
    return values.reshape(-1, 1, 1)


def _unary(p: Parameters) -> Layer:
    kind, alpha, epsilon = p.enum("type"), float(p.get("alpha")), p.nonzero("epsilon", 1e-6)
    shift, scale = float(p.get("shift")), p.nonzero("scale", 1.0)
    function: Callable[[Tensor], Tensor] = {
        "SQRT": torch.sqrt,
        "RSQRT": lambda x: (x + epsilon).rsqrt(),
        "INVERSE": lambda x: 1 / (x + epsilon),
        "POWER": lambda x: x**alpha,
        "EXP": torch.exp,
        "LOG": torch.log,
        "ABS": torch.abs,
        "THRESHOLD": lambda x: x.clamp(min=alpha),
    }[kind]
    return single(lambda x: function(scale * x + shift))


def _clip(p: Parameters) -> Layer:
    low, high = float(p.get("minVal")), float(p.get("maxVal"))
    return single(lambda x: x.clamp(low, high))


def _gelu(p: Parameters) -> Layer:
    mode = p.enum("mode")
    return single(lambda x: kernels.gelu(x, mode))


# --- several blobs -------------------------------------------------------------------------------------------------

_FOLDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "multiply": torch.mul,
    "max": torch.maximum,
    "min": torch.minimum,
    "subtract": torch.sub,
    "divide": torch.div,
    "pow": torch.pow,
}


def _elementwise(name: str) -> Callable[[Parameters], Layer]:
    """Build the layers of the first generation: one of the blobs has the shape of the result."""

    def build(p: Parameters) -> Layer:
        alpha = float(p.get("alpha")) if name in ("add", "multiply") else 0.0

        def run(blobs: list[Tensor]) -> list[Tensor]:
            if len(blobs) == 1:
                p.need(name in ("add", "multiply"), "one input; expected two or more")
                return [blobs[0] + alpha if name == "add" else blobs[0] * alpha]
            shapes = [blob.shape for blob in blobs]
            whole = torch.broadcast_shapes(*shapes)
            p.need(whole in shapes, f"inputs of shapes {', '.join(str(list(shape)) for shape in shapes)}")
            result = blobs[0]
            for blob in blobs[1:]:
                result = _FOLDS["add" if name == "average" else name](result, blob)
            return [result / len(blobs) if name == "average" else result]

        return run

    return build


def _broadcastable(name: str) -> Callable[[Parameters], Layer]:
    def build(p: Parameters) -> Layer:
        def run(blobs: list[Tensor]) -> list[Tensor]:
            several = name in ("add", "multiply", "max", "min")
            p.need(len(blobs) == 2 or (several and len(blobs) > 2), f"{len(blobs)} inputs; expected 2")
            result = blobs[0]
            for blob in blobs[1:]:
                result = _FOLDS[name](result, blob)
            return [result]

        return run

    return build


def _inner_product(p: Parameters) -> Layer:
    inside, outside = int(p.get("inputChannels")), int(p.get("outputChannels"))
    weight = p.weights("weights", (outside, inside))
    bias = p.weights("bias", (outside,)) if p.get("hasBias") else None
    p.skip("bias")

    def run(x: Tensor) -> Tensor:
        p.need(1 <= x.dim() <= 5, f"an input of shape {list(x.shape)}; expected 1 to 5 dimensions")
        # With four and five dimensions, channels, height and width are one vector; with fewer, the last dimension is.
        spatial = x.dim() >= 4
        vectors = x.flatten(-3) if spatial else x
        p.need(vectors.shape[-1] == inside, f"an input of shape {list(x.shape)}; expected {inside} values")
        y = F.linear(vectors, weight, bias)
        return y[..., None, None] if spatial else y

    return single(run)


def _batched_matmul(p: Parameters) -> Layer:
    flip_a, flip_b = bool(p.get("transposeA")), bool(p.get("transposeB"))
    first, second = int(p.get("weightMatrixFirstDimension")), int(p.get("weightMatrixSecondDimension"))
    # The matrix is stored column by column.
    weight = p.weights("weights", (second, first)) if first else None
    bias = p.weights("bias", (second,)) if first and p.get("hasBias") else None
    p.skip("bias", "hasBias", "weights")

    def run(blobs: list[Tensor]) -> list[Tensor]:
        if len(blobs) == 1 and weight is not None:
            p.need(blobs[0].shape[-1] == first, f"an input of shape {list(blobs[0].shape)}; expected [..., {first}]")
            return [F.linear(blobs[0], weight, bias)]
        p.need(len(blobs) == 2, f"{len(blobs)} inputs; expected 2, or 1 and a matrix")
        a, b = blobs
        a = a[None] if a.dim() == 1 else a
        b = b[:, None] if b.dim() == 1 else b
        return [torch.matmul(a.mT if flip_a else a, b.mT if flip_b else b)]

    return run


# --- along axes ----------------------------------------------------------------------------------------------------


def _softmax(p: Parameters) -> Layer:
    def run(x: Tensor) -> Tensor:
        p.need(x.dim() >= 3, f"an input of shape {list(x.shape)}; expected at least 3 dimensions")
        return x.softmax(-3)

    return single(run)


def _softmax_nd(p: Parameters) -> Layer:
    axis = int(p.get("axis"))
    return single(lambda x: x.softmax(axis))


def _layer_normalization(p: Parameters) -> Layer:
    shape = p.numbers("normalizedShape")
    gamma, beta = p.weights("gamma", shape), p.weights("beta", shape)
    epsilon = float(p.get("eps"))
    return single(lambda x: F.layer_norm(x, shape, gamma, beta, epsilon))


_REDUCTIONS = {
    "reduceMean": "mean",
    "reduceSum": "sum",
    "reduceMax": "max",
    "reduceMin": "min",
    "reduceL1": "l1",
    "reduceL2": "l2",
    "reduceSumSquare": "sum_square",
    "reduceLogSumExp": "log_sum_exp",
}


def _reduction(name: str) -> Callable[[Parameters], Layer]:
    def build(p: Parameters) -> Layer:
        axes, keep, everything = p.numbers("axes"), bool(p.get("keepDims")), bool(p.get("reduceAll"))
        p.need(everything or bool(axes), "no axes")

        def run(x: Tensor) -> Tensor:
            y = kernels.REDUCTIONS[_REDUCTIONS[name]](x, list(range(x.dim())) if everything else axes, keep)
            # A blob has at least one dimension.
            return y.reshape(1) if y.dim() == 0 else y

        return single(run)

    return build


def _load_constant(p: Parameters) -> Layer:
    shape = p.numbers("shape", 3)
    blob = p.weights("data", (1, math.prod(shape))).reshape(1, 1, *shape)
    return lambda blobs: [blob]


def _load_constant_nd(p: Parameters) -> Layer:
    shape = p.numbers("shape")
    blob = p.weights("data", (1, math.prod(shape))).reshape(shape)
    return lambda blobs: [blob]


#: Layers that give a constant.
CONSTANTS = ("loadConstant", "loadConstantND")

#: Every layer that is known here, by its name in the format; a function takes the parameters once and gives the layer.
LAYERS: dict[str, Callable[[Parameters], Layer]] = {
    **SPATIAL_LAYERS,
    **SHAPE_LAYERS,
    **{name: _elementwise(name) for name in ("add", "multiply", "average", "max", "min")},
    **{f"{name}Broadcastable": _broadcastable(name) for name in _FOLDS},
    **{name: _reduction(name) for name in _REDUCTIONS},
    "activation": _activation,
    "batchedMatmul": _batched_matmul,
    "clip": _clip,
    "copy": lambda p: single(lambda x: x),
    "erf": lambda p: single(torch.erf),
    "gelu": _gelu,
    "innerProduct": _inner_product,
    "layerNormalization": _layer_normalization,
    "loadConstant": _load_constant,
    "loadConstantND": _load_constant_nd,
    "softmax": _softmax,
    "softmaxND": _softmax_nd,
    "tanh": lambda p: single(torch.tanh),
    "unary": _unary,
}

_SEVERAL_INPUTS = {
    *("add", "multiply", "average", "max", "min", "concat", "concatND", "stack", "gather", "batchedMatmul"),
    *(name for name in LAYERS if name.endswith("Broadcastable")),
}


# --- the executor --------------------------------------------------------------------------------------------------


class NeuralNetwork(TorchExecutor):
    """A saved NeuralNetwork classifier that answers photos as its file says, with the weights on disk.

    Mode fp32 computes everything in float32. Mode fp16 rounds the photo, the weights and every blob to fp16, which is
    what the GPU and the Neural Engine of a phone keep; the arithmetic within a layer is float32 in both.

    The largest activation is that of the blobs that are no constants; inf also stands for what is not a number.

    Args:
        path: an .mlmodel.
        mode: fp32 or fp16.
        foreign: whether it may also be a network of an array, that gives values without labels; `values` runs it then.

    Raises:
        VerificationError: if the file is missing or damaged, is not a NeuralNetwork classifier of one colour photo, or
            has a layer or a parameter that is not known here; the message names it.
    """

    def __init__(self, path: Path, mode: Mode = "fp32", foreign: bool = False) -> None:
        super().__init__(path, mode)
        spec = read_spec(path)
        kind = spec.WhichOneof("Type")
        if kind not in ("neuralNetworkClassifier", *(["neuralNetwork"] if foreign else [])):
            raise VerificationError(f"{path} holds a model of type {kind}; expected neuralNetworkClassifier")
        network, description = getattr(spec, kind), spec.description
        self.input_name, self.size, self.colour = photo_of(path, description, arrays=foreign)
        self.outputs = [feature.name for feature in description.output]
        self.metadata = dict(description.metadata.userDefined)
        self.class_names = labels_of(spec)
        classifies = kind == "neuralNetworkClassifier"
        if classifies:
            self._check_labels()
        elif len(self.outputs) != 1:
            raise VerificationError(f"{path} gives {', '.join(self.outputs)}; expected one array of values")
        self._scale, self._bias = self._preprocessing(network)
        self._rank = 5 if network.imageInputShapeMapping == 0 else 4
        if self.colour == "array":
            shape = description.input[0].type.multiArrayType.shape
            self._rank = 5 if network.arrayInputShapeMapping == 0 else len(shape)
        known = {"layers", "preprocessing", "arrayInputShapeMapping", "imageInputShapeMapping"}
        known |= {"stringClassLabels", "int64ClassLabels", "labelProbabilityLayerName"}
        if network.updateParams.ByteSize() == 0:  # coremltools writes an empty one
            known.add("updateParams")
        unknown = [name for name in set_fields(network) if name not in known]
        if unknown:
            raise VerificationError(f"{path}: {', '.join(unknown)} of its network cannot be checked here")
        self._image_key = self.input_name
        self._steps = [self._step(layer) for layer in network.layers]
        self._answer_key = self.outputs[0]
        if classifies:
            self._answer_key = network.labelProbabilityLayerName or description.predictedProbabilitiesName
        self._check_order()
        self._fold_constants()
        self._note_last_uses()

    def _input(self, picture: Tensor) -> Tensor:
        # Channels in the file's order first, then the scale, then each channel's bias.
        image = self._rounded(super()._input(picture) * self._scale + self._bias)
        return {3: image[0], 4: image, 5: image[None]}[self._rank]

    # --- once per file: from protobuf messages to steps ---------------------------------------------------------------

    def _preprocessing(self, network: Any) -> tuple[float, Tensor]:
        if not network.preprocessing:
            return 1.0, torch.zeros(3, 1, 1)
        p = Parameters(self.name, "preprocessing", network.preprocessing[0])
        p.need(len(network.preprocessing) == 1, f"{len(network.preprocessing)} of them; expected one at most")
        name = p.get("featureName")
        p.need(name == self.input_name, f"is for {name!r}; the photo is called {self.input_name!r}")
        kind = p.choice("preprocessor")
        p.need(kind == "scaler", f"{kind} cannot be checked here; expected a scale and biases")
        q = p.child("scaler")
        scale = float(q.get("channelScale"))
        p.need(scale != 0, "channelScale is 0 or not set: every photo would be the same")
        order = ("blueBias", "greenBias", "redBias") if self.colour == "BGR" else ("redBias", "greenBias", "blueBias")
        bias = torch.tensor([float(q.get(channel)) for channel in order]).reshape(3, 1, 1)
        q.skip("grayBias")
        p.finish()
        return scale, bias

    def _step(self, layer: Any) -> Step:
        kind = layer.WhichOneof("layer")
        label = f"{layer.name} ({kind or 'of a kind that is newer than this coremltools'})"
        p = Parameters(self.name, label, getattr(layer, kind) if kind else layer, self._round)
        p.need(kind in LAYERS, "cannot be checked here")
        fields = {"name", "input", "output", "inputTensor", "outputTensor", "isUpdatable", kind}
        left = [name for name in set_fields(layer) if name not in fields]
        p.need(not left, f"{', '.join(left)} cannot be checked here")
        p.need(bool(layer.input) != (kind in CONSTANTS), f"{len(layer.input)} inputs")
        one = kind not in _SEVERAL_INPUTS
        p.need(not one or len(layer.input) <= 1, f"{len(layer.input)} inputs; expected 1")
        try:
            run = LAYERS[kind](p)
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise p.refusal(f"cannot be read: {error}") from error
        p.finish()
        shapes: list[tuple[int | None, ...] | None] = [None] * len(layer.output)
        for index, tensor in enumerate(layer.outputTensor[: len(shapes)]):
            if tensor.rank:
                shapes[index] = tuple(int(side) if side > 0 else None for side in tensor.dimValue or [0] * tensor.rank)
        return Step(label, run, list(layer.input), list(layer.output), shapes, [""] * len(shapes), rounded=True)

    def _check_order(self) -> None:
        made = {self._image_key}
        for step in self._steps:
            for name in step.inputs:
                if name not in made:
                    raise self._refusal(step.label, f"takes {name!r}, which nothing computes before it")
            for name in step.outputs:
                if name in made:
                    raise self._refusal(step.label, f"gives {name!r}, which another step gives already")
                made.add(name)
        if self._answer_key not in made:
            raise VerificationError(f"{self.name}: no layer gives the probabilities {self._answer_key!r}")

    @torch.inference_mode()
    def _fold_constants(self) -> None:
        """Run the layers that do not depend on the photo, once, and take them out of the steps."""
        varying = []
        for step in self._steps:
            if all(name in self._constants for name in step.inputs):
                results = self._results(step, self._constants)
                self._constants.update(zip(step.outputs, results, strict=True))
            else:
                varying.append(step)
        self._steps = varying
        self.largest_activation, self.largest_activation_at = 0.0, ""
