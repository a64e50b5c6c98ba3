"""Gates of an export, made again on the files as they lie there, with the checkpoint that they come from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from rich.console import Console
from scipy.special import softmax

from bball_pl import __version__
from bball_pl.errors import BballError, ConfigError, DatasetError, VerificationError
from bball_pl.evaluate.evaluation import split_photos
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.formats import STEM, Export, VerifiedFiles
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.export.options import Compression, ExportSettings, InterfaceName, Labels, Target
from bball_pl.photos.tree import Photo, PhotoTree
from bball_pl.terminal import log, progress
from bball_pl.verify.exported_model import SUFFIXES
from bball_pl.verify.foreign import compare_foreign
from bball_pl.verify.independent_pixels import pixel_gates
from bball_pl.verify.inspection import TARGET_VERSIONS, Gate
from bball_pl.verify.model_file import (
    coreai_metadata,
    coreml_texts,
    labels_of,
    onnx_labels,
    onnx_texts,
    program_weights,
    read_onnx,
    read_spec,
)
from bball_pl.verify.parity import FileParity, choose_photos, reference_answers
from bball_pl.verify.proof import PROOF, bound_photos, read_proof

#: Text field of a file with the figures of the run's test at the export.
_TEST_ACCURACY = "bball_pl.test_accuracy"


def is_exported(path: Path) -> bool:
    """Return whether a file says that this project wrote it, or lies in the folder of an export that lists it.

    Raises:
        VerificationError: if it, or the `parity.json` beside it, cannot be read.
    """
    if (path.parent / PROOF).is_file():
        bound = read_proof(path.parent)["sha256"]
        if any(name == path.name or name.startswith(f"{path.name}/") for name in bound):
            return True
    return "bball_pl.preprocess" in _texts(path)[0]


def _texts(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return a file's text fields and its labels."""
    if path.suffix == ".onnx":
        message = read_onnx(path)
        return onnx_texts(message), onnx_labels(message)
    if path.suffix == ".aimodel":
        fields = coreai_metadata(path)
        return fields, fields.get("labels", "").split("\n")
    spec = read_spec(path)
    return coreml_texts(spec), labels_of(spec)


def verify_again(
    model: TrainedModel, path: Path, photos: Path | None = None, console: Console = log
) -> tuple[Export, str]:
    """Make every gate of an export again, on its files as they are, without converting what is checked.

    A 16-bit program is compared with a 32-bit one of the same network, which is converted from the checkpoint for that.

    Args:
        model: the checkpoint, on the CPU; its network is taken over.
        path: folder of an export, or one of its files.
        photos: folder with the photos of the proof, or with other labelled ones. Default: where they were.
        console: for progress. Default: standard error.

    Returns:
        (export, note): the comparisons, and a sentence on the photos.

    Raises:
        VerificationError: if there is no model file, or `parity.json` is damaged.
        ConfigError: if there are no photos.
    """
    folder = path.parent if path.suffix in SUFFIXES else path
    facts = read_proof(folder) if (folder / PROOF).is_file() else {}
    files = [path] if path.suffix in SUFFIXES else sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise VerificationError(f"{path} has no model file; expected one that ends in {', '.join(SUFFIXES)}")
    settings = _settings(facts, files[0], model.class_names)
    chosen, note = _photos(model, facts, folder, photos, settings.photos)
    about = About.of_model(model, settings.author, settings.licence, settings.description)
    written = {"bball_pl.version": str(facts.get("tools", {}).get("bball_pl", __version__))}
    texts = _texts(files[0])[0]
    since: list[Gate] = []
    if texts.get("bball_pl.checkpoint_sha256") == model.sha256:
        about, since = _as_exported(about, texts)
        model.rule = replace(model.rule, temperature=about.temperature, threshold=about.threshold or 0.0)
        # The date is that of the checkpoint's file, which a copy does not keep.
        written |= {name: texts[name] for name in ("bball_pl.trained", _TEST_ACCURACY) if name in texts}
        if about.user_defined()[_TEST_ACCURACY] != (stated := texts.get(_TEST_ACCURACY, "")):
            note += f"; the files state a test accuracy of {stated}, and the run has now {about.test_accuracy}"
    interface = interface_for(about.class_names, settings.interface, settings.labels)
    reference = reference_answers(model, chosen)
    pixels = pixel_gates(model, reference)
    deployed = DeployModel(model.classifier, about.temperature).eval()
    with tempfile.TemporaryDirectory(prefix="bball-verify-") as scratch:
        work = VerifiedFiles(Path(scratch), deployed, interface, about, reference, settings, console, written=written)
        if settings.route == "onnx":
            write_onnx(deployed, Path(scratch) / f"{STEM}.onnx", interface, about)
        for file in files:
            console.print(f"{file.name}: reading back, comparing …", highlight=False, markup=False)
            try:
                _check(work, file)
            except VerificationError as error:
                work.files.append(_unusable(file, error))
    return Export(folder, work.files, len(chosen), about, interface, [], [*pixels, *since]), note


