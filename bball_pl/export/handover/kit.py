"""Parity kit: photos, expected answers, and scripts with which a Mac checks and times the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path

from PIL import Image

from bball_pl.export.handover.contract import main_file
from bball_pl.export.metadata import CROP_POLICY, Interface
from bball_pl.files import write_text
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.parity import FileParity, Reference

#: Largest difference allowed on a Mac, for the 16-bit arithmetic of the Neural Engine.
_TOLERANCE = 0.02
_SCRIPTS = ("check_parity.py", "check.swift", "README.md")


def is_core_ml(name: str) -> bool:
    """Return whether a file of an export is one of Core ML's."""
    return name.endswith((".mlpackage", ".mlmodel"))


def write_kit(
    folder: Path,
    reference: Reference,
    spec: PreprocessSpec,
    interface: Interface,
    files: Sequence[FileParity],
    number: int = 20,
) -> None:
    """Write photos, expected answers, and scripts that print PASS or FAIL on a Mac.

    `photos/` have the network's size already, without loss: with them Core ML and the chip are compared, not how a
    system decodes and resizes. `originals/` has the photos as they were, to measure what resizing by Vision changes.

    Args:
        folder: created.
        reference: photos and the trained model's answers; about `number` of them, evenly chosen, are written.
        spec: how a photo becomes the input.
        interface: names of the features, and the labels.
        files: comparison of the exported files with the trained model; one of Core ML's among them.
        number: number of photos.
    """
    (folder / "photos").mkdir(parents=True)
    (folder / "originals").mkdir()
    total = len(reference.photos)
    rows = sorted({index * total // min(number, total) for index in range(min(number, total))})
    expected = []
    for index, row in enumerate(rows):
        photo = reference.photos[row]
        name = f"{index:02d}_{photo.class_name}"
        Image.fromarray(reference.pixels(row, spec)).save(folder / "photos" / f"{name}.png")
        shutil.copyfile(photo.path, folder / "originals" / f"{name}{photo.path.suffix.lower()}")
        shares = reference.probabilities[row]
        expected.append(
            {
                "photo": f"photos/{name}.png",
                "original": f"originals/{name}{photo.path.suffix.lower()}",
                "probabilities": {label: float(share) for label, share in zip(interface.labels, shares, strict=True)},
            }
        )
    tolerances = {
        # A compressed copy answers a little differently; on the device it may differ from that as the others may.
        file.name: _TOLERANCE + (file.largest_difference if "-" in file.name else 0)
        for file in files
        if is_core_ml(file.name)
    }
    facts = {
        "image": interface.image,
        "label": interface.label,
        "probabilities": interface.probabilities,
        "size": spec.size,
        "fit": spec.fit,
        "cropAndScale": CROP_POLICY[spec.fit],
        "model": main_file(list(tolerances)),
        "tolerance": _TOLERANCE,
        "tolerances": tolerances,
        "photos": expected,
    }
    write_text(folder / "expected.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    for name in _SCRIPTS:
        text = resources("bball_pl.export").joinpath("parity_kit", name).read_text(encoding="utf-8")
        write_text(folder / name, text)
