"""Handover of an export: the model card, and the parity kit with which a Mac checks the files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from PIL import Image

from bball_pl.export.metadata import CROP_POLICY, About, Interface
from bball_pl.files import write_text
from bball_pl.moves import display_name
from bball_pl.photos.decode import decode
from bball_pl.photos.photos_csv import read_photos_csv
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.parity import FileParity, Reference

_LIMITS = (
    "- It tells the moves that it was trained on apart, and nothing else. For any other photo it still answers one of "
    'them; the threshold of "unsure" catches a part of these.',
    "- Its figures are valid for photos like those of its test set: the same leagues, gyms and cameras. Test it again "
    "for another league.",
    "- It must not be used to identify people, to judge players, or for anything that has consequences for anyone.",
    "- The people in the photos: a licence for a photo is not the consent of its subjects. Ask the players, and for "
    "minors their parents, before training on their photos or publishing a model trained on them.",
)


def write_card(
    path: Path, about: About, interface: Interface, files: Sequence[FileParity], data: dict[str, Any]
) -> None:
    """Write `MODEL_CARD.md` atomically: origin, figures, data, files and limits of a model.

    Args:
        path: the file.
        about: facts of the model.
        interface: names of the features, and the labels.
        files: the exported files, compared with the trained model.
        data: the training dataset, as in `TrainedModel`; may be empty.
    """
    spec = about.spec
    lines = [
        "# Model card: BasketballMoves",
        "",
        f"{about.description} Made with bball_pl {about.user_defined()['bball_pl.version']}.",
        "",
        "| | |",
        "|---|---|",
        f"| author | {_cell(about.author)} |",
        f"| licence | {_cell(about.licence)} |",
        f"| trained | {about.trained} |",
        f"| network | {about.backbone} (timm), temperature {about.temperature:.3f} |",
        f"| answers | {', '.join(map(_cell, interface.labels))} |",
        f"| input `{interface.image}` | RGB photo, {spec.size} × {spec.size}, 0–255 |",
        f"| outputs | `{interface.label}`, `{interface.probabilities}` |",
        f"| photos that are not square | {spec.fit}; for Vision: `.{CROP_POLICY[spec.fit]}` |",
        f'| "unsure" below | {_threshold(about)} |',
        "",
        "## Accuracy",
        "",
        f"Accuracy on test photos: {about.test_accuracy}.",
        "",
        *_figures(about),
        "## Data",
        "",
        *_data(data),
        "## Files and their proof",
        "",
        "Every file was read back from disk and run on real photos, and its answers compared with the trained model's.",
        "",
        "| file | MB | run with | largest difference | same answers | accuracy on these photos | verdict |",
        "|---|---:|---|---:|---:|---:|---|",
        *(
            f"| {file.name} | {file.megabytes:.1f} | {file.engine} | {file.largest_difference:.1e} | "
            f"{file.same_answers:.1%} | {file.accuracy:.1%} | {'proven' if file.passed else 'REFUSED'} |"
            for file in files
        ),
        "",
        "Not covered: the arithmetic of the Neural Engine, faults of Core ML, and resizing by Vision. `parity_kit/` "
        "checks the first two on a Mac.",
        "",
        "## Limits",
        "",
        *_LIMITS,
        "",
    ]
    write_text(path, "\n".join(lines))


def _threshold(about: About) -> str:
    if about.threshold is None:
        return "no threshold is known: show the probability"
    if about.threshold == 0:
        return "never: all validation answers together reach the target"
    return f"a probability of {about.threshold:.2f}"


def _figures(about: About) -> list[str]:
    if about.test is None:
        return ["No figures were found for this checkpoint: run bball evaluate, then export again.", ""]
    rows = [
        f"| {_cell(display_name(name))} | {figures['precision']:.3f} | {figures['recall']:.3f} | {figures['f1']:.3f} | "
        f"{figures['support']} |"
        for name, figures in about.test["per_class"].items()
    ]
    return ["| class | precision | recall | F1 | photos |", "|---|---:|---:|---:|---:|", *rows, ""]


def _data(data: dict[str, Any]) -> list[str]:
    if not data:
        return ["The checkpoint does not name its training dataset.", ""]
    names = data["class_names"]
    lines = [
        f"| split | {' | '.join(_cell(name) for name in names)} | groups |",
        f"|---|{'---:|' * (len(names) + 1)}",
        *(
            f"| {split} | {' | '.join(str(counts[name]) for name in names)} | {data['groups'].get(split, 0) or '–'} |"
            for split, counts in data["counts"].items()
        ),
        "",
        f"SHA-256 over names, classes and contents: `{data['sha256']}`.",
        "",
    ]
    table = Path(data["root"]) / "photos.csv"
    records = read_photos_csv(table) if table.is_file() else []
    licences = Counter(record.licence or "not recorded" for record in records)
    if licences:
        listed = ", ".join(f"{_cell(licence)} ({count})" for licence, count in licences.most_common())
        lines += [f"Licences of the photos: {listed}.", ""]
    else:
        lines += ["Origin and licences of the photos are not recorded (no photos.csv).", ""]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


#: Largest difference allowed on a Mac, for the 16-bit arithmetic of the Neural Engine.
_TOLERANCE = 0.02
_SCRIPTS = ("check_parity.py", "check.swift", "README.md")


def write_kit(folder: Path, reference: Reference, spec: PreprocessSpec, interface: Interface, number: int = 20) -> None:
    """Write photos, expected answers, and scripts that print PASS or FAIL on a Mac.

    The photos have the network's size already, without loss: Core ML and the chip are compared, not how a system
    decodes and resizes. `originals/` has the photos as they were, to show the effect of resizing.

    Args:
        folder: created.
        reference: photos and the trained model's answers; about `number` of them, evenly chosen, are written.
        spec: how a photo becomes the input.
        interface: names of the features, and the labels.
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
        text = resources("bball_pl.export").joinpath("parity_kit", name).read_text(encoding="utf-8")
        write_text(folder / name, text)
