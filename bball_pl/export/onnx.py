"""The network as it is shipped, from a photo of 0–255 to probabilities, and its ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import onnx
import torch
from timm.layers import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn

from bball_pl.export.conversion import in_one_line
from bball_pl.export.metadata import About, Interface
from bball_pl.files import atomic_path
from bball_pl.model.checkpoint import Classifier
from bball_pl.verify.runners import quietly


class DeployModel(nn.Module):
    """A classifier with normalisation, temperature and softmax inside, so that an app needs to know none of them.

    Its graph is read once for all files that are converted from it: after the first of them it must not change.

    Args:
        classifier: taken over, on the CPU, in evaluation mode.
        temperature: the logits are divided by it before the softmax.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, classifier: Classifier, temperature: float = 1.0) -> None:
        super().__init__()
        # Training's channels_last would be in the exported graph as operations on strides.
        self.network = classifier.network.cpu().eval().to(memory_format=torch.contiguous_format)
        self.class_names, self.spec = list(classifier.class_names), classifier.spec
        self.backbone = classifier.backbone
        self.temperature = temperature
        self._graphs: dict[str, Any] = {}
        _fix_padding(self.network, self.spec.size)
        # Inside the graph: Core ML's image scaling has one scale for all channels.
        self.register_buffer("mean", torch.tensor(self.spec.mean).mul(255).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(self.spec.std).mul(255).reciprocal().view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return probabilities: RGB float `[B, 3, S, S]`, 0–255 → float `[B, classes]`, rows sum to 1."""
        logits = self.network((image - self.mean) * self.scale)
        return torch.softmax(logits / self.temperature, dim=1)

    @property
    def example(self) -> Tensor:
        """A grey photo to trace with, float32 `[1, 3, S, S]`."""
        return torch.full((1, 3, self.spec.size, self.spec.size), 127.0)

    def __getstate__(self) -> dict[str, Any]:
        # A copy may be changed, and then its graph is another one.
        return {**self.__dict__, "_graphs": {}}

    def graph(self, route: Literal["trace", "export"]) -> Any:
        """Return the graph for one photo: TorchScript of torch.jit.trace, or the `ExportedProgram` of torch.export."""
        if route not in self._graphs:
            self._graphs[route] = _traced(self) if route == "trace" else _exported(self)
        return self._graphs[route]


@torch.no_grad()
def _traced(model: DeployModel) -> Any:
    # Torch would trace twice and compare; here the proof compares the file with the network.
    return torch.jit.trace(model, model.example, check_trace=False)


def _exported(model: DeployModel) -> Any:
    # Without the decompositions the program is of torch's training dialect, which coremltools does not read.
    return torch.export.export(model, (model.example,)).run_decompositions({})


@torch.no_grad()
def _fix_padding(network: nn.Module, size: int) -> None:
    """Give convolutions with TensorFlow's padding the constant padding that one input size needs, in place.

    timm computes it from the shape in every forward. That is the same answer, but the arithmetic on shapes would be in
    the traced graph, and coremltools 9.0 cannot read it with numpy 2.4.
    """
    found = {name: module for name, module in network.named_modules() if isinstance(module, Conv2dSame)}
    sides: dict[str, tuple[int, int]] = {}

    def remember(name: str) -> None:
        def hook(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            height, width = arguments[0].shape[-2:]
            sides[name] = (height, width)

        handles.append(found[name].register_forward_pre_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in found:
        remember(name)
    network(torch.zeros(1, 3, size, size))
    for handle in handles:
        handle.remove()
    for name, convolution in found.items():
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, _padded(convolution, sides[name]))


def _padded(convolution: Conv2dSame, sides: tuple[int, int]) -> nn.Module:
    pairs = [
        get_same_padding(side, kernel, stride, dilation)
        for side, kernel, stride, dilation in zip(
            sides, convolution.kernel_size, convolution.stride, convolution.dilation, strict=True
        )
    ]
    (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pairs)
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (convolution.kernel_size[0], convolution.kernel_size[1]),
        (convolution.stride[0], convolution.stride[1]),
        dilation=(convolution.dilation[0], convolution.dilation[1]),
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    plain.weight, plain.bias = convolution.weight, convolution.bias
    if (top, left) == (bottom, right):
        plain.padding = (top, left)
        return plain.eval()
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain).eval()


_ADVICE = "leave onnx out of --formats, or fit another --model.backbone"


def write_onnx(model: DeployModel, path: Path, interface: Interface, about: About) -> Path:
    """Write an ONNX file: RGB float32 `[batch, 3, S, S]`, 0–255 → probabilities float32 `[batch, classes]`.

    Weights are inside the file, the batch is of any size, classes, preprocessing and origin are in its metadata.

    Args:
        model: in evaluation mode.
        path: the file; written whole or not at all.
        interface: names of input and output, and the labels.
        about: the facts.

    Returns:
        `path`.

    Raises:
        ConfigError: if the exporter cannot express the network; the message names the op.
    """
    # Two photos: an example of one would make the exporter believe that the batch is always one.
    example = model.example.repeat(2, 1, 1, 1)
    with atomic_path(path) as temporary:
        with in_one_line("ONNX", model.backbone, _ADVICE), quietly():
            torch.onnx.export(
                model,
                (example,),
                temporary,
                input_names=[interface.image],
                output_names=[interface.probabilities],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        proto = onnx.load(temporary)
        proto.producer_name, proto.producer_version = "bball_pl", about.user_defined()["bball_pl.version"]
        proto.doc_string = about.description
        fields = about.user_defined() | {"author": about.author, "licence": about.licence}
        onnx.helper.set_model_props(proto, fields | {"labels": "\n".join(interface.labels)})
        _forget_places(proto)
        onnx.checker.check_model(proto, full_check=True)
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
    return path


def _forget_places(proto: onnx.ModelProto) -> None:
    # torch writes the source lines of every node into the file: paths of this machine, a tenth of a small model.
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
