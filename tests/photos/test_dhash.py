from __future__ import annotations

import cv2
import numpy as np
import pytest

from bball_pl.errors import PhotoError
from bball_pl.photos.measurements import dhash, format_dhash, hamming


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A smooth picture, RGB uint8 [H, W, 3]."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))


def test_the_bits_are_brighter_than_the_left_neighbour_row_by_row_highest_first() -> None:
    luma = np.full((8, 9), 100, np.uint8)
    luma[0, 1] = 200
    luma[7, 8] = 101
    pixels = luma[..., None].repeat(3, axis=2)
    assert dhash(pixels) == (1 << 63) | 1
    # Larger cells of the same colours.
    assert dhash(pixels.repeat(10, axis=0).repeat(20, axis=1)) == (1 << 63) | 1
    assert format_dhash(dhash(pixels)) == "8000000000000001"


def test_a_flat_picture_of_any_size_has_no_bit() -> None:
    for height, width in ((1, 1), (3, 2), (8, 9), (100, 7), (479, 641)):
        assert dhash(np.full((height, width, 3), 77, np.uint8)) == 0


def test_near_duplicates_differ_in_few_bits_and_others_in_many() -> None:
    original = scene(1)
    _, data = cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, 40])
    near = [
        np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)),
        cv2.resize(original, (97, 71), interpolation=cv2.INTER_AREA),
        (original * 0.8).astype(np.uint8),
    ]
    wanted = np.array(dhash(original), np.uint64)
    assert max(hamming(wanted, np.array([dhash(pixels) for pixels in near], np.uint64))) <= 4
    assert min(hamming(wanted, np.array([dhash(scene(seed)) for seed in range(2, 30)], np.uint64))) >= 10


def test_hamming_counts_bits_for_all_pairs() -> None:
    hashes = np.array([0, 1, 2**64 - 1], np.uint64)
    table = hamming(hashes[:, None], hashes[None, :])
    assert table.tolist() == [[0, 1, 64], [1, 0, 63], [64, 63, 0]]
    assert table.dtype == np.int64


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4), (4, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PhotoError, match="RGB uint8"):
        dhash(np.zeros(shape, np.uint8))
    with pytest.raises(PhotoError, match="RGB uint8"):
        dhash(np.zeros((4, 4, 3), np.float32))
