"""The cost of resizing: photos made square with other filters than the one that the network was trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from PIL import Image

from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.photos.decode import decode_file
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.parity import Reference

#: RGB uint8 `[H, W, 3]`, width, height → RGB uint8 `[height, width, 3]`.
Resize = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class FilterCost:
    """Answers to photos that were resized with one filter, compared with the trained model's.

    Attributes:
        filter: name of the filter.
        antialiased: whether it averages all the pixels that become one.
        trained: whether the network was trained with it.
        largest_difference: largest difference of any probability.
        same_answers: share of the photos with the same most probable class, 0–1.
        accuracy: share of right answers, 0–1.
        photos: number of photos.
    """

    filter: str
    antialiased: bool
    trained: bool
    largest_difference: float
    same_answers: float
    accuracy: float
    photos: int


def _pillow(resampling: Image.Resampling, photo: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).resize((width, height), resampling))


def _opencv(interpolation: int, photo: np.ndarray, width: int, height: int) -> np.ndarray:
    resized: np.ndarray = cv2.resize(photo, (width, height), interpolation=interpolation)
    return resized


#: Pillow's filters widen with the reduction, which is antialiasing; OpenCV's look at the nearest pixels only.
_FILTERS: list[tuple[str, bool, Resize]] = [
    ("bicubic", True, partial(_pillow, Image.Resampling.BICUBIC)),
    ("bilinear", True, partial(_pillow, Image.Resampling.BILINEAR)),
    ("Lanczos", True, partial(_pillow, Image.Resampling.LANCZOS)),
    ("area", True, partial(_pillow, Image.Resampling.BOX)),
    ("bicubic", False, partial(_opencv, cv2.INTER_CUBIC)),
    ("bilinear", False, partial(_opencv, cv2.INTER_LINEAR)),
    ("nearest", False, partial(_opencv, cv2.INTER_NEAREST)),
]


def filter_costs(model: TrainedModel, reference: Reference) -> list[FilterCost]:
    """Answer photos resized with each filter, and compare with the answers to those resized as in training.

    Args:
        model: the trained model.
        reference: photos and the trained model's answers.

    Returns:
        A row per filter; that of the training is the reference itself.
    """
    spec = model.spec
    photos = [decode_file(photo.path) for photo in reference.photos]
    rows = []
    for name, antialiased, resize in _FILTERS:
        trained = antialiased and name == spec.interpolation
        answers = reference.probabilities
        if not trained:
            squares = np.stack([squared(photo, spec, resize) for photo in photos])
            answers = model.rule.probabilities(model.pixel_logits(squares))
        predicted = answers.argmax(1)
        rows.append(
            FilterCost(
                name,
                antialiased,
                trained,
                float(np.abs(answers - reference.probabilities).max()),
                float((predicted == reference.probabilities.argmax(1)).mean()),
                float((predicted == reference.targets).mean()),
                len(photos),
            )
        )
    return rows


def squared(photo: np.ndarray, spec: PreprocessSpec, resize: Resize) -> np.ndarray:
    """Make a photo square as `PreprocessSpec.resize` does, with another filter.

    Args:
        photo: RGB uint8 `[H, W, 3]`, 0–255.
        spec: fit and size.
        resize: the filter.

    Returns:
        RGB uint8 `[size, size, 3]`, 0–255.
    """
    height, width = photo.shape[:2]
    if spec.fit == "squash":
        return resize(photo, spec.size, spec.size)
    if spec.fit == "crop":
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        return resize(np.ascontiguousarray(photo[top : top + side, left : left + side]), spec.size, spec.size)
    scale = spec.size / max(height, width)
    inner = resize(photo, max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.zeros((spec.size, spec.size, 3), np.uint8)
    y, x = (spec.size - inner.shape[0]) // 2, (spec.size - inner.shape[1]) // 2
    canvas[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return canvas
