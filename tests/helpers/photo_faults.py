"""Faults of decoding and resizing, planted in the project's own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import pytest
from PIL import Image

from bball_pl.photos import decode as decoding
from bball_pl.photos import preprocess
from bball_pl.photos.preprocess import PreprocessSpec

Fault = Callable[[pytest.MonkeyPatch], None]


def ignored_orientation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decoding, "_upright", lambda image: image)


def dropped_alpha(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decoding, "_to_srgb", lambda image: image.convert("RGB"))


def blue_for_red(patch: pytest.MonkeyPatch) -> None:
    right = decoding._to_srgb
    patch.setattr(decoding, "_to_srgb", lambda image: Image.merge("RGB", right(image).split()[::-1]))


def nearest(patch: pytest.MonkeyPatch) -> None:
    for name in ("bilinear", "bicubic"):
        patch.setitem(preprocess._RESAMPLING, name, Image.Resampling.NEAREST)


def other_filter(patch: pytest.MonkeyPatch) -> None:
    bilinear, bicubic = (preprocess._RESAMPLING[name] for name in ("bilinear", "bicubic"))
    patch.setitem(preprocess._RESAMPLING, "bilinear", bicubic)
    patch.setitem(preprocess._RESAMPLING, "bicubic", bilinear)


def crop(patch: pytest.MonkeyPatch) -> None:
    right = PreprocessSpec.resize
    patch.setattr(PreprocessSpec, "resize", lambda spec, photo: right(replace(spec, fit="crop"), photo))


def crop_and_nearest(patch: pytest.MonkeyPatch) -> None:
    crop(patch)
    nearest(patch)


def without_antialiasing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        PreprocessSpec,
        "resize",
        lambda spec, photo: cv2.resize(photo, (spec.size, spec.size), interpolation=cv2.INTER_CUBIC),
    )


def blue_for_red_after_resizing(patch: pytest.MonkeyPatch) -> None:
    right = PreprocessSpec.resize
    patch.setattr(PreprocessSpec, "resize", lambda spec, photo: right(spec, photo)[..., ::-1].copy())


#: Faults that only some photos show; the control pictures are such ones.
HIDDEN: list[Fault] = [ignored_orientation, dropped_alpha]
OPEN: list[Fault] = [
    *(blue_for_red, nearest, other_filter, crop, crop_and_nearest),
    *(without_antialiasing, blue_for_red_after_resizing),
]
