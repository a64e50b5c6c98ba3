"""A saved Core ML NeuralNetwork on torch: read back from disk and run layer by layer, without a Mac."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import VerificationError
from bball_pl.verify.inspection import labels_of, photo_of, read_spec
from bball_pl.verify.neuralnetwork_layers import CONSTANTS, LAYERS
from bball_pl.verify.neuralnetwork_layout import Layer
from bball_pl.verify.neuralnetwork_parameters import Parameters, set_fields


@dataclass(frozen=True)
class _Step:
    """One layer, ready to run; `shapes` is what the file states of its results, 0 or -1 where open."""

    parameters: Parameters
    run: Layer
    inputs: list[str]
    outputs: list[str]
    shapes: list[list[int]]
    last_used: list[str] = field(default_factory=list)


class NeuralNetwork:
    """A saved NeuralNetwork classifier that answers photos as its file says, with its own weights, quantised ones too.

    Mode fp32 computes everything in float32. Mode fp16 rounds the photo, the weights and every blob to fp16, which is
    what the GPU and the Neural Engine of a phone keep; the arithmetic within a layer is float32 in both.

    Attributes:
        class_names: labels, in the order of the probabilities.
        input_name: name of the photo.
        size: width and height of the photo, in pixels.
        colour: order of the channels that the network takes; the photo is turned into it here.
        outputs: names of the label and the probabilities.
        largest_activation: largest absolute value of a blob that is no constant, over all photos so far; inf also
            stands for what is not a number. fp16 ends at 65504.
        largest_activation_at: the layer that gave it.

    Args:
        path: an .mlmodel.
        mode: fp32 or fp16.

    Raises:
        VerificationError: if the file is missing or damaged, is not a NeuralNetwork classifier of one colour photo, or
            has a layer or a parameter that is not known here; the message names it.
    """

    def __init__(self, path: Path, mode: Literal["fp32", "fp16"] = "fp32") -> None:
        spec = read_spec(path)
        kind = spec.WhichOneof("Type")
        if kind != "neuralNetworkClassifier":
            raise VerificationError(f"{path} holds a model of type {kind}; expected neuralNetworkClassifier")
        network, description = spec.neuralNetworkClassifier, spec.description
        self._name, self._round = path.name, mode == "fp16"
        self.largest_activation, self.largest_activation_at = 0.0, ""
        self.input_name, self.size, self.colour = photo_of(path, description)
        self.outputs = [feature.name for feature in description.output]
        self.class_names = labels_of(spec)
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice or not self.class_names:
            reason = f"{', '.join(twice)} labels two of its classes" if twice else "it has no labels"
            raise VerificationError(f"{path}: Core ML's answer would lack a class: {reason}")
        self._scale, self._bias = self._preprocessing(network)
        self._rank = 5 if network.imageInputShapeMapping == 0 else 4
        known = {"layers", "preprocessing", "arrayInputShapeMapping", "imageInputShapeMapping"}
        known |= {"stringClassLabels", "int64ClassLabels", "labelProbabilityLayerName"}
        if network.updateParams.ByteSize() == 0:  # coremltools leaves it there empty
            known.add("updateParams")
        unknown = [name for name in set_fields(network) if name not in known]
        if unknown:
            raise VerificationError(f"{path}: {', '.join(unknown)} of its network cannot be checked here")
        self._steps = [self._step(layer) for layer in network.layers]
        self._answer = network.labelProbabilityLayerName or description.predictedProbabilitiesName
        self._check_order()
        self._constants = self._fold_constants()
        self._note_last_uses()

    @torch.inference_mode()
    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo.

        Args:
            photo: RGB uint8 `[height, width, 3]`, 0–255, as `PreprocessSpec.resize` makes it.

        Returns:
            float32 `[classes]`: the numbers in Core ML's dictionary, in the order of `class_names`.

        Raises:
            VerificationError: if the photo has another size, or a layer is given blobs that do not fit its parameters;
                the message names the layer.
        """
        blobs = {**self._constants, self.input_name: self._image(photo)}
        for step in self._steps:
            results = self._run(step, blobs)
            for result in results:
                self._note_largest(step.parameters.label, result)
            blobs.update(zip(step.outputs, results, strict=True))
            for name in step.last_used:
                del blobs[name]
        answer: np.ndarray = blobs[self._answer].flatten().numpy().copy()
        if len(answer) != len(self.class_names):
            raise VerificationError(
                f"{self._name}: {self._answer!r} has {len(answer)} values for {len(self.class_names)} labels"
            )
        return answer

    def _image(self, photo: np.ndarray) -> Tensor:
        width, height = self.size
        if photo.shape != (height, width, 3) or photo.dtype != np.uint8:
            raise VerificationError(
                f"{self._name} takes photos uint8 [{height}, {width}, 3]; found {photo.dtype} {list(photo.shape)}"
            )
        pixels = torch.tensor(photo)
        # [H, W, 3] seen as [3, H, W] is channels_last already.
        image = (pixels.flip(2) if self.colour == "BGR" else pixels).permute(2, 0, 1)[None].float()
        # Channels in the file's order first, then the scale, then each channel's bias.
        image = self._rounded(image * self._scale + self._bias)
        return image if self._rank == 4 else image[None]

    def _rounded(self, blob: Tensor) -> Tensor:
        return blob.half().float() if self._round else blob

    def _run(self, step: _Step, blobs: dict[str, Tensor]) -> list[Tensor]:
        p = step.parameters
        try:
            results = step.run([blobs[name] for name in step.inputs])
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise p.refusal(f"cannot be run here: {str(error).splitlines()[0]}") from error
        p.need(len(results) == len(step.outputs), f"gives {len(results)} results, not {len(step.outputs)}")
        p.need(all(result.numel() for result in results), "gives an empty blob")
        results = [self._rounded(result) for result in results]
        for stated, result in zip(step.shapes, results, strict=False):
            fits = len(stated) == result.dim() and all(
                side in (0, -1, own) for side, own in zip(stated, result.shape, strict=True)
            )
            p.need(fits, f"gives a blob of shape {list(result.shape)}; the file states {stated}")
        return results

    def _note_largest(self, label: str, result: Tensor) -> None:
        # Two passes: aminmax, and abs().max(), take twenty times as long where the memory format is channels_last.
        largest = max(-result.amin().item(), result.amax().item())
        if not largest <= self.largest_activation and self.largest_activation < math.inf:
            self.largest_activation = math.inf if math.isnan(largest) else largest
            self.largest_activation_at = label

    # --- once per file: from protobuf messages to steps ---------------------------------------------------------------

    def _preprocessing(self, network: Any) -> tuple[float, Tensor]:
        if not network.preprocessing:
            return 1.0, torch.zeros(3, 1, 1)
        p = Parameters(self._name, "preprocessing", network.preprocessing[0])
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

    def _step(self, layer: Any) -> _Step:
        kind = layer.WhichOneof("layer")
        label = f"{layer.name} ({kind or 'of a kind that is newer than this coremltools'})"
        p = Parameters(self._name, label, getattr(layer, kind) if kind else layer, self._round)
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
        shapes = [
            [int(side) for side in tensor.dimValue] or [-1] * tensor.rank
            for tensor in layer.outputTensor
            if tensor.rank
        ]
        return _Step(p, run, list(layer.input), list(layer.output), shapes)

    def _check_order(self) -> None:
        made = {self.input_name}
        for step in self._steps:
            for name in step.inputs:
                step.parameters.need(name in made, f"takes {name!r}, which nothing computes before it")
            for name in step.outputs:
                step.parameters.need(name not in made, f"gives {name!r}, which is there already")
                made.add(name)
        if self._answer not in made:
            raise VerificationError(f"{self._name}: no layer gives the probabilities {self._answer!r}")

    @torch.inference_mode()
    def _fold_constants(self) -> dict[str, Tensor]:
        """Run the layers that do not depend on the photo, once, and take them out of the steps."""
        constants: dict[str, Tensor] = {}
        left = []
        for step in self._steps:
            if all(name in constants for name in step.inputs):
                constants.update(zip(step.outputs, self._run(step, constants), strict=True))
            else:
                left.append(step)
        self._steps = left
        return constants

    def _note_last_uses(self) -> None:
        """Let every step drop the blobs that no later one takes: the memory of a photo stays small."""
        kept = {self._answer, *self._constants}
        for step in reversed(self._steps):
            step.last_used.extend(sorted({*step.inputs, *step.outputs} - kept))
            kept |= set(step.inputs)


_SEVERAL_INPUTS = {
    *("add", "multiply", "average", "max", "min", "concat", "concatND", "stack", "gather", "batchedMatmul"),
    *(name for name in LAYERS if name.endswith("Broadcastable")),
}
