"""Decoding and resizing of photos without the project's code: by OpenCV, and by the formula of the filter.

Training, evaluation and the proof of a file all take a photo through `decode` and `PreprocessSpec.resize`. A fault
there is in both answers that the proof compares, and does not show. So the proof takes its photos, and a few pictures
that exercise every rule, through this module as well.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np
from scipy.sparse import csr_array

from bball_pl.errors import PhotoError, VerificationError
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import Interpolation, PreprocessSpec
from bball_pl.verify.inspection import Gate
from bball_pl.verify.parity import Reference

#: Largest difference of a pixel, of 255. Decoders of the same bytes agree exactly, or to 1 where they round otherwise.
#: Pillow keeps 8 bits after each of its two passes: 0.5 from the second one, and 0.5 of the first one times the sum of
#: the second filter's absolute weights, which is 1 for bilinear and at most 1.25 for bicubic. Together 1.125; the rest
#: is for a decoder that rounds otherwise.
PIXEL_LIMIT = 2.0
#: Largest difference of a probability from these pixels. Measured on the shipped model with 197 photos of three sets:
#: at most 0.022; noise of one level moves one by 0.053, and the faults that tests plant by 0.069 to 0.81. A network
#: that is more sensitive than that may differ by as much as such noise moves it.
PROBABILITY_LIMIT = 0.05
#: Draws of that noise; the largest movement counts. On a run of the demo single draws moved the worst of 60 photos by
#: 0.03 to 0.21, and rounding by 0.055: with one draw the proof was a matter of luck.
_NOISE_DRAWS = 8

#: Half width of each filter, and its weight at a distance, both in pixels of the larger picture's scale.
_FILTERS: dict[Interpolation, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "bilinear": (1.0, lambda distance: np.maximum(0.0, 1 - distance)),
    # Keys' cubic with a = -1/2.
    "bicubic": (
        2.0,
        lambda d: np.where(d < 1, (1.5 * d - 2.5) * d * d + 1, np.where(d < 2, ((-0.5 * d + 2.5) * d - 4) * d + 2, 0)),
    ),
}


def decode_independently(content: bytes) -> np.ndarray:
    """Decode a photo with OpenCV.

    Args:
        content: bytes of the photo's file.

    Returns:
        RGB uint8 `[H, W, 3]`, 0–255, upright.

    Raises:
        PhotoError: if OpenCV does not do what `decode` does: it reads no HEIC, turns no AVIF upright, and converts no
            colour profile.
    """
    if content[4:8] == b"ftyp":
        raise PhotoError("HEIC or AVIF")
    # A profile's description is in its first kilobytes, in ASCII or in UTF-16.
    starts = [start for mark in (b"ICC_PROFILE\0", b"iCCP", b"ICCP") if (start := content.find(mark)) >= 0]
    if starts and b"sRGB" not in content[min(starts) :][:4096].replace(b"\0", b""):
        raise PhotoError("a colour profile")
    encoded = np.frombuffer(content, np.uint8)
    upright = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    if upright is None:
        raise PhotoError("unreadable for OpenCV")
    # No JPEG is transparent.
    stored = upright if content[:2] == b"\xff\xd8" else cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if stored is not None and stored.ndim == 3 and stored.shape[2] == 4:
        pixels = stored.astype(np.float64) / (257 if stored.dtype == np.uint16 else 1)
        share = pixels[..., 3:] / 255
        blended: np.ndarray = np.rint(pixels[..., :3] * share + 255 * (1 - share)).astype(np.uint8)
        return blended[..., ::-1]
    return np.asarray(upright[..., ::-1])


def resize_independently(photo: np.ndarray, spec: PreprocessSpec) -> Iterator[np.ndarray]:
    """Resize a photo by the definition of an antialiased filter: a weighted mean around each new pixel's centre.

    Args:
        photo: RGB uint8 `[H, W, 3]`, 0–255.
        spec: size, fit and interpolation.

    Yields:
        RGB float32 `[size, size, 3]`, 0–255, once or twice: the bicubic filter overshoots, 8 bits end at 0 and 255, and
        so its two passes have another result in the other order. Pillow's order depends on its version.
    """
    height, width = photo.shape[:2]
    size = spec.size
    inner, box = (size, size), ((0.0, height), (0.0, width))
    if spec.fit == "crop":
        side = min(height, width)
        box = (((height - side) / 2, side), ((width - side) / 2, side))
    elif spec.fit == "pad":
        scale = size / max(height, width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    matrices = [
        _weights(length, target, start, part, spec.interpolation)
        for length, target, (start, part) in zip((height, width), inner, box, strict=True)
    ]
    # The longer side first, as in Pillow 13.
    order = (0, 1) if height > width else (1, 0)
    yield _framed(_passes(photo, matrices, order), size)
    if spec.interpolation == "bicubic":
        yield _framed(_passes(photo, matrices, order[::-1]), size)


@lru_cache(64)  # photos of a set have few sizes; making the matrices takes longer than using them
def _weights(length: int, target: int, start: float, part: float, interpolation: Interpolation) -> csr_array:
    """Return the matrix `[target, length]` that resizes `part` pixels from `start` on to `target` pixels."""
    reach, weight = _FILTERS[interpolation]
    scale = part / target
    stretch = max(scale, 1.0)
    centres = start + (np.arange(target) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - centres[:, None]) / stretch
    values = np.where(distances < reach, weight(distances), 0)
    return csr_array((values / values.sum(1, keepdims=True)).astype(np.float32))


def _passes(photo: np.ndarray, matrices: Sequence[csr_array], order: Sequence[int]) -> np.ndarray:
    pixels = photo
    for axis in order:
        first = np.moveaxis(pixels, axis, 0)
        columns = first.reshape(len(first), -1).astype(np.float32)
        resized = (matrices[axis] @ columns).reshape(-1, *first.shape[1:])
        pixels = np.moveaxis(resized, 0, axis).clip(0, 255)
    return pixels


def _framed(pixels: np.ndarray, size: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    canvas = np.zeros((size, size, 3), np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def pixel_gates(model: TrainedModel, reference: Reference) -> list[Gate]:
    """Check the project's decoding and resizing on control pictures and on the photos of a proof.

    Args:
        model: the trained model.
        reference: its answers, from the project's own pixels.

    Returns:
        Three gates: pixels of the control pictures, pixels of the photos, and probabilities from these pixels. Photos
        that OpenCV cannot read as `decode` does are left out, and counted.

    Raises:
        VerificationError: if a photo cannot be read.
    """
    controls = [_controlled(content, model.spec) for content in control_pictures()]
    found: list[tuple[int, np.ndarray, float]] = []
    reasons: dict[str, int] = {}
    for row, photo in enumerate(reference.photos):
        try:
            content, pixels = photo.path.read_bytes(), reference.pixels(row, model.spec)
            found.append((row, *_compared(content, model.spec, pixels)))
        except PhotoError as error:
            reasons[str(error)] = reasons.get(str(error), 0) + 1
        except OSError as error:
            raise VerificationError(f"{photo.relative} cannot be read ({error.strerror})") from error
    largest = max((difference for _, _, difference in found), default=0.0)
    left_out = ", ".join(f"{number} left out: {reason}" for reason, number in sorted(reasons.items()))
    photos = f"on {len(found)} of {len(reference.photos)} photos" + (f" ({left_out})" if left_out else "")
    shift, allowed = 0.0, PROBABILITY_LIMIT
    if found:
        pixels = np.stack([np.rint(pixels).astype(np.uint8) for _, pixels, _ in found])
        answers = model.rule.probabilities(model.pixel_logits(pixels))
        shift = float(np.abs(answers - reference.probabilities[[row for row, _, _ in found]]).max())
        if shift > allowed:
            generator = np.random.default_rng(0)
            for _ in range(_NOISE_DRAWS):
                noisy = pixels + generator.integers(-1, 2, pixels.shape)
                moved = model.rule.probabilities(model.pixel_logits(noisy.clip(0, 255).astype(np.uint8)))
                allowed = max(allowed, float(np.abs(moved - answers).max()))
    worst = max(controls)
    limit = f"≤ {PIXEL_LIMIT:.1f} of 255"
    return [
        Gate("control pictures", f"{worst:.2f} on {len(controls)} pictures", limit, worst <= PIXEL_LIMIT),
        Gate("pixels by OpenCV", f"{largest:.2f} {photos}", limit, largest <= PIXEL_LIMIT),
        Gate("probabilities from these", f"{shift:.1e} {photos}", f"≤ {allowed:.1e}", shift <= allowed),
    ]


def _compared(content: bytes, spec: PreprocessSpec, pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a photo's pixels by this module, and the largest difference of the project's.

    Args:
        content: bytes of the photo's file.
        spec: size and fit.
        pixels: the project's, RGB uint8.
    """
    found: list[tuple[float, np.ndarray]] = []
    for independent in resize_independently(decode_independently(content), spec):
        same = pixels.shape == independent.shape
        difference = float(np.abs(pixels - independent).max()) if same else np.inf
        found.append((difference, independent))
        if difference <= PIXEL_LIMIT:
            break
    difference, independent = min(found, key=lambda pair: pair[0])
    return independent, difference


