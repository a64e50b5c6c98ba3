"""Grad-CAM: heat maps of the parts of a photo that support an answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bball_pl.errors import ConfigError
from bball_pl.model.checkpoint import Classifier
from bball_pl.model.network import MoveNet
from bball_pl.photos.preprocess import PreprocessSpec


class _Maps(nn.Module):
    """The network with its last feature maps as a layer for captum, whatever its name in the backbone."""

    def __init__(self, network: MoveNet) -> None:
        super().__init__()
        self.network = network
        self.maps = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        # Only the head is differentiated: Grad-CAM needs the gradient at the feature maps, not at the photo.
        with torch.no_grad():
            maps = self.network.feature_maps(images)
        channels = self.network.net.num_features
        if maps.ndim != 4 or (maps.shape[1] != channels and maps.shape[3] == channels):
            raise ConfigError("Grad-CAM needs a backbone with feature maps, a CNN; this one has tokens")
        return self.network.logits_of_maps(self.maps(maps.requires_grad_()))


def grad_cam(classifier: Classifier, photos: list[np.ndarray], classes: list[int]) -> list[np.ndarray]:
    """Return heat maps: the last feature maps weighted by their gradients (Grad-CAM, arXiv:1610.02391).

    Args:
        classifier: in evaluation mode; photos are moved to its device.
        photos: RGB uint8 `[H, W, 3]`, 0–255, upright, of any sizes.
        classes: index of the class to explain, for each photo.

    Returns:
        A heat map per photo in its proportions, float32 `[h, w]`, at most 64 on the long side, 0–1: 1 supports the
        class most, 0 does not support it or is outside the input. All 0 if nothing supports it.

    Raises:
        ConfigError: if the backbone has no feature maps.
    """
    from captum.attr import LayerGradCam  # imports matplotlib, which an export does not need

    spec, device = classifier.spec, next(classifier.parameters()).device
    resized = torch.from_numpy(np.stack([spec.resize(photo) for photo in photos])).permute(0, 3, 1, 2)
    images = spec.normalise(resized.to(device))
    staged = _Maps(classifier.network)
    with torch.enable_grad():
        maps = LayerGradCam(staged, staged.maps).attribute(
            images, target=torch.tensor(classes, device=device), relu_attributions=True
        )
    strengths = maps.detach().float().cpu().numpy()[:, 0]
    return [undo_fit(strength, spec, photo.shape[:2]) for strength, photo in zip(strengths, photos, strict=True)]


def undo_fit(heat: np.ndarray, spec: PreprocessSpec, size: tuple[int, int]) -> np.ndarray:
    """Map a heat map of the network's square input back to the photo's proportions, and scale it to 0–1.

    Args:
        heat: float `[n, n]`, 0 or more.
        spec: how the photo was made square.
        size: height and width of the photo, in pixels.

    Returns:
        float32 `[h, w]`, at most 64 on the long side, 0–1.
    """
    import cv2

    height, width = (max(1, round(64 * side / max(size))) for side in size)
    if spec.fit == "squash":
        whole = cv2.resize(heat, (width, height), interpolation=cv2.INTER_CUBIC)
    elif spec.fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        whole = np.zeros((height, width), np.float32)
        whole[top : top + side, left : left + side] = cv2.resize(heat, (side, side), interpolation=cv2.INTER_CUBIC)
    else:
        square = cv2.resize(heat, (64, 64), interpolation=cv2.INTER_CUBIC)
        top, left = (64 - height) // 2, (64 - width) // 2
        whole = square[top : top + height, left : left + width]
    whole = whole.clip(0)  # cubic interpolation dips below zero beside a peak
    highest = float(whole.max())
    scaled: np.ndarray = (whole / highest if highest > 0 else whole).astype(np.float32)
    return scaled
