"""Installation into the app: the verified ML Program, its contract and its parity kit in the resources of `ios/`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bball_pl.errors import ConfigError, RunError, VerificationError
from bball_pl.export.formats import STEM
from bball_pl.export.handover.contract import CONTRACT, check_class_names, model_sha256
from bball_pl.files import staged_folder, write_problem
from bball_pl.project import CLONE

#: The app package.
APP = CLONE / "ios" / f"{STEM}.swiftpm"
#: Folder of model, contract and parity kit below the package; ignored by Git.
MODEL_FOLDER = Path("Resources", "Model", "Export")

_PACKAGE = f"{STEM}.mlpackage"
#: The kit in an export, and in the app, which shows its photos to the phone. The kit's scripts are for a Mac.
_KIT, _KIT_IN_APP = "parity_kit", "ParityKit"
_KIT_PARTS = {"expected.json", "photos", "originals"}


def install_in_app(export: Path, app: Path = APP) -> Path:
    """Copy an export's ML Program, its contract and its parity kit into the app's resources, all or none of them.

    Args:
        export: a finished export folder with `BasketballMoves.mlpackage`, `ModelContract.json`, `parity.json` and
            `parity_kit/`.
        app: the app package.

    Returns:
        The folder with all three. An older one is replaced as a whole, and kept if anything fails.

    Raises:
        ConfigError: if the export has no ML Program, `app` is not the app package, or the app would refuse the classes
            (`check_class_names`).
        VerificationError: if the export is not proven, its proof lacks the ML Program, the ML Program is not the one
            that the contract describes, or a part of the kit is missing.
        RunError: if the disk is full or the app cannot be written.
    """
    if not (app / "Package.swift").is_file():
        raise ConfigError(f"{app} is not the app package (no Package.swift there). Run from a checkout of the project.")
    if not (export / _PACKAGE).is_dir():
        raise ConfigError(f"{export} has no {_PACKAGE}, which the app needs. Add mlpackage to --formats.")
    _require_proof(export / "parity.json")
    contract = _read(export / CONTRACT)
    target = app / MODEL_FOLDER
    try:
        described = contract["model"] == {"file": _PACKAGE, "sha256": model_sha256(export / _PACKAGE)}
        check_class_names([item["name"] for item in contract["classes"]])
    except (KeyError, TypeError) as error:
        raise VerificationError(f"{export / CONTRACT} is no contract ({error!r}). Run bball export again.") from None
    if not described:
        raise VerificationError(f"{_PACKAGE} is not the model that {CONTRACT} describes. Run bball export again.")
    if lacking := sorted(part for part in _KIT_PARTS if not (export / _KIT / part).exists()):
        raise VerificationError(f"{export / _KIT} has no {' and no '.join(lacking)}. Run bball export again.")
    try:
        # Left by a killed process: it would become part of the app.
        for left in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(left)
        with staged_folder(target) as staging:
            shutil.copytree(export / _PACKAGE, staging.folder / _PACKAGE)
            shutil.copyfile(export / CONTRACT, staging.folder / CONTRACT)
            for_a_mac = {path.name for path in (export / _KIT).iterdir()} - _KIT_PARTS
            shutil.copytree(
                export / _KIT, staging.folder / _KIT_IN_APP, ignore=lambda _, names: for_a_mac.intersection(names)
            )
    except (RunError, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = write_problem(cause, target.parent) or str(cause)
        raise RunError(f"the app {app} keeps its old model: {reason}. Free disk space or give write access.") from error
    return target


def _require_proof(path: Path) -> None:
    parity = _read(path)
    try:
        proven = parity["passed"] is True and any(file["name"] == _PACKAGE for file in parity["files"])
    except (KeyError, TypeError) as error:
        raise VerificationError(f"{path} cannot be read as a proof ({error!r}). Run bball export again.") from None
    if not proven:
        raise VerificationError(f"{path} does not prove {_PACKAGE}. Only a proven model is installed into the app.")


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path} cannot be read ({error}). Run bball export again.") from None
    return content
