"""A second library decodes and resizes the photos of a proof: faults of the project's own code show."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from bball_pl.errors import PhotoError
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.model.classifier import MoveClassifier
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import Fit, Interpolation, PreprocessSpec
from bball_pl.photos.tree import Photo
from bball_pl.verify.independent_pixels import (
    PIXEL_LIMIT,
    control_pictures,
    decode_independently,
    pixel_gates,
    resize_independently,
)
from bball_pl.verify.parity import Reference, reference_answers

from helpers.export_files import edge_photos
from helpers.photo_faults import HIDDEN, OPEN, ignored_orientation

NAMES = ["shoot", "dribble", "layup"]


def encoded(pixels: np.ndarray, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    torch.manual_seed(0)
    return TrainedModel(MoveClassifier(NAMES, "test_resnet", "none", 32).eval(), device="cpu")


@pytest.fixture(scope="module")
def reference(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("photos")
    photos = []
    for number, pixels in enumerate(edge_photos()):
        path = folder / f"{number}.jpg"
        path.write_bytes(encoded(pixels, "JPEG", quality=90))
        photos.append(Photo(path, path.name, "test", NAMES[number % 3]))
    return reference_answers(model, photos)


def failed(model: TrainedModel, reference: Reference) -> set[str]:
    return {gate.name for gate in pixel_gates(model, reference) if not gate.passed}


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(61, 98), (200, 33), (37, 37), (8, 501)])
def test_two_libraries_give_the_same_pixels(size: tuple[int, int], fit: Fit, interpolation: Interpolation) -> None:
    photo, spec = noise(size), PreprocessSpec(48, fit, interpolation=interpolation)
    found = [np.abs(spec.resize(photo) - other).max() for other in resize_independently(photo, spec)]
    # The worst photo there is, and still within the sum of Pillow's own roundings.
    assert min(found) <= (1.01 if interpolation == "bilinear" else 1.13) < PIXEL_LIMIT


def test_two_libraries_decode_the_same() -> None:
    photo = cv2.GaussianBlur(noise((61, 97)), (0, 0), 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    contents = [encoded(photo, form) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]
    contents += [encoded(photo, "JPEG", exif=exif), encoded(photo, "JPEG", icc_profile=srgb)]
    contents += [
        encoded(photo[..., 0], "JPEG"),
        encoded(np.dstack([photo, photo[..., :1]]), "PNG"),
        *control_pictures(),
    ]
    for number, content in enumerate(contents):
        difference = np.abs(decode_independently(content).astype(int) - decode(content))
        assert difference.max() <= 1, number


def test_what_opencv_does_not_do_is_left_out_and_counted(model: TrainedModel, tmp_path: Path) -> None:
    photo = edge_photos()[0]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    contents = {"a.jpg": encoded(photo, "JPEG", icc_profile=profile), "b.avif": encoded(photo, "AVIF")}
    contents["c.png"] = encoded(photo, "PNG")
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PhotoError, match="colour profile"):
        decode_independently(contents["a.jpg"])
    photos = [Photo(tmp_path / name, name, "test", "shoot") for name in contents]
    gates = pixel_gates(model, reference_answers(model, photos))
    assert all(gate.passed for gate in gates)
    assert "on 1 of 3 photos (1 left out: HEIC or AVIF, 1 left out: a colour profile)" in gates[1].found


def test_right_decoding_and_resizing_passes(model: TrainedModel, reference: Reference) -> None:
    assert failed(model, reference) == set()
    assert "on 6 of 6 photos" in pixel_gates(model, reference)[1].found


@pytest.mark.parametrize("fault", [*HIDDEN, *OPEN])
def test_a_fault_of_the_projects_own_code_shows(
    model: TrainedModel, reference: Reference, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., None]
) -> None:
    fault(monkeypatch)
    # The trained model answers through the same faulty code, so that a file would agree with it.
    faulty = reference_answers(model, reference.photos)
    found = failed(model, faulty)
    assert "control pictures" in found
    if fault not in HIDDEN:
        assert "pixels by OpenCV" in found


def test_a_photo_that_is_turned_shows_in_the_photos_too(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    path.write_bytes(encoded(edge_photos()[0], "JPEG", exif=exif))
    photos = [Photo(path, path.name, "test", "shoot")]
    assert failed(model, reference_answers(model, photos)) == set()
    ignored_orientation(monkeypatch)
    assert {"control pictures", "pixels by OpenCV"} <= failed(model, reference_answers(model, photos))