def _as_exported(about: About, texts: dict[str, str]) -> tuple[About, list[Gate]]:
    """Return the facts of a checkpoint with the decision rule that it had at the export, and a gate on the rule.

    A later evaluation may have fitted another one: then every file differs in one thing, which is said once.
    """
    try:
        temperature = float(texts["bball_pl.temperature"])
        threshold = float(texts["bball_pl.threshold"]) if texts["bball_pl.threshold"] else None
    except (KeyError, ValueError):
        return about, []
    if not temperature > 0:
        return about, []
    exported = replace(about, temperature=temperature, threshold=threshold)
    same = (exported.temperature, exported.threshold) == (about.temperature, about.threshold)
    now = f"{_rule_text(about)}, as the checkpoint's calibration says"
    found = _rule_text(exported) + ("" if same else " (the run was evaluated again since: export it again)")
    return exported, [Gate("decision rule", found, now, same)]


def _rule_text(about: About) -> str:
    threshold = "no threshold" if about.threshold is None else f"threshold {about.threshold:.4g}"
    return f"temperature {about.temperature:.4g}, {threshold}"


def _check(work: VerifiedFiles, file: Path) -> None:
    compression = file.stem.removeprefix(f"{STEM}-")
    if compression not in get_args(Compression):
        work.check(file)
        return
    program = file.with_name(f"{STEM}.mlpackage")
    if not program.is_dir():
        program = work.write_program()
    work.files.append(work.check_compressed(file, program, cast("Compression", compression)))


def _unusable(file: Path, error: BballError) -> FileParity:
    gate = Gate("can be run", str(error), "runs", False)
    return FileParity(file.name, 0.0, "none", float("nan"), 0.0, 0.0, 0.0, 0.0, [gate])


def _settings(facts: dict[str, Any], file: Path, class_names: Sequence[str]) -> ExportSettings:
    """Return the options of an export: those in its proof, or else those that one of its files shows."""
    if facts:
        try:
            return ExportSettings(**facts["settings"])
        except (KeyError, TypeError) as error:
            raise VerificationError(f"{PROOF} was written by another version ({error}). Export it again.") from error
    texts, labels = _texts(file)
    main: dict[str, Any] = {name: texts[name] for name in ("author", "licence", "description") if texts.get(name)}
    for name in get_args(InterfaceName):
        for form in get_args(Labels):
            try:
                if interface_for(class_names, name, form).labels == labels:
                    main |= {"interface": name, "labels": form}
            except ConfigError:
                continue  # seed_2018 is for three classes only
    if file.suffix == ".mlpackage":
        spec = read_spec(file)
        targets = {version: target for target, version in TARGET_VERSIONS.items()}
        stored = [program_weights(part.block_specializations[part.opset]) for part in spec.mlProgram.functions.values()]
        exact = all(set(weights) <= {"float32"} for weights in stored)
        main |= {
            "target": cast("Target", targets.get(spec.specificationVersion, "iOS16")),
            "compute": "fp32" if exact else "fp16",
        }
    return ExportSettings(**main)


def _photos(
    model: TrainedModel, facts: dict[str, Any], folder: Path, given: Path | None, number: int
) -> tuple[list[Photo], str]:
    """Return the photos for the proof: its own if they are still there unchanged, or labelled ones."""
    if given is not None and not given.is_dir():
        raise ConfigError(f"there is no folder {given}; pass a folder of photos")
    listed = facts.get("photo_files") or {}
    stored, bound = str(listed.get("root", "")), len(listed.get("files", []))
    usual = [folder / stored] if stored else []
    if "root" in model.data:
        usual.append(Path(model.data["root"]))
    found = bound_photos(facts, usual if given is None else [given])
    if found:
        return found, f"{len(found)} of the proof's {bound} photos, unchanged"
    if given is not None:
        return choose_photos(labelled(given, model.class_names), number), f"photos of {given}, not those of the proof"
    if bound:
        raise ConfigError(f"the photos of the proof are no longer at {folder / stored}; pass --photos DIR")
    try:
        return choose_photos(split_photos(model, "test")[0], number), "test photos of the checkpoint"
    except DatasetError as error:
        raise ConfigError(f"{error} Or pass --photos DIR with labelled photos.") from error


def labelled(root: Path, class_names: Sequence[str]) -> list[Photo]:
    """Return the photos of a folder that have a class of the model: those of its test split, if it has splits.

    Raises:
        ConfigError: if there is none.
    """
    tree = PhotoTree.scan(root, list(class_names))
    photos = [photo for photo in tree.photos if photo.class_name in class_names]
    tested = [photo for photo in photos if photo.split == "test"]
    if not photos:
        raise ConfigError(
            f"{root} has no photo in a folder {', '.join(class_names)}; pass --photos with labelled photos"
        )
    return [replace(photo, target=-1) for photo in tested or photos]


def verify_foreign(model: TrainedModel, path: Path, photos: Path | None = None) -> FileParity:
    """Compare a classifier that this project did not write with a checkpoint.

    Args:
        model: the checkpoint, on the CPU.
        path: ends in .onnx, .mlpackage or .mlmodel.
        photos: folder of labelled photos. Default: the test photos of the checkpoint.

    Raises:
        VerificationError: if the file cannot be run, or its input or labels do not match the checkpoint's.
        ConfigError: if there are no photos.
    """
    chosen, _ = _photos(model, {}, path.parent, photos, ExportSettings().photos)
    reference = reference_answers(model, chosen)
    # What the calibration did is undone: a file from elsewhere may know nothing of it.
    logs = np.log(np.maximum(reference.probabilities, np.finfo(np.float32).tiny))
    uncalibrated = softmax(model.rule.temperature * logs, axis=1)
    bar = progress(log)
    with bar:
        task = bar.add_task(path.name, total=len(chosen))
        return compare_foreign(path, model.spec, reference, uncalibrated, lambda: bar.advance(task))
