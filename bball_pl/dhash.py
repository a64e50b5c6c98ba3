"""The 64-bit difference hash of a picture: near-duplicates differ in few bits, whatever their size and quality."""

from __future__ import annotations

import cv2
import numpy as np

from bball_pl.errors import PhotoError

#: Grid that a picture is shrunk to; eight differences in each of eight rows give the 64 bits.
_WIDTH, _HEIGHT = 9, 8


def dhash(pixels: np.ndarray) -> int:
    """Return the 64-bit difference hash of a picture.

    The definition, so that others can compute the same number:

    1. luma of each pixel, 0.299 R + 0.587 G + 0.114 B, 8 bits (`cv2.COLOR_RGB2GRAY`);
    2. shrink to 9 × 8 (width × height) by area averaging in float32 (`cv2.INTER_AREA`), rounded to 1/16 of a level;
    3. bit = 1 where a cell is brighter than its left neighbour, which gives 8 × 8 bits;
    4. read them row by row from the top left; the first bit is the highest of the number.

    Scaling, another JPEG quality and small changes of brightness move few bits. A mirror image and a crop move many:
    those need the hash of the mirrored picture and features of a network.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255, upright, as `decode` returns them.

    Returns:
        0 … 2⁶⁴ − 1.

    Raises:
        PhotoError: if `pixels` has another shape or dtype, or no pixel.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise PhotoError(
            f"the hash needs RGB uint8 [H, W, 3] with at least one pixel, and this is {pixels.dtype} "
            f"{list(pixels.shape)}. Pass what `decode` returns"
        )
    luma = _cover(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    small = cv2.resize(luma, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    # Float noise must not decide a bit: a flat picture has the hash 0 on every machine.
    small = np.round(small * 16)
    bits = small[:, 1:] > small[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def format_dhash(value: int) -> str:
    """Return a hash as photos.csv holds it: 16 hexadecimal digits, lower case."""
    return f"{value:016x}"


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return in how many bits hashes differ, for all pairs that the two shapes broadcast to.

    Args:
        a: hashes, any shape; unsigned 64-bit, or integers that fit.
        b: likewise: `hamming(h[:, None], h[None, :])` compares all with all.

    Returns:
        int64, the broadcast shape, 0–64.
    """
    different = np.bitwise_xor(np.asarray(a, np.uint64), np.asarray(b, np.uint64))
    return np.bitwise_count(different).astype(np.int64)


def _cover(luma: np.ndarray) -> np.ndarray:
    """Return luma with at least as many cells as the grid: area averaging is defined for shrinking only."""
    height, width = luma.shape
    return luma.repeat(-(-_HEIGHT // height), axis=0).repeat(-(-_WIDTH // width), axis=1)
