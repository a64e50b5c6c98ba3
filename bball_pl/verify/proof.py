"""The proof on disk: `parity.json` binds every byte of an export, and a change shows without a checkpoint."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bball_pl.errors import VerificationError
from bball_pl.files import write_text
from bball_pl.verify.inspection import Gate

PROOF = "parity.json"
_TOOLS = ("bball_pl", "coremltools", "numpy", "onnx", "onnxruntime", "timm", "torch")


def write_proof(folder: Path, facts: dict[str, Any]) -> None:
    """Write `parity.json` into a finished export folder: the facts, the tools, and the SHA-256 of every file.

    Args:
        folder: holds everything that the proof is to bind.
        facts: what was proven; `passed` among them.
    """
    whole = {**facts, "tools": _tools(), "sha256": _digests(folder)}
    write_text(folder / PROOF, _sealed(whole))


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
    path = folder / PROOF
    try:
        text = path.read_text(encoding="utf-8")
        facts = json.loads(text)
        bound, passed, seal = dict(facts["sha256"]), facts["passed"], facts.pop("seal")
    except FileNotFoundError:
        raise VerificationError(f"{folder} has no {PROOF}; expected the folder of an export") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(f"{path} is no proof ({error!r}). Export it again with bball export.") from error
    gates = [
        Gate(
            PROOF,
            "unchanged" if _sealed(facts) == text else f"changed; its seal is {seal}",
            "unchanged",
            _sealed(facts) == text,
        ),
        Gate("proven", "yes" if passed is True else "no", "yes", passed is True),
    ]
    found = _digests(folder)
    for name in sorted(bound.keys() | found.keys()):
        if name not in bound:
            gates.append(Gate(name, "present", "no such file", False))
        else:
            digest = found.get(name, "missing")
            gates.append(Gate(name, digest, bound[name], digest == bound[name]))
    return gates


def _sealed(facts: dict[str, Any]) -> str:
    """Return the proof as text with a hash over itself, so that a changed figure shows as well as a changed file."""
    text = json.dumps(facts, indent=2, ensure_ascii=False, default=list)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**json.loads(text), "seal": seal}, indent=2, ensure_ascii=False) + "\n"


def _digests(folder: Path) -> dict[str, str]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: _sha256(files[name])
        for name in sorted(files)
        if name != PROOF and not any(part.startswith(".") for part in name.split("/"))
    }


def _sha256(path: Path) -> str:
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
