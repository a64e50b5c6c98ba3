"""Exported files that may answer beside the checkpoint they were made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bball_pl.evaluate.calibration import file_sha256
from bball_pl.studio.state import printable

#: Id of the checkpoint among the engines.
CHECKPOINT = "checkpoint"
#: Formats in the order in which they are offered, with what runs each of them here.
RUNTIMES = {
    ".onnx": "onnxruntime",
    ".mlpackage": "own executor",
    ".mlmodel": "own executor",
    ".aimodel": "Core AI",
}


@dataclass(frozen=True)
class ExportedFile:
    """A saved model below the folder of exports.

    Attributes:
        id: `<export>/<file>`.
        path: where it lies.
        runtime: what runs it here.
        fp16: whether it computes in 16 bits.
        checkpoint_sha256: of the checkpoint that it was made from, as parity.json says; empty without one.
        proven: whether parity.json says that every condition holds, for this file and for the others of its export;
            False without one.
        available: whether the packages that it needs are installed.
    """

    id: str
    path: Path
    runtime: str
    fp16: bool
    checkpoint_sha256: str
    proven: bool
    available: bool


def exported_files(exports: Path) -> list[ExportedFile]:
    """Return the models of all exports, sorted by export and format; rejected and unproven ones are among them."""
    found = []
    for folder in sorted(path for path in exports.glob("*") if path.is_dir() and _named(path)):
        parity = _parity(folder)
        about = {file.get("name"): file for file in parity.get("files", []) if isinstance(file, dict)}
        owner = parity.get("checkpoint_sha256")
        for path in _models(folder):
            own = about.get(path.name, {})
            found.append(
                ExportedFile(
                    id=f"{folder.name}/{path.name}",
                    path=path,
                    runtime=RUNTIMES[path.suffix],
                    # An ML Program is in 16 bits unless the proof says otherwise.
                    fp16=path.suffix == ".mlpackage" and own.get("engine", "executor fp16") != "executor fp32",
                    checkpoint_sha256=owner if isinstance(owner, str) else "",
                    proven=own.get("passed") is True and parity.get("passed") is True,
                    available=path.suffix != ".aimodel" or find_spec("coreai") is not None,
                )
            )
    return found


def checkpoint_sha256(checkpoint: Path) -> str:
    """Return the SHA-256 of a checkpoint; computed again only when the file changes."""
    status = checkpoint.stat()
    return _sha256(checkpoint, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int, size: int) -> str:
    return file_sha256(path)


def _named(path: Path) -> bool:
    """Say whether a file or folder is for others to see, and has a name that can be shown."""
    return not path.name.startswith(".") and printable(path.name) == path.name


def _models(folder: Path) -> list[Path]:
    order = list(RUNTIMES)
    return sorted(
        (path for path in folder.iterdir() if path.suffix in RUNTIMES and _named(path)),
        key=lambda path: (order.index(path.suffix), path.name),
    )


def _parity(folder: Path) -> dict[str, Any]:
    try:
        parity = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return parity if isinstance(parity, dict) and isinstance(parity.get("files", []), list) else {}
