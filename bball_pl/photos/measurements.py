"""Measurements of one photo, keyed by its content: hash, size, sharpness, light, and the crops for a frozen network."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.errors import PhotoError
from bball_pl.photos.decode import decode

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


#: Long side that sharpness and light are measured at, in pixels: more than any network of ours sees.
_SIDE = 512
#: Width of the filter that a picture is blurred with to see how much it loses, in pixels.
_FILTER = 9
#: A photo is cut into so many tiles each way.
_TILES = 4
#: The third sharpest tile counts: behind a sharp player the hall may be soft, and one tile can be sharp by its noise.
_SHARPEST = 2
#: A tile whose grey values vary less, in levels, has nothing that could be sharp, unless the whole photo is like that.
_CONTRAST = 15.0


@dataclass(frozen=True)
class Limits:
    """From where on a photo is told of.

    Attributes:
        side: shorter side in pixels, below which it is tiny.
        blur: 0–1, above which it is blurred. Measured, middle 90 %: rendered photos 0.27–0.47 and real ones 0.16–0.41;
            after a Gaussian blur with a standard deviation of 4 px at 500–640 px 0.69–0.78 and 0.67–0.78.
        light: 0–255, brightness of its bright parts, below which it is dark.
    """

    side: int = 128
    blur: float = 0.6
    light: float = 60.0


@dataclass(frozen=True)
class Quality:
    """What was measured.

    Attributes:
        width: in pixels.
        height: in pixels.
        blur: of the sharpest parts, 0 (sharp) to 1.
        light: brightness that a tenth of the pixels exceed, 0–255.
    """

    width: int
    height: int
    blur: float
    light: float

    def problems(self, limits: Limits) -> list[tuple[str, str]]:
        """Return the kinds of what is wrong, each with a few words of reason."""
        found = []
        if min(self.width, self.height) < limits.side:
            found.append(("tiny", f"{self.width} × {self.height} px"))
        if self.blur > limits.blur:
            found.append(("blurred", f"blur {self.blur:.2f} of 1"))
        if self.light < limits.light:
            found.append(("dark", f"the brightest tenth begins at {self.light:.0f} of 255"))
        return found


def measure_quality(pixels: np.ndarray) -> Quality:
    """Measure a photo.

    Blur is measured by blurring: where that changes little, there was little left to lose. It needs no scale of
    contrast. Source: Crete et al., The blur effect: perception and estimation with a new no-reference perceptual blur
    metric, SPIE 6492, 2007.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255.
    """
    height, width = pixels.shape[:2]
    grey = shrunk_grey(pixels, _SIDE)
    # By counting: sorting 170,000 values takes longer than everything else here.
    darker = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    return Quality(width, height, _blur(grey), float(np.searchsorted(darker, 0.9)))


def shrunk_grey(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a photo as grey values with a long side of at most `side` pixels: uint8 `[h, w]`, 0–255."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))


def _blur(grey: np.ndarray) -> float:
    if min(grey.shape) <= _TILES:
        return 1.0  # its differences do not fill the tiles
    values = grey.astype(np.float32)
    # Motion blurs in one direction only; the worse one counts.
    by_tile = np.maximum(_lost(values, (1, 0), (1, _FILTER)), _lost(values, (0, 1), (_FILTER, 1)))
    contrast = np.sqrt(np.maximum(_tiles(values * values) - _tiles(values) ** 2, 0))
    enough = max(min(_CONTRAST, float(contrast.max()) / 2), 1.0)
    by_tile = np.sort(by_tile[contrast >= enough])
    return float(by_tile[min(_SHARPEST, by_tile.size - 1)]) if by_tile.size else 1.0


def _lost(values: np.ndarray, step: tuple[int, int], kernel: tuple[int, int]) -> np.ndarray:
    """Return for each tile which share of its differences between neighbours is left after blurring, 0–1."""
    before = _differences(values, step)
    after = _differences(cv2.blur(values, kernel), step)
    kept = _tiles(cv2.min(before, after))
    return np.asarray(kept / np.maximum(_tiles(before), 1e-6))


def _differences(values: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    down, right = step
    height, width = values.shape
    return cv2.absdiff(values[down:, right:], values[: height - down, : width - right])


def _tiles(values: np.ndarray) -> np.ndarray:
    """Return the means of the tiles: float32 `[_TILES, _TILES]`."""
    return np.asarray(cv2.resize(values, (_TILES, _TILES), interpolation=cv2.INTER_AREA))


#: Side of the photos for near-duplicates, in pixels. At 96 some crops were no longer among their originals'
#: neighbours; 160 found no more than 128 and took half as long again.
SHORT_SIDE = 128
#: Length of the features for near-duplicates.
SHORT = 1280
#: Side of the photos for the judgement of labels: a ball in the distance is a few pixels wide.
LONG_SIDE = 320
#: Parts of a photo that a label is judged by, as shares of its sides: top, bottom, left, right. The second is nearer to
#: where the play mostly is. Measured on the demo court over 16 draws, before the second pass of `labels`: of the 30
#: most doubtful labels 0.78 are wrong with both, 0.76 with the whole photo alone.
_VIEWS = ((0.0, 1.0, 0.0, 1.0), (0.1, 0.9, 0.2, 0.8))
#: Number of them.
VIEWS = len(_VIEWS)


def views(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the parts that a label is judged by: RGB uint8 `[H, W, 3]` → `[VIEWS, side, side, 3]`."""
    height, width = pixels.shape[:2]
    parts = []
    for top, bottom, left, right in _VIEWS:
        rows = slice(int(top * height), max(int(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(int(right * width), int(left * width) + 1))
        parts.append(squashed(np.ascontiguousarray(pixels[rows, columns]), side))
    return np.stack(parts)


def squashed(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a photo as `FrozenFeatures` take it: RGB uint8 `[H, W, 3]` → `[side, side, 3]`, by area averaging."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA))


#: Long side of the grey picture that near-duplicates are laid over each other with, in pixels.
GREY_SIDE = 160
_GREY_QUALITY = 92


@dataclass(frozen=True)
class Measurements:
    """What is known of the bytes of one file.

    Attributes:
        problem: why it cannot be used; empty if it can, and then everything else is there.
        quality: size, sharpness and light; None if it cannot be used.
        dhash: difference hash of the photo.
        mirrored: difference hash of its mirror image.
        grey: the photo as a JPEG of grey values with a long side of `GREY_SIDE`, by which pairs are compared.
        short: features for near-duplicates, float16 `[SHORT]`.
    """

    problem: str
    quality: Quality | None = None
    dhash: int = 0
    mirrored: int = 0
    grey: bytes = b""
    short: np.ndarray | None = None


def measure_photo(content: bytes) -> tuple[Measurements, np.ndarray | None]:
    """Look at the bytes of a file.

    Returns:
        The facts, without `short`, and what `FrozenFeatures` take: RGB uint8 `[SHORT_SIDE, SHORT_SIDE, 3]`; None if
        the file is no photo that can be used.
    """
    try:
        pixels = decode(content)
    except PhotoError as error:
        return Measurements(str(error)), None
    # Big photos cost most in what follows; no measure needs more than this.
    grey = shrunk_grey(pixels, GREY_SIDE)
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _GREY_QUALITY])
    mirror = np.ascontiguousarray(cv2.cvtColor(grey[:, ::-1], cv2.COLOR_GRAY2RGB))
    facts = Measurements("", measure_quality(pixels), dhash(pixels), dhash(mirror), bytes(encoded))
    return facts, squashed(pixels, SHORT_SIDE)
