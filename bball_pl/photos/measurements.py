"""Measurements of a photo: difference hash, size, sharpness, light, and the crops for a frozen network."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bball_pl.errors import PhotoError
from bball_pl.photos.decode import decode
from bball_pl.photos.picture_frame import inner_box

#: Grid that a picture is shrunk to for the hash; eight differences in each of eight rows give 64 bits.
_WIDTH, _HEIGHT = 9, 8


def dhash(pixels: np.ndarray) -> int:
    """Return the 64-bit difference hash of a picture.

    Definition, so that other programs can compute the same number:

    1. luma of each pixel, 0.299 R + 0.587 G + 0.114 B, 8 bits (`cv2.COLOR_RGB2GRAY`);
    2. shrink to 9 × 8 (width × height) by area averaging in float32 (`cv2.INTER_AREA`), rounded to 1/16 of a level;
    3. bit = 1 where a cell is brighter than its left neighbour, which gives 8 × 8 bits;
    4. row by row from the top left; the first bit is the most significant one.

    Scaling, another JPEG quality and small changes of brightness flip few bits. Mirroring and cropping flip many: they
    are found by the hash of the mirrored picture and by features of a network.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255, upright, as `decode` returns them.

    Returns:
        An integer from 0 to 2⁶⁴ − 1.

    Raises:
        PhotoError: if `pixels` has another shape or dtype, or is empty.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise PhotoError(
            f"the hash needs RGB uint8 [H, W, 3] with at least one pixel; found {pixels.dtype} "
            f"{list(pixels.shape)}. Pass the pixels that `decode` returns"
        )
    luma = _cover(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).astype(np.float32)
    small = cv2.resize(luma, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    # Rounding errors must not decide a bit: a flat picture has the hash 0 on every machine.
    small = np.round(small * 16)
    bits = small[:, 1:] > small[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def format_dhash(value: int) -> str:
    """Return a hash as in photos.csv: 16 hexadecimal digits, lower case."""
    return f"{value:016x}"


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the number of differing bits between hashes, for all pairs that the two shapes broadcast to.

    Args:
        a: Hashes of any shape, uint64 or integers in its range.
        b: Likewise.

    Returns:
        int64 of the broadcast shape, 0–64.

    Example:
        distances = hamming(hashes[:, None], hashes[None, :])  # all pairs
    """
    different = np.bitwise_xor(np.asarray(a, np.uint64), np.asarray(b, np.uint64))
    return np.bitwise_count(different).astype(np.int64)


def _cover(luma: np.ndarray) -> np.ndarray:
    """Repeat pixels until a picture is at least as large as the grid: area averaging is defined for shrinking only."""
    height, width = luma.shape
    return luma.repeat(-(-_HEIGHT // height), axis=0).repeat(-(-_WIDTH // width), axis=1)


#: Long side in pixels at which sharpness and light are measured: more than any network here is fed.
_SIDE = 512
#: Width in pixels of the filter that blurs a picture to measure the loss.
_FILTER = 9
#: Tiles per side of a photo.
_TILES = 4
#: Index of the tile that counts, the third sharpest: behind a sharp player the hall may be out of focus, and noise can
#: make a single tile look sharp.
_SHARPEST = 2
#: Standard deviation in levels below which a tile is too flat to judge, unless the whole photo is as flat.
_CONTRAST = 15.0


@dataclass(frozen=True)
class Limits:
    """Thresholds below (or above) which a photo is reported.

    Attributes:
        side: Shorter side in pixels; smaller photos are tiny.
        blur: Blur, 0–1; photos above it are blurred. Measured, middle 90 %: rendered photos 0.27–0.47 and real ones
            0.16–0.41; after a Gaussian blur with a standard deviation of 4 px at 500–640 px 0.69–0.78 and 0.67–0.78.
        light: Brightness of the bright parts, 0–255; photos below it are dark.
    """

    side: int = 128
    blur: float = 0.6
    light: float = 60.0


@dataclass(frozen=True)
class Quality:
    """Technical quality of a photo.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        blur: Blur of the sharpest parts, 0 (sharp) to 1.
        light: 90th percentile of the grey values, 0–255.
    """

    width: int
    height: int
    blur: float
    light: float

    def problems(self, limits: Limits) -> list[tuple[str, str]]:
        """Return the kinds of problems (tiny, blurred, dark), each with its reason."""
        found = []
        if min(self.width, self.height) < limits.side:
            found.append(("tiny", f"{self.width} × {self.height} px"))
        if self.blur > limits.blur:
            found.append(("blurred", f"blur {self.blur:.2f} of 1"))
        if self.light < limits.light:
            found.append(("dark", f"the brightest tenth begins at {self.light:.0f} of 255"))
        return found


def measure_quality(pixels: np.ndarray) -> Quality:
    """Measure the technical quality of a photo.

    Blur is measured by blurring once more: a picture that changes little was blurred already. The measure does not
    depend on contrast. Source: Crete et al., The blur effect: perception and estimation with a new no-reference
    perceptual blur metric, SPIE 6492, 2007.

    Args:
        pixels: RGB uint8 `[H, W, 3]`, 0–255.
    """
    height, width = pixels.shape[:2]
    grey = shrunk_grey(pixels, _SIDE)
    # From the histogram: sorting 170,000 values takes longer than everything else here.
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
        return 1.0  # too small to have differences in every tile
    values = grey.astype(np.float32)
    # Motion blurs in one direction only; the direction with more blur counts.
    by_tile = np.maximum(_lost(values, (1, 0), (1, _FILTER)), _lost(values, (0, 1), (_FILTER, 1)))
    contrast = np.sqrt(np.maximum(_tiles(values * values) - _tiles(values) ** 2, 0))
    enough = max(min(_CONTRAST, float(contrast.max()) / 2), 1.0)
    by_tile = np.sort(by_tile[contrast >= enough])
    return float(by_tile[min(_SHARPEST, by_tile.size - 1)]) if by_tile.size else 1.0


def _lost(values: np.ndarray, step: tuple[int, int], kernel: tuple[int, int]) -> np.ndarray:
    """Return for each tile the share of its differences between neighbours that remains after blurring, 0–1."""
    before = _differences(values, step)
    after = _differences(cv2.blur(values, kernel), step)
    kept = _tiles(cv2.min(before, after))
    return np.asarray(kept / np.maximum(_tiles(before), 1e-6))


def _differences(values: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    down, right = step
    height, width = values.shape
    return cv2.absdiff(values[down:, right:], values[: height - down, : width - right])


def _tiles(values: np.ndarray) -> np.ndarray:
    """Return the mean of each tile: float32 `[_TILES, _TILES]`."""
    return np.asarray(cv2.resize(values, (_TILES, _TILES), interpolation=cv2.INTER_AREA))


#: Side in pixels of the network's input for near-duplicates. At 96 some crops were no longer among the neighbours of
#: their originals; 160 found no more than 128 and took half as long again.
SHORT_SIDE = 128
#: Length of the features for near-duplicates.
SHORT = 1280
#: Side in pixels of the network's input for the label check: a distant ball is a few pixels wide.
LONG_SIDE = 320
#: Crops for the label check as shares of the sides: top, bottom, left, right. The second is the middle, where the play
#: mostly is. Measured over 8 draws of 30 wrong labels in 1,000 scenes of the demo court: of the 30 most doubtful labels
#: 0.74 are wrong with both crops, 0.70 with the whole photo alone.
_VIEWS = ((0.0, 1.0, 0.0, 1.0), (0.1, 0.9, 0.2, 0.8))
#: Number of crops.
VIEWS = len(_VIEWS)


def views(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the crops for the label check: RGB uint8 `[H, W, 3]` → `[VIEWS, side, side, 3]`."""
    height, width = pixels.shape[:2]
    parts = []
    for top, bottom, left, right in _VIEWS:
        rows = slice(int(top * height), max(int(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(int(right * width), int(left * width) + 1))
        parts.append(squashed(np.ascontiguousarray(pixels[rows, columns]), side))
    return np.stack(parts)


def squashed(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize a photo for `FrozenFeatures`: RGB uint8 `[H, W, 3]` → `[side, side, 3]`, by area averaging."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA))


#: Long side in pixels of the grey thumbnails that near-duplicates are compared by.
GREY_SIDE = 160
_GREY_QUALITY = 92


@dataclass(frozen=True)
class Measurements:
    """Measurements of one photo, which depend on its bytes alone.

    Attributes:
        problem: Why the photo cannot be decoded; empty if it can, and then all other fields are set.
        quality: Size, sharpness and light.
        dhash: Difference hash of the photo.
        mirrored: Difference hash of its mirror image.
        grey: Grey thumbnail as JPEG; the long side of the part within its frame is `GREY_SIDE`.
        short: Features of that part for near-duplicates, float16 `[SHORT]`.
    """

    problem: str
    quality: Quality | None = None
    dhash: int = 0
    mirrored: int = 0
    grey: bytes = b""
    short: np.ndarray | None = None

    @property
    def framed(self) -> bool:
        """Whether it is a picture within a frame, such as a screenshot; its thumbnail is decoded for that."""
        if not self.grey:
            return False
        grey = np.asarray(cv2.imdecode(np.frombuffer(self.grey, np.uint8), cv2.IMREAD_GRAYSCALE))
        rows, columns = inner_box(grey)
        return (rows.stop - rows.start, columns.stop - columns.start) != grey.shape


def measure_photo(content: bytes) -> tuple[Measurements, np.ndarray | None]:
    """Decode and measure the bytes of a file.

    Returns:
        The measurements without `short`, and the input of `FrozenFeatures.short`, the part within the photo's frame,
        RGB uint8 `[SHORT_SIDE, SHORT_SIDE, 3]`; None if the photo cannot be decoded.
    """
    try:
        pixels = decode(content)
    except PhotoError as error:
        return Measurements(str(error)), None
    height, width = pixels.shape[:2]
    # Thumbnail and mirrored hash come from small pictures: a large photo takes long to process.
    grey = shrunk_grey(pixels, _SIDE)
    rows, columns = inner_box(grey)
    inner = max(rows.stop - rows.start, columns.stop - columns.start) / max(grey.shape)
    # Of a screenshot the photo in it has the side of other thumbnails.
    thumbnail = shrunk_grey(pixels, round(GREY_SIDE / inner))
    mirror = np.ascontiguousarray(cv2.cvtColor(thumbnail[:, ::-1], cv2.COLOR_GRAY2RGB))
    _, encoded = cv2.imencode(".jpg", thumbnail, [cv2.IMWRITE_JPEG_QUALITY, _GREY_QUALITY])
    measured = Measurements("", measure_quality(pixels), dhash(pixels), dhash(mirror), bytes(encoded))
    down, across = height / grey.shape[0], width / grey.shape[1]
    top, bottom = round(rows.start * down), round(rows.stop * down)
    left, right = round(columns.start * across), round(columns.stop * across)
    return measured, squashed(np.ascontiguousarray(pixels[top:bottom, left:right]), SHORT_SIDE)
