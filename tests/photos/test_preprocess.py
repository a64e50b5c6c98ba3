"""What happens to a photo between the file and the network."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.errors import ConfigError
from bball_pl.photos.preprocess import Fit, PreprocessSpec

SIDES = st.integers(1, 90)


def ramp(height: int, width: int) -> np.ndarray:
    """A photo whose red grows from left to right, whose green grows downwards, and whose blue is full."""
    red = np.broadcast_to(np.linspace(0, 255, width)[None, :], (height, width))
    green = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    return np.stack([red, green, np.full((height, width), 255.0)], axis=2).astype(np.uint8)


@given(
    size=st.integers(16, 400),
    fit=st.sampled_from(["squash", "crop", "pad"]),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 1)] * 3),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_a_spec_survives_json(size: int, fit: Fit, mean: Any, std: Any, interpolation: Any) -> None:
    spec = PreprocessSpec(size, fit, mean, std, interpolation)
    again = PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert hash(again) == hash(spec)


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@settings(max_examples=30, deadline=None)
@given(height=SIDES, width=SIDES)
def test_every_photo_becomes_square(fit: Fit, height: int, width: int) -> None:
    result = PreprocessSpec(32, fit).resize(ramp(height, width))
    assert result.shape == (32, 32, 3)
    assert result.dtype == np.uint8


@settings(max_examples=30, deadline=None)
@given(height=st.integers(20, 200), width=st.integers(20, 200))
def test_squash_cuts_nothing_off_and_pad_keeps_the_proportions(height: int, width: int) -> None:
    photo = ramp(height, width)
    squashed = PreprocessSpec(16, "squash").resize(photo).astype(int)
    assert squashed[:, 0, 0].max() < 30
    assert squashed[:, -1, 0].min() > 225
    assert squashed[0, :, 1].max() < 30
    assert squashed[-1, :, 1].min() > 225
    padded = PreprocessSpec(64, "pad").resize(photo)
    inside = padded[..., 2] == 255
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    inner_height, inner_width = len(rows), len(columns)
    assert max(inner_height, inner_width) == 64
    assert abs(inner_height - 64 * height / max(height, width)) <= 1
    assert abs(inner_width - 64 * width / max(height, width)) <= 1
    assert not padded[~inside].any(), "the bars are black"
    assert abs(rows[0] - (63 - rows[-1])) <= 1, "in the middle"
    assert abs(columns[0] - (63 - columns[-1])) <= 1


def test_crop_keeps_the_middle_of_the_longer_side() -> None:
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 200
    assert PreprocessSpec(32, "crop").resize(wide)[:, 2:-2].min() >= 190
    tall = np.zeros((121, 40, 3), np.uint8)
    tall[:40], tall[-40:] = 255, 255
    assert PreprocessSpec(32, "crop").resize(tall)[2:-2].max() <= 10


def test_a_square_photo_of_the_right_size_is_left_alone_by_every_fit() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for fit in ("squash", "crop", "pad"):
        np.testing.assert_array_equal(PreprocessSpec(48, fit).resize(photo), photo)


def test_normalise_is_the_formula() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8))
    got = PreprocessSpec(16, mean=mean, std=std).normalise(batch)
    wanted = (batch.double() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=0)
    assert batch.dtype == torch.uint8, "the given bytes stay"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 8}, "8 px"),
        ({"fit": "stretch"}, "squash, crop, pad"),
        ({"interpolation": "nearest"}, "bilinear, bicubic"),
        ({"std": (0.5, 0.0, 0.5)}, "positive"),
        ({"mean": (0.5,)}, "expected 3"),
        ({"colour": "bgr"}, "colour"),
    ],
)
def test_wrong_values_name_what_was_expected(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PreprocessSpec.from_dict({"size": 32} | wrong)
    with pytest.raises(ConfigError, match="size"):
        PreprocessSpec.from_dict({"fit": "squash"})
