"""Every kind of photo file that people have, and every way one can be broken."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from bball_pl.errors import PhotoError
from bball_pl.photos import decode as decode_module
from bball_pl.photos.decode import decode, decode_file, decode_reduced, iso_kind, megapixels_of

RED, WHITE = (220, 30, 40), (255, 255, 255)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(mode: str = "RGB") -> Image.Image:
    """Left half red, right half white, 40 × 20."""
    image = Image.new("RGB", (40, 20), WHITE)
    image.paste(RED, (0, 0, 20, 20))
    return image.convert(mode)


def assert_halves(pixels: np.ndarray, tolerance: int = 35) -> None:
    assert pixels.shape == (20, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[10, 5].astype(int) - RED).max() <= tolerance
    assert np.abs(pixels[10, 35].astype(int) - WHITE).max() <= tolerance


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF"])
def test_every_format_gives_the_same_picture(kind: str) -> None:
    if kind == "HEIF":
        import pillow_heif

        buffer = io.BytesIO()
        pillow_heif.from_pillow(halves()).save(buffer, quality=95)
        content = buffer.getvalue()
    else:
        content = encode(halves(), kind)
    assert_halves(decode(content))


def test_the_brands_after_the_first_say_what_an_iso_file_is() -> None:
    content = bytearray(encode(halves(), "AVIF"))
    assert content[8:12] == b"avif"
    content[8:12] = b"mif1"  # as libheif and some phones write it
    assert iso_kind(bytes(content)) == "avif"
    assert_halves(decode(bytes(content)))
    assert iso_kind(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "heic"
    assert iso_kind(b"\0\0\0\x10ftypmif1\0\0\0\0") == "heic"
    assert iso_kind(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1") is None
    assert iso_kind(b"RIFF") is None


def test_a_png_with_a_large_profile_or_text_is_whole() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "x" * 1_500_000, zip=True)
    profile = srgb + np.random.default_rng(1).bytes(1_300_000)
    assert_halves(decode(encode(halves(), "PNG", icc_profile=profile)))
    assert_halves(decode(encode(halves(), "PNG", pnginfo=texts)))


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "RGBA"), ("TIFF", "YCbCr")])
def test_every_colour_mode_becomes_rgb(kind: str, mode: str) -> None:
    assert_halves(decode(encode(halves(mode), kind)))


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_greyscale_becomes_three_equal_channels(mode: str) -> None:
    pixels = decode(encode(halves("L").convert(mode), "PNG"))
    assert pixels.shape == (20, 40, 3)
    assert (pixels == pixels[..., :1]).all()
    assert pixels[10, 35, 0] == 255


def test_reads_from_a_path_with_spaces_and_chinese(tmp_path: Path) -> None:
    path = tmp_path / "投籃 1.png"
    halves().save(path)
    assert_halves(decode(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = 255
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encode(stored, "PNG", exif=exif))
    np.testing.assert_array_equal(pixels, upright)


def test_broken_exif_does_not_matter() -> None:
    content = encode(halves(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage", quality=95)
    assert_halves(decode(content))


def test_transparency_is_laid_over_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (decode(encode(image, "PNG")) == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert (decode(encode(palette, "PNG", transparency=0)) == 255).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        pixels = decode(encode(Image.fromarray(ramp), kind))
        np.testing.assert_array_equal(pixels[..., 0].ravel(), np.arange(256))


def test_sixteen_bit_colour_png_is_scaled() -> None:
    values = np.array([[[0, 257 * 128, 65535]]], ">u2")
    chunk = b"\x00" + values.tobytes()

    def block(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(chunk)) + block(b"IEND", b"")
    assert decode(content).tolist() == [[[0, 128, 255]]]


def test_floats_without_a_known_white_are_refused() -> None:
    with pytest.raises(PhotoError, match="32 bits"):
        decode(encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE)]
    pixels = decode(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.abs(pixels[0, 0].astype(int) - RED).max() < 10


def test_colour_profile_is_converted_and_a_broken_one_ignored() -> None:
    grey = Image.new("RGB", (8, 8), (100, 150, 200))
    plain = decode(encode(grey, "PNG"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode(encode(grey, "PNG", icc_profile=srgb)), plain)
    np.testing.assert_array_equal(decode(encode(grey, "PNG", icc_profile=b"broken")), plain)
    # A profile with red and blue exchanged, under a name of its own: the numbers must follow it.
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    swapped = swapped.replace(b"sRGB", b"swap").replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    converted = decode(encode(grey, "PNG", icc_profile=swapped))
    assert np.abs(converted[0, 0].astype(int) - (200, 150, 100)).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    if kind == "HEIF":
        import pillow_heif

        buffer = io.BytesIO()
        pillow_heif.from_pillow(noise).save(buffer)
        content = buffer.getvalue()
    else:
        content = encode(noise, kind)
    with pytest.raises(PhotoError):
        decode(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"<html>404</html>", "not an image"), (b"%PDF-1.7\n", "not an image")],
)
def test_files_that_are_no_images(content: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        decode(content)


def test_postscript_is_not_handed_to_ghostscript() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(PhotoError, match="not an image"):
        decode(eps)


def test_a_photo_that_ends_the_work_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.new("RGB", (64, 64), "red").save(path)
    np.testing.assert_array_equal(decode_file(path), decode(path))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PhotoError, match=r"/cut\.jpg: truncated or damaged"):
        decode_file(path)
    path.unlink()
    with pytest.raises(PhotoError, match=r"/cut\.jpg: cannot be read \(No such file or directory\)"):
        decode_file(str(path))


def test_missing_file_is_a_photo_error(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="cannot be read"):
        decode(tmp_path / "nothing.jpg")


@pytest.mark.parametrize("side", [12_400, 60_000])
def test_decompression_bombs_are_refused_by_their_header(side: int) -> None:
    # Nothing but a header: were a pixel touched, the reason would be truncation.
    def block(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(b"\x00"))
    with pytest.raises(PhotoError, match="megapixels"):
        decode(bomb)


def test_a_large_photo_is_converted_in_strips_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).integers(0, 256, (37, 23, 4), dtype=np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    swapped = swapped.replace(b"sRGB", b"swap").replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    wide = values[..., :2].astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 8
    photos = [
        encode(Image.fromarray(values), "PNG"),
        encode(Image.fromarray(values[..., :3]), "PNG", icc_profile=swapped),
        encode(Image.fromarray(values[..., :3]), "TIFF", exif=exif),
        encode(Image.fromarray(values[..., :3]).convert("P"), "GIF", transparency=4),
        encode(Image.fromarray(wide[..., 0] * 200), "PNG"),
        encode(Image.fromarray(values).convert("CMYK"), "JPEG"),
    ]
    whole = [decode(content) for content in photos]
    monkeypatch.setattr(decode_module, "_STRIP_PIXELS", 100)
    for content, pixels in zip(photos, whole, strict=True):
        assert np.array_equal(decode(content), pixels)


def test_a_reduced_photo_is_smaller_but_not_too_small() -> None:
    image = Image.new("RGB", (2000, 1500), WHITE)
    image.paste(RED, (0, 0, 1000, 1500))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(image, "JPEG", exif=exif)
    assert decode(content).shape == (2000, 1500, 3)
    assert decode_reduced(content, 500).shape == (500, 375, 3)
    assert decode_reduced(content, 501).shape == (1000, 750, 3)
    assert decode_reduced(content, 5000).shape == (2000, 1500, 3)
    assert np.abs(decode_reduced(content, 500)[10, 10].astype(int) - RED).max() < 35
    assert decode_reduced(encode(image, "PNG"), 500).shape == (1500, 2000, 3)
    assert megapixels_of(content) == 3
    assert megapixels_of(b"no photo") == 0
