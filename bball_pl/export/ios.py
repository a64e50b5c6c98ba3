"""Installation into the app: the verified ML Program and its contract in the resources of `ios/`."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from bball_pl.errors import ConfigError, RunError, VerificationError
from bball_pl.evaluate.calibration import file_sha256
from bball_pl.export.formats import STEM
from bball_pl.export.metadata import CROP_POLICY, About, Interface
from bball_pl.files import staged_folder, write_problem, write_text
from bball_pl.moves import MOVES
from bball_pl.project import CLONE

#: The app package.
APP = CLONE / "ios" / f"{STEM}.swiftpm"
#: Folder of model and contract below the package; ignored by Git.
MODEL_FOLDER = Path("Resources", "Model", "Export")
CONTRACT = "ModelContract.json"
#: Version of the contract's keys; the app refuses others. Raise it when a key changes its name or meaning.
SCHEMA = 1

_PACKAGE = f"{STEM}.mlpackage"
#: Frames that the live screen averages over, and the gap in seconds after which it restarts. At 15 to 30 frames a
#: second eight frames are a quarter to half a second: a single error is outvoted, and a new move is shown in time.
_LIVE = {"smoothingFrames": 8, "forgetAfterSeconds": 1.0}


def install_in_app(
    export: Path, about: About, interface: Interface, app: Path = APP, exported: datetime.date | None = None
) -> Path:
    """Copy an export's ML Program and write its contract into the app's resources, both or neither.

    Args:
        export: a finished export folder with `BasketballMoves.mlpackage` and `parity.json`.
        about: facts of the exported model.
        interface: names of the exported features and labels.
        app: the app package.
        exported: date of the export. Default: today.

    Returns:
        The folder with both. An older pair is replaced as a whole, and kept if anything fails.

    Raises:
        ConfigError: if the export has no ML Program, or `app` is not the app package.
        VerificationError: if the export is not proven, or its proof lacks the ML Program.
        RunError: if the disk is full or the app cannot be written.
    """
    if not (app / "Package.swift").is_file():
        raise ConfigError(f"{app} is not the app package (no Package.swift there). Run from a checkout of the project.")
    if not (export / _PACKAGE).is_dir():
        raise ConfigError(f"{export} has no {_PACKAGE}, which the app needs. Add mlpackage to --formats.")
    proof = _proof(export)
    target = app / MODEL_FOLDER
    try:
        for left in target.parent.glob(
            f".{target.name}.*"
        ):  # left by a killed process: it would become part of the app
            shutil.rmtree(left)
        with staged_folder(target) as staging:
            package = staging.folder / _PACKAGE
            shutil.copytree(export / _PACKAGE, package)
            day = exported or datetime.datetime.now(datetime.UTC).date()
            facts = contract(about, interface, package_sha256(package), proof, day)
            write_text(staging.folder / CONTRACT, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    except (RunError, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = write_problem(cause, target.parent) or str(cause)
        raise RunError(f"the app {app} keeps its old model: {reason}. Free disk space or give write access.") from error
    return target


def contract(
    about: About, interface: Interface, model_sha256: str, verification: dict[str, Any], exported: datetime.date
) -> dict[str, Any]:
    """Return the content of `ModelContract.json`, which describes a model for the app.

    Args:
        about: facts of the model.
        interface: names of features and labels.
        model_sha256: SHA-256 of the package, from `package_sha256`.
        verification: comparison of the package with the trained model.
        exported: date of the export.

    Raises:
        ConfigError: if a class name cannot name a folder on every system, as the app's corrections need it.
    """
    chinese = {move.name: move.chinese for move in MOVES}
    for name in about.class_names:
        if not name or name != name.strip() or name[0] == "." or any(sign in name for sign in '/\\:"'):
            raise ConfigError(f"the class {name!r} cannot name a folder in the app. Rename it and fit again.")
    return {
        "schema": SCHEMA,
        "model": {"file": _PACKAGE, "sha256": model_sha256},
        "features": {
            "image": interface.image,
            "label": interface.label,
            "probabilities": interface.probabilities,
        },
        "classes": [
            {"label": label, "name": name, "display": {"en": name, "zh-Hant": chinese.get(name, name)}}
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


def package_sha256(package: Path) -> str:
    """Return the fingerprint of a `.mlpackage`: SHA-256 over a line `<sha256>  <path>` for each of its files.

    The lines are sorted by path. Hidden files do not count: a Mac creates some when a folder is viewed. The same in a
    shell, inside the package: `find * -type f ! -name '.*' | LC_ALL=C sort | xargs sha256sum | sha256sum`.
    """
    found = (path for path in package.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = {path.relative_to(package).as_posix(): path for path in found}
    lines = (f"{file_sha256(files[name])}  {name}\n" for name in sorted(files, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _accuracy(about: About) -> dict[str, Any] | None:
    if about.test is None:
        return None
    low, high = about.test["accuracy_ci95"]
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


def _proof(export: Path) -> dict[str, Any]:
    path = export / "parity.json"
    try:
        parity: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows = [file for file in parity["files"] if file["name"] == _PACKAGE]
        if parity["passed"] and rows:
            # On a Mac there are two rows, of the executor and of Core ML: the app states the worse figures.
            return {
                "photos": parity["photos"],
                "engines": [row["engine"] for row in rows],
                "sameAnswers": min(row["same_answers"] for row in rows),
                "largestDifference": max(row["largest_difference"] for row in rows),
                "accuracy": min(row["accuracy"] for row in rows),
            }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"{path} cannot be read as a proof ({error!r}). Run bball export again.") from None
    raise VerificationError(f"{path} does not prove {_PACKAGE}. Only a proven model is installed into the app.")