def _controlled(content: bytes, spec: PreprocessSpec) -> float:
    """Return the largest difference of the project's pixels of a control picture; infinity if it cannot decode it."""
    try:
        return _compared(content, spec, spec.resize(decode(content)))[1]
    except PhotoError:
        return float("inf")


def control_pictures() -> list[bytes]:
    """Return pictures that exercise every rule of decoding: orientations, greyscale, transparency, 16 bits.

    Photos of a proof may be square, grey or upright, all of them; these are wide, colourful, sharp, and different in
    each corner. OpenCV encodes them.
    """
    rows, columns = np.mgrid[:61, :97].astype(np.float64)
    picture = np.stack([columns * 255 / 96, rows * 255 / 60, 255 - (rows + columns) * 255 / 156], 2)
    picture[::6, :48] = 250  # lines, which nearest neighbours miss
    picture[:30, 50::5] = 5
    picture[40:, :20] = (0, 0, 255)  # blue in RGB
    picture[:12, :12] = (255, 40, 0)
    whole = np.ascontiguousarray(picture.astype(np.uint8)[..., ::-1])
    alpha = np.dstack([whole, np.linspace(0, 255, 97).astype(np.uint8)[None].repeat(61, 0)])
    jpeg = _encoded(".jpg", whole)
    return [
        _encoded(".png", whole),
        _encoded(".png", alpha),
        _encoded(".png", whole.astype(np.uint16) * 257),
        _encoded(".jpg", cv2.cvtColor(whole, cv2.COLOR_BGR2GRAY)),
        *(jpeg[:2] + _orientation(number) + jpeg[2:] for number in range(1, 9)),
    ]


def _encoded(suffix: str, pixels: np.ndarray) -> bytes:
    done, encoded = cv2.imencode(suffix, pixels)
    if not done:
        raise VerificationError(f"OpenCV cannot write {suffix}, which the control pictures need")
    return bytes(encoded.tobytes())


def _orientation(number: int) -> bytes:
    """Return a JPEG's segment with the EXIF orientation 1–8."""
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, number, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
