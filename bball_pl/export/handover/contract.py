"""ModelContract.json: labels, preprocessing, threshold and proof of a model, for the code of an app."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bball_pl.errors import ConfigError
from bball_pl.evaluate.calibration import file_sha256
from bball_pl.evaluate.metrics import leading_interval
from bball_pl.export.metadata import CROP_POLICY, About, Interface
from bball_pl.files import folder_name_problem, write_text
from bball_pl.moves import chinese_name
from bball_pl.photos.tree import canonical_name
from bball_pl.verify.parity import FileParity

CONTRACT = "ModelContract.json"
#: Version of the contract's keys; the app refuses others. Raise it when a key changes its name or meaning.
SCHEMA = 1

#: Frames that the live screen averages over, and the gap in seconds after which it restarts. At 15 to 30 frames a
#: second eight frames are a quarter to half a second: a single error is outvoted, and a new move is shown in time.
_LIVE = {"smoothingFrames": 8, "forgetAfterSeconds": 1.0}
#: The contract describes the first of these that the export has: an app takes the ML Program where there is one.
_ORDER = (".mlpackage", ".mlmodel", ".aimodel", ".onnx")


def write_contract(
    folder: Path,
    about: About,
    interface: Interface,
    files: Sequence[FileParity],
    photos: int,
    exported: datetime.date | None = None,
) -> Path:
    """Write `ModelContract.json` into an export folder, for the file that an app takes.

    Args:
        folder: holds the files.
        about: facts of the model.
        interface: names of features and labels.
        files: comparison of the files with the trained model; not empty.
        photos: number of photos of that comparison.
        exported: date of the export. Default: today.

    Returns:
        The file.
    """
    name = main_file([file.name for file in files])
    rows = [file for file in files if file.name == name]
    # On a Mac there are two rows, of the executor and of Core ML: the app states the worse figures.
    verification = {
        "photos": photos,
        "engines": [row.engine for row in rows],
        "sameAnswers": min(row.same_answers for row in rows),
        "largestDifference": max(row.largest_difference for row in rows),
        "accuracy": min(row.accuracy for row in rows),
    }
    day = exported or datetime.datetime.now(datetime.UTC).date()
    model = {"file": name, "sha256": model_sha256(folder / name)}
    facts = contract(about, interface, model, verification, day)
    write_text(folder / CONTRACT, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    return folder / CONTRACT


def check_class_names(class_names: Sequence[str]) -> None:
    """Refuse classes that the app would refuse: corrections are filed in folders with the names of the classes.

    Raises:
        ConfigError: if there are fewer than two classes, one cannot name a folder on every system, or two are the same
            name in Unicode's form NFC.
    """
    if len(class_names) < 2:
        raise ConfigError(f"the model has the classes {list(class_names)}; expected two or more. Fit with two or more.")
    known: dict[str, str] = {}
    for name in class_names:
        if problem := folder_name_problem(name):
            raise ConfigError(f"the class {name!r} cannot name a folder: {problem}. Rename its folder and fit again.")
        form = canonical_name(name)
        if form in known:
            raise ConfigError(
                f"the classes {known[form]!a} and {name!a} are one name for the app, whatever their form of Unicode. "
                "Join their folders and fit again."
            )
        known[form] = name


def main_file(names: Sequence[str]) -> str:
    """Return the file of an export that an app takes: the uncompressed ML Program, or else the next best format."""
    return min(names, key=lambda name: (_ORDER.index(Path(name).suffix), "-" in name))


def contract(
    about: About,
    interface: Interface,
    model: dict[str, str],
    verification: dict[str, Any],
    exported: datetime.date,
) -> dict[str, Any]:
    """Return the content of `ModelContract.json`, which describes a model for an app.

    Args:
        about: facts of the model.
        interface: names of features and labels.
        model: `file`, its name, and `sha256`, from `model_sha256`.
        verification: comparison of the file with the trained model.
        exported: date of the export.
    """
    return {
        "schema": SCHEMA,
        "model": model,
        "features": {
            "image": interface.image,
            "label": interface.label,
            "probabilities": interface.probabilities,
        },
        "classes": [
            {"label": label, "name": name, "display": {"en": name, "zh-Hant": chinese_name(name) or name}}
            for label, name in zip(interface.labels, about.class_names, strict=True)
        ],
        "input": {"size": about.spec.size, "fit": about.spec.fit, "cropAndScale": CROP_POLICY[about.spec.fit]},
        "threshold": about.threshold,
        "live": dict(_LIVE),
        "accuracy": _accuracy(about),
        "verification": verification,
        "card": {
            "author": about.author,
            "licence": about.licence,
            "description": about.description,
            "network": about.backbone,
            "temperature": about.temperature,
            "trained": about.trained,
            "exported": exported.isoformat(),
            "datasetSHA256": about.dataset_sha256,
            "checkpointSHA256": about.checkpoint_sha256,
            "version": about.user_defined()["bball_pl.version"],
        },
    }


def model_sha256(path: Path) -> str:
    """Return the fingerprint of a model: of a file its SHA-256, of a package one over all of its files.

    For a `.mlpackage` it is the SHA-256 over a line `<sha256>  <path>` for each of its files, sorted by path. Hidden
    files do not count: a Mac creates some when a folder is viewed. The same in a shell, inside the package:
    `find * -type f ! -name '.*' | LC_ALL=C sort | xargs sha256sum | sha256sum`.
    """
    if path.is_file():
        return file_sha256(path)
    found = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    files = {file.relative_to(path).as_posix(): file for file in found}
    lines = (f"{file_sha256(files[name])}  {name}\n" for name in sorted(files, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _accuracy(about: About) -> dict[str, Any] | None:
    if about.test is None:
        return None
    (low, high), _ = leading_interval(about.test)
    per_class = about.test["per_class"]
    return {
        "value": about.test["accuracy"],
        "low": low,
        "high": high,
        "photos": about.test["n"],
        "macroF1": about.test["macro_f1"],
        "perClass": [
            {
                "name": name,
                "precision": per_class[name]["precision"],
                "recall": per_class[name]["recall"],
                "f1": per_class[name]["f1"],
                "photos": per_class[name]["support"],
            }
            for name in about.class_names
        ],
    }
