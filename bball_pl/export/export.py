"""A verified export folder from a checkpoint, and its table on the terminal."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bball_pl import project
from bball_pl.errors import ConfigError
from bball_pl.evaluate.calibration import file_sha256, read_calibration
from bball_pl.evaluate.evaluation import labelled_photos
from bball_pl.export.deploy import DeployModel
from bball_pl.export.formats import STEM, Export, ExportSettings, VerifiedFiles
from bball_pl.export.kit import write_kit
from bball_pl.export.metadata import About, about_checkpoint, interface_for
from bball_pl.export.model_card import write_card
from bball_pl.files import staged_folder, write_text
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.outcomes import read_checkpoint
from bball_pl.photos.tree import FoundPhoto
from bball_pl.verify.parity import choose_photos, reference_answers


def export_summary(export: Export) -> Group:
    """Return a table of files, and below it every gate that did not hold."""
    table = Table(
        title=f"{STEM}.*, compared with the trained model on {export.photos} test photos",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for heading in ("file", "run with"):
        table.add_column(heading, no_wrap=True)
    for heading in ("MB", "largest\ndiff.", "same\nanswer", "right", "s per\nphoto", "gates\nheld"):
        table.add_column(heading, justify="right")
    lines: list[Text] = []
    for file in [*export.files, *export.refused]:
        held = sum(gate.passed for gate in file.gates)
        table.add_row(
            file.name.removeprefix(STEM),  # in full it would not fit a terminal of 80 columns
            file.engine,
            f"{file.megabytes:.1f}",
            f"{file.largest_difference:.0e}",
            f"{file.same_answers:.1%}",
            f"{file.accuracy:.1%}",
            f"{file.seconds_per_photo:.2f}",
            f"{held}/{len(file.gates)}",
            style=None if file.passed else "red",
        )
        failed = [gate for gate in file.gates if not gate.passed]
        lines.extend(
            Text(f"{file.name}: {gate.name}: found {gate.found}, expected {gate.expected}", "red") for gate in failed
        )
    lines.extend(Text(f"{file.name} loses too much and was left out; --force true keeps it") for file in export.refused)
    return Group(table, *lines)


#: Ending of the name of an export that is not proven.
REJECTED = ".rejected"


def export_checkpoint(
    checkpoint: Path, target: Path, settings: ExportSettings, root: Path | None = None, console: Console | None = None
) -> Export:
    """Write an export folder and verify every file in it; what fails is left under a name that ends in `.rejected`.

    Args:
        checkpoint: the file.
        target: the folder.
        settings: what and how.
        root: the dataset with the test photos; None for the checkpoint's own.
        console: for progress.

    Raises:
        RunError: if the checkpoint cannot be read or the disk is full.
        DatasetError: if there are no test photos to verify on.
        ConfigError: if the settings do not go together.
    """
    console = console or Console(stderr=True)
    calibration = read_calibration(checkpoint)
    if calibration is None:
        console.print("no calibration beside the checkpoint: temperature 1 (scripts/evaluate.py makes one)")
    about = about_checkpoint(checkpoint, calibration, settings.author, settings.licence, settings.description)
    interface = interface_for(about.class_names, settings.interface, settings.labels)
    _check(settings)
    data = read_checkpoint(checkpoint)["bball_pl"].get("data", {})
    photos = choose_photos(_test_photos(checkpoint, about, data, root), settings.photos)
    reference = reference_answers(MoveClassifier.from_checkpoint(checkpoint), about.temperature, photos)
    model = DeployModel(MoveClassifier.from_checkpoint(checkpoint), about.temperature).eval()
    with staged_folder(target) as staging:
        work = VerifiedFiles(staging.folder, model, interface, about, reference, settings, console)
        work.write()
        write_card(staging.folder / "MODEL_CARD.md", about, interface, work.files, data)
        if "mlpackage" in settings.formats:
            write_kit(staging.folder / "parity_kit", reference, about.spec, interface)
        export = Export(target, work.files, len(photos), about, interface, work.refused)
        _write_parity(staging.folder / "parity.json", checkpoint, settings, export)
        if not export.passed:
            staging.target = target.with_name(target.name + REJECTED)
            export.folder = staging.target
    if export.passed:
        # What an earlier try left would be taken for this one's.
        shutil.rmtree(target.with_name(target.name + REJECTED), ignore_errors=True)
    return export


def _check(settings: ExportSettings) -> None:
    if not settings.formats:
        raise ConfigError("--formats is empty; expected some of onnx, mlpackage, mlmodel, aimodel")
    if settings.route == "onnx" and "onnx" not in settings.formats:
        raise ConfigError("--route onnx starts from the ONNX file; add onnx to --formats")
    if settings.compress and ("mlpackage" not in settings.formats or settings.target == "iOS15"):
        raise ConfigError("--compress works on the ML Program for iOS16 or newer; add mlpackage to --formats")
    if settings.compress and settings.compute == "fp32":
        raise ConfigError("--compress and --compute fp32 contradict each other; leave one out")


def _test_photos(checkpoint: Path, about: About, data: dict[str, Any], root: Path | None) -> list[FoundPhoto]:
    if root is None and "root" not in data:
        raise ConfigError(f"{checkpoint} does not say where its photos were. Pass --root DIR with test photos.")
    own = root is None or ("root" in data and root.resolve() == Path(data["root"]).resolve())
    run = project.run_of_checkpoint(checkpoint) if own else None
    return labelled_photos("test", about.class_names, root or Path(data["root"]), run).photos


def _write_parity(path: Path, checkpoint: Path, settings: ExportSettings, export: Export) -> None:
    facts = {
        "passed": export.passed,
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": file_sha256(checkpoint),
        "photos": export.photos,
        "settings": asdict(settings),
        "files": [{**asdict(file), "passed": file.passed} for file in export.files],
        "refused": [{**asdict(file), "passed": file.passed} for file in export.refused],
    }
    write_text(path, json.dumps(facts, indent=2, ensure_ascii=False, default=list) + "\n")
