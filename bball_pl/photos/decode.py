"""Decoding of photo files to upright sRGB pixels, or to the reason why a file is unusable."""

from __future__ import annotations

import io
import math
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from bball_pl.errors import PhotoError
from bball_pl.files import LFS_POINTER

#: Phones take photos of up to 108 megapixels; 150 decode to 450 MB, which every worker must be able to hold. A larger
#: file is far more often a decompression bomb or a scan than a photo of a player.
MAX_MEGAPIXELS = 150

#: Most pixels that are converted at once: each step of a conversion holds a copy of them.
_STRIP_PIXELS = 16_000_000

#: Increased when the output of `decode` changes, so that older cache entries are not used.
DECODE_VERSION = 1

# Photo formats only: Pillow also opens EPS, which starts Ghostscript, and dozens of rare formats. The two-picture MPO
# of some phones is opened as JPEG.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")

#: Kinds of photos by their ISO media brands. AVIF is read by Pillow itself.
_KIND_OF_BRAND = {
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "heic"),
}
#: Brands that say how the file is built, not what codes its pixels: the compatible brands after them do.
_BRANDS_OF_BOTH = (b"mif1", b"msf1", b"miaf")

#: Reason for a file that holds a pointer in place of its content.
LFS_REASON = "a pointer of Git LFS instead of the photo; run git lfs pull"

# Pillow's limit for a colour profile or XMP in a PNG is 1 MiB, and a scanner's profile is larger.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20

# Exceptions of Pillow and its codecs on damaged files; found by fuzzing and by reading the plug-ins.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, RuntimeError, struct.error)

# Pillow warns above 89 megapixels; the limit above covers the same danger.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode(source: bytes | str | os.PathLike[str]) -> np.ndarray:
    """Decode one photo in full resolution, as a phone does before it classifies.

    Supports JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP and TIFF; greyscale, palette, CMYK, alpha and 16 bits per channel.
    The EXIF orientation is applied, colours are converted to sRGB, transparency is composited over white, 16 bits are
    scaled to 8, and of an animation the first frame is taken.

    Args:
        source: Bytes of a file, or its path.

    Returns:
        RGB uint8 `[H, W, 3]`, 0–255, upright.

    Raises:
        PhotoError: if the file cannot be read, is empty, is not an image, is truncated or damaged, or has more than
            `MAX_MEGAPIXELS` million pixels. The message is the reason alone, without the name of the file.

    Example:
        pixels = decode("data/inbox/local/unsorted/x.jpg")
    """
    return _decode(source, 0)


def decode_file(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode the photo of a file, as `decode`, for work that a bad photo ends.

    Raises:
        PhotoError: as in `decode`, with the path before the reason.
    """
    try:
        return decode(path)
    except PhotoError as error:
        raise PhotoError(f"{os.fspath(path)}: {error}") from error


def decode_reduced(source: bytes | str | os.PathLike[str], side: int) -> np.ndarray:
    """Decode one photo to be looked at: as `decode`, but JPEGs at half, a quarter or an eighth of their size.

    That takes a fraction of time and memory. Not for a network: its pixels differ from those of a whole decoding.

    Args:
        source: as in `decode`.
        side: pixels that suffice for the long side; the result is no smaller unless the photo is.

    Raises:
        PhotoError: as in `decode`.
    """
    return _decode(source, side)


def megapixels_of(content: bytes) -> float:
    """Return the size of a photo by its header, in million pixels; 0 for a file that is no photo."""
    try:
        image = _open(content)
    except PhotoError:
        return 0.0
    return image.width * image.height / 1e6


def _decode(source: bytes | str | os.PathLike[str], side: int) -> np.ndarray:
    content = source if isinstance(source, bytes) else _read(source)
    if not content:
        raise PhotoError("empty file")
    if content.startswith(LFS_POINTER):
        raise PhotoError(LFS_REASON)
    image = _open(content)
    # `_open` reads the header only: a bomb is refused before memory is allocated for its pixels.
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise PhotoError(f"{megapixels:.0f} megapixels, over the limit of {MAX_MEGAPIXELS}. Shrink the photo")
    if side and side < max(image.size):
        scale = side / max(image.size)
        image.draft(None, (math.ceil(scale * image.width), math.ceil(scale * image.height)))
    try:
        image.load()
        return _pixels(_upright(image))
    except PhotoError:
        raise
    except (*_DAMAGE, zlib.error) as error:
        raise PhotoError(f"truncated or damaged ({error})") from error


def _open(content: bytes) -> Image.Image:
    formats: tuple[str, ...] = _FORMATS
    if iso_kind(content) == "heic":
        _register_heif()
        formats = ("HEIF",)
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise PhotoError("not an image") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"more than {MAX_MEGAPIXELS} megapixels. Shrink the photo") from None
    except _DAMAGE as error:
        raise PhotoError(f"damaged header ({error})") from error


def iso_kind(content: bytes) -> str | None:
    """Return whether a file of ISO media is a photo, "heic" or "avif"; None for a video and for other files.

    Source: ISO/IEC 14496-12, 4.3 (box ftyp: major brand, version, compatible brands).
    """
    if content[4:8] != b"ftyp":
        return None
    major = content[8:12]
    if major not in _BRANDS_OF_BOTH:
        return _KIND_OF_BRAND.get(major)
    end = min(struct.unpack_from(">I", content)[0], len(content), 256)
    compatible = [content[start : start + 4] for start in range(16, end - 3, 4)]
    return next((_KIND_OF_BRAND[brand] for brand in compatible if brand in _KIND_OF_BRAND), "heic")


def read_photo(path: Path) -> bytes:
    """Return the bytes of a photo in a folder, to hash and decode.

    Raises:
        PhotoError: if it cannot be read, or is not a regular file: reading a pipe named like a photo would never end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PhotoError("not a regular file")
    except OSError as error:
        raise PhotoError(f"cannot be read ({error.strerror})") from error
    return _read(path)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PhotoError(f"cannot be read ({error.strerror})") from error


def _register_heif() -> None:
    # Imported for the first HEIC only: libheif takes a tenth of a second to load, and most albums are JPEG.
    import pillow_heif

    pillow_heif.register_heif_opener()


def _upright(image: Image.Image) -> Image.Image:
    try:
        # Most photos stand as they are stored, and exif_transpose would copy them.
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except _DAMAGE:
        # A damaged EXIF block does not affect the pixels; viewers show such a photo as it is stored.
        return image


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the sRGB pixels of an upright photo; a large one is converted in strips, which changes no pixel."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if image.height <= rows:
        return np.asarray(_to_srgb(image))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(_to_srgb(image.crop((0, top, image.width, bottom))))
    return pixels


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        # Cut-outs are made for white pages; dropping alpha would show arbitrary colours below the transparency.
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if profile and image.mode in {"RGB", "CMYK"}:
        return _convert_profile(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    # Floats and 32 bits have no defined white; 16-bit values, which Pillow opens as 32 bits in some files, do.
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise PhotoError("32 bits per pixel without a defined white. Save it with 8 or 16 bits")
    # 65535 / 257 = 255 exactly: white stays white. Pillow's conversion would clip everything above 255.
    return np.round(values / 257).astype(np.uint8)


def _convert_profile(image: Image.Image, profile: bytes) -> Image.Image:
    # iPhones store Display P3, whose reds look dull when read as sRGB. iOS converts colours before the network, so
    # training does as well. An invalid or unsuitable profile is ignored, as in browsers.
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image.convert("RGB")
    return image.convert("RGB") if converted is None else converted
