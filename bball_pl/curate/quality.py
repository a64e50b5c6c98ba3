"""How good a photo is as a picture: its size, sharpness and light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

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
