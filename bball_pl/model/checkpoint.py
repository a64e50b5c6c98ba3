"""A checkpoint's content, and the classifier in it: network, classes and preprocessing, without what trains them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bball_pl.errors import RunError
from bball_pl.files import is_lfs_pointer
from bball_pl.model.court_weights import read_weights
from bball_pl.model.network import MoveNet
from bball_pl.photos.preprocess import PreprocessSpec


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of this project, or weights that it shipped, on the CPU; tensors and plain values only.

    Raises:
        RunError: if the file is missing, cannot be read, or was not written by this project.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(f"there is no checkpoint {path}; pass a .ckpt file of a run, or make one with bball fit")
    if is_lfs_pointer(path):
        raise RunError(f"{path} is a pointer of Git LFS instead of the checkpoint; run git lfs pull")
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's reader reports, the user needs the file's name
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path} cannot be read as a checkpoint ({reason}); is it whole?") from error
    if not isinstance(checkpoint, dict) or not {"bball_pl", "hyper_parameters", "state_dict"} <= set(checkpoint):
        raise RunError(f"{path} is not a checkpoint of this project: it has no classes and no preprocessing")
    return checkpoint


class Classifier(nn.Module):
    """A network with the names of its classes and the preprocessing of its photos.

    Attributes:
        network: the network; its parameters have the names that they have in a checkpoint.
        class_names: in the order of the logits.
        spec: how a photo becomes the network's input.
        backbone: timm name, with or without a weight tag.
    """

    def __init__(self, network: MoveNet, class_names: list[str], spec: PreprocessSpec, backbone: str) -> None:
        super().__init__()
        self.network, self.class_names, self.spec, self.backbone = network, list(class_names), spec, backbone

    def forward(self, images: Tensor) -> Tensor:
        """Return logits: images `[B, 3, S, S]`, normalised as `spec` says → float `[B, classes]`."""
        logits: Tensor = self.network(images)
        return logits

    @classmethod
    def from_checkpoint(cls, checkpoint: str | os.PathLike[str] | dict[str, Any]) -> Classifier:
        """Build the classifier of a checkpoint, on the CPU, in evaluation mode, without other weights.

        Args:
            checkpoint: its file, or what `read_checkpoint` returned.

        Raises:
            RunError: if the file is missing, cannot be read, or was not written by this project.
        """
        if not isinstance(checkpoint, dict):
            checkpoint = read_checkpoint(checkpoint)
        settings, facts = checkpoint["hyper_parameters"], checkpoint["bball_pl"]
        spec = PreprocessSpec.from_dict(facts["spec"])
        network = MoveNet(
            settings["backbone"],
            len(settings["class_names"]),
            spec.size,
            auxiliary=settings.get("auxiliary", False),
            channels_last=settings.get("channels_last", "auto"),
        )
        classifier = Classifier(network, settings["class_names"], spec, settings["backbone"])
        classifier.load_state_dict(checkpoint["state_dict"])
        return classifier.eval()
