"""The proof on disk: `parity.json` binds every file of an export, its photos, the tools and the machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bball_pl.errors import VerificationError
from bball_pl.files import write_text
from bball_pl.photos.tree import Photo, is_image, walk
from bball_pl.verify.inspection import Gate

PROOF = "parity.json"
_TOOLS = (
    "bball_pl",
    "coremltools",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "timm",
    "torch",
)


def write_proof(folder: Path, facts: dict[str, Any]) -> None:
    """Write `parity.json` into a finished export folder: the facts, the tools, and the SHA-256 of every file.

    Args:
        folder: holds everything that the proof is to bind.
        facts: what was proven; `passed` among them.
    """
    whole = {**facts, "tools": _tools(), "sha256": _digests(folder)}
    write_text(folder / PROOF, _sealed(whole))


def read_proof(folder: Path) -> dict[str, Any]:
    """Return the facts of a folder's `parity.json`.

    Raises:
        VerificationError: if the folder has no `parity.json`, or that is damaged or binds no files.
    """
    facts: dict[str, Any] = {}
    path = folder / PROOF
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts["sha256"], dict):
            raise TypeError("sha256 is no object")
        _ = facts["passed"], facts["seal"]
    except FileNotFoundError:
        raise VerificationError(f"{folder} has no {PROOF}; expected the folder of an export") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError(f"{path} is no proof ({error!r}). Export it again with bball export.") from error
    return facts


def verify_folder(folder: Path) -> list[Gate]:
    """Check without a checkpoint that an export folder contains exactly the bytes that were proven.

    Returns:
        One gate for the proof itself, and one for each file that was proven or that is in the folder. Hidden files do
        not count: looking at a folder on a Mac makes some.

    Raises:
        VerificationError: if the folder has no `parity.json`, or that is damaged or binds no files.

    Example:
        `all(gate.passed for gate in verify_folder(Path("exports/demo")))`
    """
    return _gates(folder, read_proof(folder), "")


def verify_file(path: Path) -> list[Gate]:
    """Check one file or package of an export in the same way; the files beside it do not count.

    Raises:
        VerificationError: as in `verify_folder`, for the folder that it lies in.
    """
    return _gates(path.parent, read_proof(path.parent), path.name)


def _gates(folder: Path, facts: dict[str, Any], part: str) -> list[Gate]:
    text = (folder / PROOF).read_text(encoding="utf-8")
    unchanged = _sealed({name: value for name, value in facts.items() if name != "seal"}) == text
    gates = [
        Gate(PROOF, "unchanged" if unchanged else f"changed; its seal is {facts['seal']}", "unchanged", unchanged),
        Gate("proven", "yes" if facts["passed"] is True else "no", "yes", facts["passed"] is True),
    ]
    bound = {name: str(digest) for name, digest in facts["sha256"].items() if _within(name, part)}
    found = _digests(folder, part)
    for name in sorted(bound.keys() | found.keys()):
        if name not in bound:
            gates.append(Gate(name, "present", "no such file", False))
        else:
            digest = found.get(name, "missing")
            gates.append(Gate(name, digest, bound[name], digest == bound[name]))
    return gates


def _within(name: str, part: str) -> bool:
    return not part or name == part or name.startswith(f"{part}/")


def _sealed(facts: dict[str, Any]) -> str:
    """Return the proof as text with a hash over itself, so that a changed figure shows as well as a changed file."""
    text = json.dumps(facts, indent=2, ensure_ascii=False, default=list)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**json.loads(text), "seal": seal}, indent=2, ensure_ascii=False) + "\n"


def _digests(folder: Path, part: str = "") -> dict[str, str]:
    start = folder / part
    files = [start] if start.is_file() else [path for path in start.rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: sha256_of(named[name])
        for name in sorted(named)
        if name != PROOF and not any(piece.startswith(".") for piece in name.split("/"))
    }


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tools() -> dict[str, str]:
    """Return the versions of what made and proved the files, and the machine."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# --- the photos of a proof -------------------------------------------------------------------------------------------


def photo_facts(photos: Iterable[Photo], folder: Path) -> dict[str, Any]:
    """Return what binds the photos of a proof: their folder as seen from the export, path, class and SHA-256 of each.

    Args:
        photos: one or more, of one dataset.
        folder: the export folder.
    """
    listed = list(photos)
    root = _root_of(listed[0])
    return {
        "root": Path(os.path.relpath(root, folder.absolute())).as_posix(),
        "files": [
            {"path": photo.relative, "class": photo.class_name, "sha256": sha256_of(photo.path)} for photo in listed
        ],
    }


def _root_of(photo: Photo) -> Path:
    """Return the folder that a photo's relative name hangs from."""
    parts = Path(photo.relative).parts
    path = photo.path.absolute()
    return path.parents[len(parts) - 1] if path.parts[-len(parts) :] == parts else path.parent


def bound_photos(facts: dict[str, Any], roots: Iterable[Path]) -> list[Photo]:
    """Return the photos of a proof that are still in one of some folders with the same bytes, in the proof's order.

    Args:
        facts: of `parity.json`.
        roots: folders to look in: under a photo's name first, then in the whole folder by content.
    """
    wanted = [entry for entry in (facts.get("photo_files") or {}).get("files", []) if isinstance(entry, dict)]
    for root in roots:
        if not root.is_dir():
            continue
        named = {entry["sha256"]: root / entry["path"] for entry in wanted}
        found = {digest: path for digest, path in named.items() if path.is_file() and sha256_of(path) == digest}
        if len(found) < len(named):
            for path in filter(is_image, walk(root, links=[])):
                if (digest := sha256_of(path)) in named:
                    found.setdefault(digest, path)
        if found:
            return [
                Photo(found[entry["sha256"]], entry["path"], "test", entry["class"])
                for entry in wanted
                if entry["sha256"] in found
            ]
    return []
