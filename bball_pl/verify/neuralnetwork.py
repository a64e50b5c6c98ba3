"""A saved Core ML NeuralNetwork on torch: read back from disk and run layer by layer, without a Mac."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.verify.model_file import Parameters, labels_of, photo_of, read_spec, set_fields
from bball_pl.verify.neuralnetwork_layers import CONSTANTS, LAYERS
from bball_pl.verify.runners import Mode, Step, TorchExecutor


class NeuralNetwork(TorchExecutor):
    """A saved NeuralNetwork classifier that answers photos as its file says, with the weights on disk.

    Mode fp32 computes everything in float32. Mode fp16 rounds the photo, the weights and every blob to fp16, which is
    what the GPU and the Neural Engine of a phone keep; the arithmetic within a layer is float32 in both.

    The largest activation is that of the blobs that are no constants; inf also stands for what is not a number.

    Args:
        path: an .mlmodel.
        mode: fp32 or fp16.

    Raises:
        VerificationError: if the file is missing or damaged, is not a NeuralNetwork classifier of one colour photo, or
            has a layer or a parameter that is not known here; the message names it.
    """

    def __init__(self, path: Path, mode: Mode = "fp32") -> None:
        super().__init__(path, mode)
        spec = read_spec(path)
        kind = spec.WhichOneof("Type")
        if kind != "neuralNetworkClassifier":
            raise VerificationError(f"{path} holds a model of type {kind}; expected neuralNetworkClassifier")
        network, description = spec.neuralNetworkClassifier, spec.description
        self.input_name, self.size, self.colour = photo_of(path, description)
        self.outputs = [feature.name for feature in description.output]
        self.metadata = dict(description.metadata.userDefined)
        self.class_names = labels_of(spec)
        self._check_labels()
        self._scale, self._bias = self._preprocessing(network)
        self._rank = 5 if network.imageInputShapeMapping == 0 else 4
        known = {"layers", "preprocessing", "arrayInputShapeMapping", "imageInputShapeMapping"}
        known |= {"stringClassLabels", "int64ClassLabels", "labelProbabilityLayerName"}
        if network.updateParams.ByteSize() == 0:  # coremltools leaves it there empty
            known.add("updateParams")
        unknown = [name for name in set_fields(network) if name not in known]
        if unknown:
            raise VerificationError(f"{path}: {', '.join(unknown)} of its network cannot be checked here")
        self._image_key = self.input_name
        self._steps = [self._step(layer) for layer in network.layers]
        self._answer_key = network.labelProbabilityLayerName or description.predictedProbabilitiesName
        self._check_order()
        self._fold_constants()
        self._note_last_uses()

    def _image(self, photo: np.ndarray) -> Tensor:
        # Channels in the file's order first, then the scale, then each channel's bias.
        image = self._rounded(super()._image(photo) * self._scale + self._bias)
        return image if self._rank == 4 else image[None]

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


_SEVERAL_INPUTS = {
    *("add", "multiply", "average", "max", "min", "concat", "concatND", "stack", "gather", "batchedMatmul"),
    *(name for name in LAYERS if name.endswith("Broadcastable")),
}
