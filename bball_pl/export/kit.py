"""The parity kit: photos, expected answers and two scripts, for the Mac that comes later."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

from PIL import Image

from bball_pl.export.metadata import Interface
from bball_pl.files import write_text
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.parity import Reference

#: Largest difference that a Mac may show: 16-bit arithmetic of the Neural Engine, and its own resizing.
_TOLERANCE = 0.02
_SCRIPTS = ("check_parity.py", "check.swift", "README.md")


def write_kit(folder: Path, reference: Reference, spec: PreprocessSpec, interface: Interface, number: int = 20) -> None:
    """Write photos as the network takes them, what it has to answer, and scripts that say PASS or FAIL.

    The photos are already of the network's size, without loss: what is compared is Core ML and the chip, not how a
    system decodes and resizes. `originals/` has the photos as they were, to see the difference that resizing makes.

    Args:
        folder: is made.
        reference: photos and answers; the kit has the first `number` of an even choice.
        spec: how a photo becomes the input.
        interface: names of the features, and the labels.
        number: of photos.
    """
    (folder / "photos").mkdir(parents=True)
    (folder / "originals").mkdir()
    total = len(reference.photos)
    rows = sorted({place * total // min(number, total) for place in range(min(number, total))})
    expected = []
    for place, row in enumerate(rows):
        photo = reference.photos[row]
        name = f"{place:02d}_{photo.class_name}"
        Image.fromarray(spec.resize(decode(photo.path))).save(folder / "photos" / f"{name}.png")
        shutil.copyfile(photo.path, folder / "originals" / f"{name}{photo.path.suffix.lower()}")
        shares = reference.probabilities[row]
        expected.append(
            {
                "photo": f"photos/{name}.png",
                "original": f"originals/{name}{photo.path.suffix.lower()}",
                "probabilities": {label: float(share) for label, share in zip(interface.labels, shares, strict=True)},
            }
        )
    facts = {
        "image": interface.image,
        "label": interface.label,
        "probabilities": interface.probabilities,
        "size": spec.size,
        "fit": spec.fit,
        "tolerance": _TOLERANCE,
        "photos": expected,
    }
    write_text(folder / "expected.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    for name in _SCRIPTS:
        text = files("bball_pl.export").joinpath("parity_kit", name).read_text(encoding="utf-8")
        write_text(folder / name, text)
