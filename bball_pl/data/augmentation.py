"""Augmentation of training photos by name: none, light, heavy. The only module that knows albumentations."""

from __future__ import annotations

import hashlib
import os
import random
from typing import Any, Literal, get_args

import numpy as np

from bball_pl.errors import ConfigError

# albumentations asks the network for a newer version of itself when it is imported; a training run must not.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

Strength = Literal["none", "light", "heavy"]


def photo_seed(seed: int, epoch: int, sha256: str) -> int:
    """Return the 64-bit seed of one photo in one epoch.

    It depends on the photo's content, not on its place in the list or on the worker that gets it: adding a photo to a
    dataset leaves the others' augmentation as it was.
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}/{epoch}/{sha256}".encode(), digest_size=8).digest(), "little")


class Augment:
    """A pipeline that turns a photo and a seed into a changed photo; equal seeds give equal bytes.

    Global random generators are neither read nor moved.

    Args:
        transforms: albumentations transforms that end at the wanted size.
    """

    def __init__(self, transforms: list[Any]) -> None:
        import albumentations

        self._pipeline = albumentations.Compose(transforms)
        # `Compose.set_random_seed` would give every transform a generator of its own with the same seed, so that all
        # of them draw the same numbers: a photo that is flipped would also be the one that is blurred. One pair of
        # generators for all, set back for each photo, avoids that and is cheaper than new ones.
        self._numpy = np.random.Generator(np.random.PCG64())
        self._python = random.Random()
        self._pipeline.set_random_state(self._numpy, self._python)

    def __call__(self, photo: np.ndarray, seed: int) -> np.ndarray:
        """Return a changed copy.

        Args:
            photo: RGB uint8 `[H, W, 3]`, 0–255.
            seed: from `photo_seed`.

        Returns:
            RGB uint8 `[size, size, 3]`, 0–255.
        """
        self._numpy.bit_generator.state = np.random.PCG64(seed).state
        self._python.seed(seed)
        changed: np.ndarray = self._pipeline(image=photo)["image"]
        return changed


def build_augment(strength: Strength, size: int) -> Augment | None:
    """Build the named augmentation.

    `none` is the resizing of evaluation alone, which needs no pipeline. `light` suits long runs from strong weights
    and a look at what augmentation brings; `heavy` is for the few thousand photos that a league has.

    Args:
        strength: one of none, light, heavy.
        size: side of the square result, in pixels.

    Raises:
        ConfigError: if there is no augmentation of that name.
    """
    if strength not in get_args(Strength):
        raise ConfigError(f"augmentation {strength!r} is unknown; expected one of {', '.join(get_args(Strength))}")
    if strength == "none":
        return None
    return Augment(_light(size) if strength == "light" else _heavy(size))


def _light(size: int) -> list[Any]:
    import albumentations as A

    return [
        # At least 70 % of the area: the move is still whole, its place and scale are not.
        A.RandomResizedCrop((size, size), scale=(0.7, 1.0), ratio=(0.85, 1.18)),
        # A left-handed layup is a layup. Never upside down: gravity tells a shot from a dribble.
        A.HorizontalFlip(p=0.5),
        # One gym's lamps against another's.
        A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
    ]


def _heavy(size: int) -> list[Any]:
    # The shares weigh use against time: warps, hue and noise take half a millisecond and more, the others a tenth.
    import albumentations as A
    import cv2

    return [
        # Half the area or more: the usual 0.08 cuts off ball and hoop, which are what tells the moves apart.
        A.RandomResizedCrop((size, size), scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)),
        # A left-handed layup is a layup. Never upside down: gravity tells a shot from a dribble.
        A.HorizontalFlip(p=0.5),
        # Cameras are held askew, and stand on the floor or in the stands. Edges are mirrored, because black corners
        # would be a sign of augmentation that no photo has.
        A.Affine(rotate=(-12, 12), shear=(-6, 6), border_mode=cv2.BORDER_REFLECT_101, p=0.12),
        A.Perspective(scale=(0.03, 0.08), border_mode=cv2.BORDER_REFLECT_101, p=0.12),
        # Exposure: backlit windows, dark halls, a flash. Shadows and fog are left out: they take longer than all the
        # rest together.
        A.RandomBrightnessContrast(0.2, 0.3, p=0.5),
        A.RandomGamma((70, 140), p=0.3),
        # The colour of the lamps, the white balance that the camera made of it, and the jerseys, whose colours say
        # nothing about a move.
        A.PlanckianJitter(temperature_limit=(4000, 11000), p=0.2),
        A.RandomToneCurve(scale=0.15, per_channel=True, p=0.2),
        A.HueSaturationValue(hue_shift_limit=12, sat_shift_limit=40, val_shift_limit=0, p=0.1),
        # Sometimes no colour at all, so that an orange ball is not the only thing looked for.
        A.ToGray(p=0.05),
        # Players move faster than a hall's light allows, and autofocus misses.
        A.MotionBlur((3, 9), p=0.1),
        A.GaussianBlur(blur_limit=(3, 5), p=0.1),
        # Sensor noise of phones in dark halls. Multiplied, as the noise of light grows with brightness; it also takes
        # half the time of Gaussian noise.
        A.MultiplicativeNoise((0.88, 1.12), elementwise=True, p=0.05),
        # The blocks of a JPEG that a social network saved again.
        A.ImageCompression(quality_range=(40, 85), p=0.1),
        # A referee or a head in front of the player. Filled with grey, which is near zero for the network.
        A.CoarseDropout(
            num_holes_range=(1, 3), hole_height_range=(0.08, 0.22), hole_width_range=(0.08, 0.22), fill=128, p=0.3
        ),
    ]
