"""Preprocessing of photos for the network, defined once for all stages and the phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from bball_pl.errors import ConfigError

Fit = Literal["squash", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic"]

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class PreprocessSpec:
    """Size, fit, normalisation and interpolation of a network's input.

    Attributes:
        size: Side of the square input in pixels.
        fit: Way to make a photo square. `squash` changes its proportions and cuts nothing off (Vision's `.scaleFill`);
            `crop` keeps the middle (`.centerCrop`); `pad` adds black bars (`.scaleFit`).
        mean: Mean per RGB channel, for values of 0–1.
        std: Standard deviation per RGB channel, for values of 0–1.
        interpolation: Filter for resizing, always with antialiasing.

    Example:
        spec = PreprocessSpec(224, "crop")
        pixels = spec.resize(decode(path))
    """

    size: int
    fit: Fit = "squash"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        # Checkpoints and YAML files contain lists; tuples keep the spec hashable and comparable.
        object.__setattr__(self, "mean", triple(self.mean, "mean"))
        object.__setattr__(self, "std", triple(self.std, "std"))
        if self.size < 16:
            raise ConfigError(f"an image size of {self.size} px is too small; expected 16 or more")
        if self.fit not in get_args(Fit):
            raise ConfigError(f"fit is {self.fit!r}; expected one of {', '.join(get_args(Fit))}")
        if self.interpolation not in _RESAMPLING:
            raise ConfigError(f"interpolation is {self.interpolation!r}; expected one of {', '.join(_RESAMPLING)}")
        if min(self.std) <= 0:
            raise ConfigError(f"std is {self.std}; expected three positive numbers")

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as lists, numbers and strings, for a checkpoint or JSON."""
        plain = asdict(self)
        return {**plain, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> PreprocessSpec:
        """Build a spec from the result of `to_dict`.

        Raises:
            ConfigError: if a key is missing or unknown, or a value is out of range.
        """
        try:
            return cls(**plain)
        except TypeError as error:
            raise ConfigError(f"not a preprocessing description: {error}") from error

    def resize(self, photo: np.ndarray) -> np.ndarray:
        """Resize a photo to the network's square input.

        Args:
            photo: RGB uint8 `[H, W, 3]`, 0–255.

        Returns:
            RGB uint8 `[size, size, 3]`, 0–255.
        """
        height, width = photo.shape[:2]
        size, resampling = self.size, _RESAMPLING[self.interpolation]
        image = Image.fromarray(photo)
        if self.fit == "squash":
            return np.asarray(image.resize((size, size), resampling))
        if self.fit == "crop":
            side = min(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            # `box` may be fractional: the crop is centred also for odd differences of the sides.
            box = (left, top, left + side, top + side)
            return np.asarray(image.resize((size, size), resampling, box=box))
        scale = size / max(height, width)
        inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.zeros((size, size, 3), np.uint8)
        x, y = (size - inner_width) // 2, (size - inner_height) // 2
        canvas[y : y + inner_height, x : x + inner_width] = np.asarray(
            image.resize((inner_width, inner_height), resampling)
        )
        return canvas

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise bytes for the network: `(x / 255 - mean) / std` per channel.

        Args:
            batch: uint8 `[B, 3, size, size]`, RGB, 0–255, on any device.

        Returns:
            float32 `[B, 3, size, size]` on the same device, in channels_last memory format.
        """
        mean, scale = _mean_and_scale(self.mean, self.std, batch.device)
        floats = batch.to(torch.float32, memory_format=torch.channels_last)
        return floats.sub_(mean).mul_(scale)


@lru_cache
def _mean_and_scale(
    mean: tuple[float, float, float], std: tuple[float, float, float], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    # Cached on the device: copying six numbers for every batch would stall a GPU.
    means = torch.tensor(mean, device=device).mul(255).view(1, 3, 1, 1)
    return means, torch.tensor(std, device=device).mul(255).reciprocal().view(1, 3, 1, 1)


def triple(values: Sequence[float], name: str) -> tuple[float, float, float]:
    """Return `values` as three floats.

    Raises:
        ConfigError: unless there are three `values`; the message calls them `name`.
    """
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3:
        raise ConfigError(f"{name} has {len(numbers)} numbers; expected 3, for red, green and blue")
    return numbers
