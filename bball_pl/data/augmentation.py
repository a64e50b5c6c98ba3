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

    It depends on the photo's content, not on its position in the list or on the worker: adding a photo to a dataset
    leaves the augmentation of all others unchanged.
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}/{epoch}/{sha256}".encode(), digest_size=8).digest(), "little")


class Augment:
    """An augmentation pipeline: a photo and a seed give an augmented photo; equal seeds give equal bytes.

    Global random generators are neither read nor moved.

    Args:
        transforms: albumentations transforms whose output has the final size.
    """

    def __init__(self, transforms: list[Any]) -> None:
        import albumentations

        self._pipeline = albumentations.Compose(transforms)
        # `Compose.set_random_seed` would give every transform a separate generator with the same seed, so that all of
        # them draw the same numbers: a flipped photo would always be blurred as well. One shared pair of generators,
        # reset for each photo, avoids that and is cheaper than new ones.
        self._numpy = np.random.Generator(np.random.PCG64())
        self._python = random.Random()
        self._pipeline.set_random_state(self._numpy, self._python)

    def __call__(self, photo: np.ndarray, seed: int) -> np.ndarray:
        """Return an augmented copy.

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

    `none` is the resizing of evaluation alone and needs no pipeline. `light` suits short runs; `heavy` suits long runs
    on the few thousand photos that a league has.

    Args:
        strength: one of none, light, heavy.
        size: side of the square result, in pixels.

    Raises:
        ConfigError: if no augmentation has that name.
    """
    if strength not in get_args(Strength):
        raise ConfigError(f"augmentation {strength!r} is unknown; expected one of {', '.join(get_args(Strength))}")
    if strength == "none":
        return None
    return Augment(_light(size) if strength == "light" else _heavy(size))


def _light(size: int) -> list[Any]:
    import albumentations as A

    return [
        # At least 70 % of the area: position and scale of the move vary, and it stays whole.
        A.RandomResizedCrop((size, size), scale=(0.7, 1.0), ratio=(0.85, 1.18)),
        # A left-handed layup is a layup. Never upside down: gravity tells a shot from a dribble.
        A.HorizontalFlip(p=0.5),
        # Every gym is lit differently.
        A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
    ]


def _heavy(size: int) -> list[Any]:
    # Probabilities balance benefit against time: warps, hue and noise take half a millisecond or more, others a tenth.
    import albumentations as A
    import cv2

    return [
        # Half the area or more: the usual 0.08 cuts off ball and hoop, which tell the moves apart.
        A.RandomResizedCrop((size, size), scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3)),
        # A left-handed layup is a layup. Never upside down: gravity tells a shot from a dribble.
        A.HorizontalFlip(p=0.5),
        # Cameras are held askew, and stand on the floor or in the stands. Edges are mirrored, because black corners
        # would be a sign of augmentation that no photo has.
        A.Affine(rotate=(-12, 12), shear=(-6, 6), border_mode=cv2.BORDER_REFLECT_101, p=0.12),
        A.Perspective(scale=(0.03, 0.08), border_mode=cv2.BORDER_REFLECT_101, p=0.12),
        # Exposure: backlit windows, dark halls, a flash. No shadows or fog: they take longer than all others together.
        A.RandomBrightnessContrast(0.2, 0.3, p=0.5),
        A.RandomGamma((70, 140), p=0.3),
        # Colour of the lamps, white balance of the camera, and jerseys, whose colours say nothing about a move.
        A.PlanckianJitter(temperature_limit=(4000, 11000), p=0.2),
        A.RandomToneCurve(scale=0.15, per_channel=True, p=0.2),
        A.HueSaturationValue(hue_shift_limit=12, sat_shift_limit=40, val_shift_limit=0, p=0.1),
        # Sometimes no colour at all, so that the network does not rely on an orange ball.
        A.ToGray(p=0.05),
        # Motion blur of fast players in dim halls, and missed focus.
        A.MotionBlur((3, 9), p=0.1),
        A.GaussianBlur(blur_limit=(3, 5), p=0.1),
        # Sensor noise of phones in dark halls. Multiplicative, because shot noise grows with brightness; it also takes
        # half the time of Gaussian noise.
        A.MultiplicativeNoise((0.88, 1.12), elementwise=True, p=0.05),
        # JPEG blocks of photos that a social network compressed again.
        A.ImageCompression(quality_range=(40, 85), p=0.1),
        # Occlusion by a referee or a spectator; grey is close to zero after normalisation.
        A.CoarseDropout(
            num_holes_range=(1, 3), hole_height_range=(0.08, 0.22), hole_width_range=(0.08, 0.22), fill=128, p=0.3
        ),
    ]
