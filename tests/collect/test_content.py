from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, PngImagePlugin

from bball_pl.collect.sanitise import NotLosslessError, inspect, sniff, strip
from bball_pl.collect.source import SkippedError
from bball_pl.photos.decode import decode
from bball_pl.photos.measurements import dhash, format_dhash

from helpers.collect_servers import picture, position

pillow_heif.register_heif_opener()

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>25,2N</exif:GPSLatitude></x:xmpmeta>'
SIZE = (64, 48)


def tagged(kind: str) -> bytes:
    """A picture with a position in its EXIF and another in its XMP."""
    if kind != "PNG":
        return picture(1, kind, SIZE, exif=position(), xmp=XMP)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    texts.add_text("Comment", "taken at 25,2N GPSLatitude", zip=True)
    return picture(1, kind, SIZE, exif=position(), pnginfo=texts)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("HEIF", ".heic"), ("AVIF", ".avif")]
)
def test_the_position_is_gone_and_no_pixel_is_changed(kind: str, suffix: str) -> None:
    before = tagged(kind)
    assert b"GPSLatitude" in before
    assert b"SERIAL123" in before
    photo = inspect(before)
    assert photo.suffix == suffix
    assert photo.content != before
    for private in (b"GPSLatitude", b"SERIAL123", b"Phone Maker"):
        assert private not in photo.content
    with Image.open(io.BytesIO(photo.content)) as image:
        exif = image.getexif()
    assert not exif.get_ifd(0x8825)
    assert exif[0x013B] == "Ann Lee"
    assert np.array_equal(decode(before), decode(photo.content))
    assert photo.time == "2024-05-06T07:08:09+08:00"
    # Orientation 6 lies on its side: 64 × 48 is upright as 48 × 64.
    assert photo.size == (48, 64)
    assert photo.sha256 == hashlib.sha256(photo.content).hexdigest()
    assert photo.dhash == format_dhash(dhash(decode(before)))
    # What is stored can be looked at again, after a kill, and stays as it is.
    assert inspect(photo.content) == photo


@pytest.mark.parametrize("tag", [0x0132, 0x0110, 0x8825])
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_date_a_camera_or_a_position_alone_leaves_a_file_that_can_be_read(kind: str, tag: int) -> None:
    exif = Image.Exif()
    if tag == 0x8825:
        exif.get_ifd(tag).update({1: "N", 2: (25.0, 2.0, 3.5)})
    else:
        exif[tag] = "2024:05:06 07:08:09" if tag == 0x0132 else "SERIAL123"
    before = picture(1, kind, SIZE, exif=exif.tobytes())
    photo = inspect(before)
    assert photo.suffix == {"AVIF": ".avif", "HEIF": ".heic"}[kind]
    assert np.array_equal(decode(before), decode(photo.content))
    assert b"SERIAL123" not in photo.content
    with Image.open(io.BytesIO(photo.content)) as image:
        assert not image.getexif().get_ifd(0x8825)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "BMP"])
def test_kinds_whose_metadata_are_hard_to_find_become_png(kind: str) -> None:
    before = tagged(kind) if kind == "TIFF" else picture(1, kind, SIZE)
    photo = inspect(before)
    assert photo.suffix == ".png"
    assert b"GPSLatitude" not in photo.content
    assert np.array_equal(decode(before), decode(photo.content))


def test_what_follows_a_jpeg_is_cut_off() -> None:
    # Phones append a second picture or a short video, each with a position of its own.
    content = picture(1, size=SIZE) + tagged("JPEG")
    photo = inspect(content)
    assert len(photo.content) <= len(picture(1, size=SIZE))
    assert b"GPS" not in photo.content


def test_colour_profile_and_progressive_scans_are_kept() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    before = picture(3, size=(200, 150), exif=position(), icc_profile=profile, progressive=True, quality=90)
    after = inspect(before).content
    with Image.open(io.BytesIO(after)) as image:
        assert image.info["icc_profile"] == profile
    assert np.array_equal(decode(before), decode(after))


def test_a_webp_without_metadata_says_so() -> None:
    before = picture(1, "WEBP", SIZE, xmp=XMP)
    photo = inspect(before)
    with Image.open(io.BytesIO(photo.content)) as image:
        assert not image.getexif()
        assert "xmp" not in image.info
    assert photo.time == ""


def test_a_position_that_cannot_be_taken_out_takes_the_file_along() -> None:
    # A second EXIF block where no standard puts one.
    before = picture(1, "HEIF", SIZE) + b"free" + position()
    with pytest.raises(NotLosslessError):
        strip(before, "heic")
    photo = inspect(before)
    assert photo.suffix == ".png"
    assert b"SERIAL123" not in photo.content
    assert np.array_equal(decode(before), decode(photo.content))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_metadata_that_nobody_can_read_are_dropped() -> None:
    broken = b"Exif\0\0" + b"II*\0" + b"\xff" * 30
    assert inspect(picture(1, size=SIZE, exif=broken)).time == ""


def bomb(width: int, height: int) -> bytes:
    """A PNG of one colour with so many pixels, a thousandth of their size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "why", "final"),
    [
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "not a photo but an HTML page", True),
        (b"  \n<html>", "not a photo but an HTML page", True),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a photo but a drawing or XML", True),
        (b'{"error": 1}', "not a photo but JSON", True),
        (b"%PDF-1.7", "not a photo but a PDF", True),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 30, "not a photo but a video", True),
        (b"PK\x03\x04" + b"\0" * 30, "not a photo but a zip file", True),
        (b"\x7fELF", "not a photo but an unknown format", True),
        (b"", "not a photo but an empty file", False),
        (bomb(13_000, 13_000), "169 megapixels, over the limit of 150. Shrink the photo", True),
        (bomb(500_000, 500_000), "more than 150 megapixels. Shrink the photo", True),
        (picture(1, size=(400, 300))[:900], "truncated or damaged", False),
        (picture(1, "PNG", SIZE)[:60], "truncated or damaged", False),
        (picture(1, "PNG", (200, 150))[:-100], "truncated or damaged", False),
        (b"\xff\xd8\xff" + b"\0" * 100, "not an image", True),
    ],
)
def test_what_is_not_a_photo_is_left_out_with_the_reason(content: bytes, why: str, final: bool) -> None:
    with pytest.raises(SkippedError) as caught:
        inspect(content)
    assert (caught.value.reason, caught.value.final) == (why, final)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_any_cut_and_any_flipped_bytes_end_in_a_photo_or_a_reason() -> None:
    rng = np.random.default_rng(5)
    for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
        whole = tagged(kind)
        for turn in range(60):
            damaged = bytearray(whole[: rng.integers(1, len(whole))] if turn % 2 else whole)
            for place in rng.integers(0, len(damaged), 5):
                damaged[place] = rng.integers(0, 256)
            try:
                photo = inspect(bytes(damaged))
            except SkippedError:
                continue
            assert sniff(photo.content) is not None
            assert b"GPSLatitude" not in photo.content
