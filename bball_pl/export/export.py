"""Export of a trained model to a verified folder, and the table of its files."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bball_pl.evaluate.evaluation import split_photos
from bball_pl.evaluate.origin import origin_of, sources_of
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.coreml import check_coreml
from bball_pl.export.formats import NEURAL_NETWORK_TARGET, STEM, Export, VerifiedFiles
from bball_pl.export.handover.card import write_card
from bball_pl.export.handover.contract import check_class_names, model_sha256, write_contract
from bball_pl.export.handover.device import DeviceRecord, refuse_strangers
from bball_pl.export.handover.kit import is_core_ml, write_kit
from bball_pl.export.handover.readme import write_readme
from bball_pl.export.handover.resizing import filter_costs
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel
from bball_pl.export.options import ExportSettings
from bball_pl.files import staged_folder
from bball_pl.photos.tree import Photo
from bball_pl.terminal import log
from bball_pl.verify.independent_pixels import pixel_gates
from bball_pl.verify.parity import FileParity, choose_photos, reference_answers
from bball_pl.verify.proof import photo_facts, write_proof


def parity_table(files: Sequence[FileParity], title: str) -> Table:
    """Return a table with a row per compared file."""
    table = Table(
        title=title,
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
    for file in files:
        held = sum(gate.passed for gate in file.gates)
        table.add_row(
            file.name.removeprefix(STEM),  # the full name does not fit a terminal of 80 columns
            file.engine,
            f"{file.megabytes:.1f}",
            f"{file.largest_difference:.0e}",
            f"{file.same_answers:.1%}",
            f"{file.accuracy:.1%}",
            f"{file.seconds_per_photo:.2f}",
            f"{held}/{len(file.gates)}",
            style=None if file.passed else "red",
        )
    return table


def export_summary(export: Export, gates: bool = True) -> Group:
    """Return a table of the files, and below it every failed gate.

    Args:
        export: the export.
        gates: whether to list the failed gates.
    """
    title = f"{STEM}.*, compared with the trained model on {export.photos} test photos"
    files = [*export.files, *export.refused]
    failed = [(file.name, gate) for file in files for gate in file.gates if not gate.passed]
    failed += [("photos", gate) for gate in export.pixels if not gate.passed]
    lines = [
        Text(f"{name}: {gate.name}: found {gate.found}, expected {gate.expected}", "red")
        for name, gate in (failed if gates else [])
    ]
    lines.extend(Text(f"{file.name} loses too much and was left out; --force keeps it") for file in export.refused)
    return Group(parity_table(files, title), *lines)


def check_convertible(model: TrainedModel, settings: ExportSettings) -> DeployModel:
    """Let the converters of the requested formats read the network, before photos are rendered, decoded or answered.

    ONNX is not tried: that takes as long as its export, which is the first to be written.

    Returns:
        The network that they read, for `export_model`: it is traced only once.

    Raises:
        ConfigError: if a converter cannot read an op; the message names it and says how to go on. Likewise if the
            classes cannot be those of a contract (`check_class_names`).
    """
    check_class_names(model.class_names)
    interface = interface_for(model.class_names, settings.interface, settings.labels)
    deployed = _deployed(model)
    if "mlpackage" in settings.formats:
        check_coreml(deployed, interface, "mlprogram", settings.target, settings.route)
    if "mlmodel" in settings.formats:
        check_coreml(deployed, interface, "neuralnetwork", NEURAL_NETWORK_TARGET, settings.route)
    if "aimodel" in settings.formats:
        from bball_pl.export.coreai import check_coreai

        check_coreai(deployed, interface)
    return deployed


def _deployed(model: TrainedModel) -> DeployModel:
    # A copy: the deployed model changes the network's padding and memory format.
    return DeployModel(copy.deepcopy(model.classifier), model.rule.temperature).eval()


#: Photos that the filters of resizing are compared on: as many as the parity kit has. Each filter answers them all.
_FILTER_PHOTOS = 20
#: Suffix of the folder of an export that is not proven.
REJECTED = ".rejected"


def export_model(
    model: TrainedModel,
    target: Path,
    settings: ExportSettings,
    root: Path | None = None,
    console: Console = log,
    records: Mapping[Path, DeviceRecord] | None = None,
    deployed: DeployModel | None = None,
) -> Export:
    """Write an export folder and verify every file in it; a failed export keeps a folder that ends in `.rejected`.

    Args:
        model: the trained model, on the CPU.
        target: the folder.
        settings: formats and options.
        root: dataset with the test photos. Default: the training dataset.
        console: for progress. Default: standard error.
        records: measurements of the same export on devices, by their files, for the model card.
        deployed: the model as `check_convertible` returned it. Default: made now.

    Raises:
        RunError: if the disk is full.
        DatasetError: if there are no test photos to verify on.
        ConfigError: if two classes have the same label, or a measurement is of another export.
    """
    records = records or {}
    if model.calibration is None:
        console.print(f"note: {model.rule.note}", markup=False, soft_wrap=True)
    about = About.of_model(model, settings.author, settings.licence, settings.description)
    interface = interface_for(about.class_names, settings.interface, settings.labels)
    test_photos, dataset = split_photos(model, "test", root)
    photos = choose_photos(test_photos, settings.photos)
    reference = reference_answers(model, photos)
    pixels = pixel_gates(model, reference)
    deployed = _deployed(model) if deployed is None else deployed
    with staged_folder(target) as staging:
        work = VerifiedFiles(staging.folder, deployed, interface, about, reference, settings, console)
        work.write()
        refuse_strangers(records, {file.name: model_sha256(staging.folder / file.name) for file in work.files})
        console.print("resizing: comparing filters …", highlight=False)
        costs = filter_costs(model, reference.first(_FILTER_PHOTOS))
        sources = sources_of(dataset)
        origin = origin_of(model.checkpoint, model.data, [sources.get(photo.relative, "") for photo in photos])
        card = staging.folder / "MODEL_CARD.md"
        write_card(card, about, interface, work.files, model.data, origin, costs, list(records.values()))
        if any(is_core_ml(file.name) for file in work.files):
            write_kit(staging.folder / "parity_kit", reference, about.spec, interface, work.files)
        export = Export(target, work.files, len(photos), about, interface, work.refused, pixels)
        if export.passed:
            # An app trusts its contract: there is none for files that are not proven.
            write_contract(staging.folder, about, interface, work.files, len(photos))
        write_readme(staging.folder, about, interface, work.files, origin.lines())
        _write_parity(staging.folder, model, settings, export, photos)
        if not export.passed:
            staging.target = target.with_name(target.name + REJECTED)
            export.folder = staging.target
    if export.passed:
        # A rejected folder of an earlier attempt would be taken for the result of this one.
        shutil.rmtree(target.with_name(target.name + REJECTED), ignore_errors=True)
    return export


def _write_parity(
    folder: Path, model: TrainedModel, settings: ExportSettings, export: Export, photos: Sequence[Photo]
) -> None:
    facts = {
        "passed": export.passed,
        "checkpoint": model.checkpoint.name,
        "checkpoint_sha256": model.sha256,
        "photos": export.photos,
        "photo_files": photo_facts(photos, export.folder),
        "pixels": [asdict(gate) for gate in export.pixels],
        "settings": asdict(settings),
        "files": [{**asdict(file), "passed": file.passed} for file in export.files],
        "refused": [{**asdict(file), "passed": file.passed} for file in export.refused],
    }
    write_proof(folder, facts)
