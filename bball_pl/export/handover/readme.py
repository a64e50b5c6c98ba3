"""README.md of an export: what each file is for, and code in Swift, Python and JavaScript made for this very model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bball_pl.export.handover.contract import main_file
from bball_pl.export.metadata import CROP_POLICY, About, Interface
from bball_pl.files import write_text
from bball_pl.moves import NO_MOVE
from bball_pl.verify.inspection import TARGET_VERSIONS
from bball_pl.verify.model_file import read_spec
from bball_pl.verify.parity import FileParity
from bball_pl.verify.proof import PROOF

#: Vision's names of the fit policies since iOS 18 (`ImageCropAndScaleAction`).
_CROP_ACTION = {"squash": "scaleToFill", "crop": "centerCrop", "pad": "scaleToFit"}
#: The oldest macOS that runs what runs on an iOS.
_MACOS = {
    "iOS13": "macOS 10.15",
    "iOS14": "macOS 11",
    "iOS15": "macOS 12",
    "iOS16": "macOS 13",
    "iOS17": "macOS 14",
    "iOS18": "macOS 15",
    "iOS26": "macOS 26",
}
_STEM = "BasketballMoves"


def write_readme(
    folder: Path,
    about: About,
    interface: Interface,
    files: Sequence[FileParity],
    origin: Sequence[str],
) -> Path:
    """Write `README.md` into an export folder.

    Args:
        folder: holds the files, and what else is to be listed.
        about: facts of the model.
        interface: names of features and labels.
        files: comparison of the files with the trained model; not empty.
        origin: sentences about the photos that the model knows, which come first.

    Returns:
        The file.
    """
    sizes = {file.name: file.megabytes for file in files}
    core_ml = [name for name in sizes if name.endswith((".mlpackage", ".mlmodel"))]
    rows: list[tuple[str, float | None, str]] = [(name, sizes[name], _use(folder / name)) for name in sizes]
    rows += [(name, None, use) for name, use in _COMPANIONS.items() if (folder / name.rstrip("/")).exists()]
    rows.append((PROOF, None, "the proof: conditions, figures, the SHA-256 of every file here"))
    texts = Environment(
        loader=PackageLoader("bball_pl.export.handover", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    texts.filters["literal"] = _literal
    none = [label for label, name in zip(interface.labels, about.class_names, strict=True) if name == NO_MOVE.name]
    text = texts.get_template("export_readme.md.jinja").render(
        stem=_STEM,
        about=about,
        spec=about.spec,
        interface=interface,
        labels=interface.labels,
        files=rows,
        passed=all(file.passed for file in files),
        origin=origin,
        unsure=unsure_below(about),
        none_label=none[0] if none else "",
        core_ml=main_file(core_ml) if core_ml else "",
        older=next((name for name in core_ml if name.endswith(".mlmodel") and name != main_file(core_ml)), ""),
        onnx=next((name for name in sizes if name.endswith(".onnx")), ""),
        example=_example(folder),
        crop_policy=CROP_POLICY[about.spec.fit],
        crop_action=_CROP_ACTION[about.spec.fit],
        threshold_swift="nil" if about.threshold is None else repr(round(about.threshold, 6)),
    )
    write_text(folder / "README.md", text)
    return folder / "README.md"


def _example(folder: Path) -> tuple[str, str] | None:
    """Return a photo of the parity kit and its probabilities in words; None without a kit."""
    path = folder / "parity_kit" / "expected.json"
    if not path.is_file():
        return None
    photo = json.loads(path.read_text(encoding="utf-8"))["photos"][0]
    shares = ", ".join(f"`{label}` {share:.4f}" for label, share in photo["probabilities"].items())
    return f"parity_kit/{photo['original']}", shares


def unsure_below(about: About) -> str:
    """Return in words when the answer is "unsure"."""
    if about.threshold is None:
        return "no threshold is known: show the probability"
    if about.threshold == 0:
        return "never: the answers to all validation photos already reach the wanted accuracy"
    return f"below a probability of {about.threshold:.2f}"


_COMPANIONS = {
    "ModelContract.json": "your code: labels, names to display in English and Chinese, size, crop, threshold, accuracy",
    "MODEL_CARD.md": "whoever decides: data, accuracy by class, what resizing costs, limits",
    "parity_kit/": "a Mac: photos with known answers, and scripts that print PASS or FAIL and the time of an answer",
}


def _use(path: Path) -> str:
    if path.suffix == ".onnx":
        return "Python, browsers, Android, servers: ONNX, 32 bits, any number of photos at once"
    if path.suffix == ".aimodel":
        return "iOS 27: Core AI, a beta"
    version = read_spec(path).specificationVersion
    system = next(name for name, number in TARGET_VERSIONS.items() if number == version)
    systems = f"iOS {system.removeprefix('iOS')} and {_MACOS[system]} or newer"
    if path.suffix == ".mlmodel":
        return f"{systems}: Core ML, NeuralNetwork with 32-bit weights"
    compression = path.stem.partition("-")[2]
    return f"{systems}: {f'the same with smaller weights ({compression})' if compression else 'Core ML, ML Program'}"


def _literal(value: object) -> str:
    """Return text or a list of texts as a literal of Python, JavaScript and Swift."""
    return json.dumps(value, ensure_ascii=False)
