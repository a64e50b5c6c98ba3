"""Commands of the program; `bball_pl.cli` makes each one's options of its signature and docstring.

Each is a recipe: check what does not go together, call, print the result and the next command. Heavy libraries are
imported inside, because the help of every command imports this module.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bball_pl import project
from bball_pl.cli import Command
from bball_pl.collect_commands import SOURCES
from bball_pl.errors import ConfigError, DatasetError, RunError
from bball_pl.export.options import ExportSettings
from bball_pl.files import has_control, write_problem
from bball_pl.model.court_weights import pretrain
from bball_pl.project import next_step

if TYPE_CHECKING:
    from bball_pl.evaluate.trained_model import AnsweringModel
    from bball_pl.photos.tree import PhotoTree
    from bball_pl.verify.exported_model import ExportedModel
    from bball_pl.verify.inspection import Gate

#: Exit status of `predict` if some photos or videos failed.
SOME_FAILED = 1
#: Exit status of an export that is not proven: 1 is a bug of the program, 2 an error of the user.
NOT_PROVEN = 3


def demo(
    *,
    train: int = 900,
    test: int = 300,
    seed: int = 7,
    out: Path = project.ROOT / "data" / "demo",
    workers: int | None = None,
    force: bool = False,
    contact_sheet: Path | None = None,
    court: Literal["demo", "teaching"] = "demo",
) -> None:
    """Render the demo court, a dataset of basketball scenes to try everything with before the first real photo.

    Args:
        train: number of training photos, shared evenly by the classes.
        test: number of test photos, from other games than the training photos.
        seed: random seed; the same seed gives the same bytes.
        out: folder of the dataset; it must not hold anything else.
        workers: number of processes (default: one per core); it changes no byte.
        force: replace another demo in that folder (nothing but a demo is ever replaced), and a file of --contact-sheet
            that is no JPEG file.
        contact_sheet: JPEG file for a sheet of sample photos.
        court: demo is an album of the three moves; teaching is for training before there are real photos, with
            framings, halls and light of all kinds and a class none.
    """
    from bball_pl.court.demo_dataset import write_contact_sheet, write_demo
    from bball_pl.files import refuse_other_kind
    from bball_pl.terminal import say, say_next

    if contact_sheet is not None:
        refuse_other_kind(contact_sheet, b"\xff\xd8\xff", "--contact-sheet", force)
    result = write_demo(out, train, test, seed, workers, force, court=court)
    if result.written:
        say(f"{result.photos} photos in {result.root}")
    else:
        say(f"{result.root} already holds this demo ({result.photos} photos): nothing to do")
    if contact_sheet is not None:
        say(f"contact sheet: {write_contact_sheet(result.root, contact_sheet)}")
    say_next(next_step("fit", "--config", "demo", "--data.root", result.root.absolute()))


def audit(
    root: Path,
    /,
    *,
    class_names: list[str] | None = None,
    labels: bool = True,
    fix: bool = False,
    kinds: list[str] | None = None,
    undo: bool = False,
    min_side: int | None = None,
    max_blur: float | None = None,
    min_light: float | None = None,
    imbalance: float = 3.0,
    seed: int = 0,
    out: Path | None = None,
    home: Path | None = None,
    cache_dir: Path = project.ROOT / "data" / ".cache",
) -> None:
    """Check photos before training: bad files, copies, leaks, doubtful labels, licences; move the bad ones away.

    Args:
        root: a dataset with its splits, an inbox, or any tree of photos.
        class_names: class folder names (default: detected).
        labels: check the labels, which takes longer than all the rest the first time.
        fix: move what --kinds names to quarantine, and print how to undo it.
        kinds: kinds of findings that --fix moves: unreadable leak_copy exact_duplicate (default), near_duplicate
            leak_group two_classes doubtful_label tiny blurred dark.
        undo: take back the newest fix of this tree, and do nothing else.
        min_side: shorter side in pixels below which a photo is reported as tiny (default: 128).
        max_blur: blur, 0-1, above which a photo is reported as blurred (default: 0.6).
        min_light: brightness of the bright parts, 0-255, below which a photo is reported as dark (default: 60).
        imbalance: report a class imbalance above this ratio of largest to smallest class.
        seed: random seed of the cross-validation folds.
        out: folder for report, table and record (default: data/audits/NAME, or audits/ beside the tree).
        home: folder of the journal labels.csv and of quarantine/ (default: data/, or the folder above the tree).
        cache_dir: folder of the cache of measurements.
    """
    from bball_pl.audit.audit import Audit
    from bball_pl.audit.checks import FIXED
    from bball_pl.audit.fix import apply_fix, check_kinds, fix_lines
    from bball_pl.audit.outputs import audit_table, write_outputs
    from bball_pl.files import require_folder
    from bball_pl.photos.audit_record import PAGE, TABLE
    from bball_pl.photos.measurements import Limits
    from bball_pl.photos.store import PhotoStore
    from bball_pl.photos.tree import PhotoTree
    from bball_pl.terminal import console, log, say, say_next

    if undo and fix:
        raise ConfigError("--fix and --undo are both given; pass one of them")
    chosen = kinds or list(FIXED)
    check_kinds(chosen)
    if undo:
        _undo(PhotoTree.at(root, home))
        return
    given: dict[str, Any] = {"side": min_side, "blur": max_blur, "light": min_light}
    limits = replace(Limits(), **{name: value for name, value in given.items() if value is not None})
    store = PhotoStore(cache_dir)
    try:
        tree = PhotoTree.scan(root, class_names, home)
        folder = require_folder(out if out is not None else project.audit_folder(root))
        audited = Audit.of(tree, store, labels, limits, imbalance, seed, log)
    finally:
        store.close()
    undo_command = next_step("audit", root, *(["--home", home] if home is not None else []), "--undo")
    try:
        moved = apply_fix(audited, chosen) if fix else []
    except DatasetError as error:
        raise DatasetError(
            f"{error}\nFiles that were moved before the error are restored by:\n  {undo_command}"
        ) from error
    if fix:
        say(*fix_lines(moved))
    if moved:
        say("undo:", f"  {undo_command}")
    commands = [("To audit again:", next_step("audit", root))]
    commands += [("To undo the moves:", undo_command)] if moved else []
    console.print(audit_table(audited))
    paths = write_outputs(folder, audited, commands)
    say(*audited.remarks, f"report: {paths[PAGE]}", f"table: {paths[TABLE]}")
    say_next(_after_audit(tree))


def _after_audit(tree: PhotoTree) -> str:
    """Return the command that follows an audit."""
    dataset = project.ROOT / "data" / "NAME"
    if tree.unsorted == len(tree.photos):
        labels = ["--labels", tree.root / tree.label_tables[0]] if tree.label_tables else []
        return next_step("split", tree.root, *labels, "--out", dataset) if labels else next_step("studio", tree.root)
    if tree.has_splits:
        return next_step("fit", "--data.root", tree.root)
    return next_step("split", tree.root, "--out", dataset)


def _undo(tree: PhotoTree) -> None:
    from bball_pl.audit.fix import undo_fix
    from bball_pl.terminal import say

    undone = undo_fix(tree)
    say(*undone.lines)
    if undone.refused:
        raise DatasetError(f"{len(undone.refused)} moves were not taken back:\n  " + "\n  ".join(undone.refused))


def split(
    root: Path,
    /,
    *,
    out: Path,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    how: Literal["link", "copy"] = "link",
    groups: Literal["table", "folder"] = "table",
    near_duplicates: bool = True,
    class_names: list[str] | None = None,
    labels: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Make a dataset of sorted photos: train, val and test, with no game and no picture in two of them.

    The same command again adds new photos; none changes its split.

    Args:
        root: an inbox, or class folders of photos.
        out: folder of the dataset; if it exists, new photos are added to it.
        val: share of the photos for validation, 0-1; 0 leaves the validation split to fit.
        test: share of the photos for testing, 0-1.
        seed: random seed of the split.
        how: hard links take no space and are the same file under two names; copies are independent.
        groups: source of the groups that stay in one split: the column group of photos.csv, or for photos without one
            the folder as well.
        near_duplicates: keep cropped, resized, mirrored and re-encoded copies in one split.
        class_names: class folder names (default: detected).
        labels: CSV table of the photos' classes, instead of folders: a column of files (image, filename, id …, with or
            without suffix) and one of classes (label, class, category …), or a column of 0 and 1 for each class.
        dry_run: print the plan; write nothing.
    """
    from bball_pl.files import require_folder
    from bball_pl.photos.store import PhotoStore
    from bball_pl.split.write import SplitSettings, make_split, split_lines, split_table
    from bball_pl.terminal import console, log, say, say_next

    require_folder(out)
    settings = SplitSettings(root, out, val, test, seed, how, groups, near_duplicates, class_names, labels, dry_run)
    store = PhotoStore(project.ROOT / "data" / ".cache")
    try:
        made = make_split(settings, store, log)
    finally:
        store.close()
    console.print(split_table(made))
    say(*split_lines(made, settings))
    if not dry_run:
        say_next(next_step("audit", out), next_step("fit", "--data.root", out))


def fit(words: list[str], /) -> None:
    """Fine-tune a classifier on a folder of photos, and test its best checkpoint."""
    from bball_pl.model.fit.fit_help import fit_help, fit_plan, fit_words

    if (help_text := fit_help(words)) is not None:
        print(help_text)
        return
    from bball_pl.model.fit.seeds import fit_seeds, take_seeds, tell_run
    from bball_pl.processes import as_parent
    from bball_pl.terminal import log

    number, words = take_seeds(words)
    if number is not None:
        fit_seeds(words, number)
        return
    typed, words = words, fit_words(words)
    as_parent()  # of the processes of other devices
    is_first = os.environ.get("RANK", os.environ.get("LOCAL_RANK", os.environ.get("SLURM_PROCID", "0"))) == "0"
    if is_first and (plan := fit_plan(words)) is not None:
        log.print(plan, soft_wrap=True, highlight=False, markup=False)
    cli: Any = None
    try:
        # Within, because the imports take seconds, in which a user may change their mind as well.
        from lightning.pytorch.utilities import rank_zero_only

        from bball_pl.evaluate.results import show_results, write_results
        from bball_pl.model.classifier import MoveClassifier
        from bball_pl.model.fit.checkpoints import FitInterrupted, model_checkpoint
        from bball_pl.model.fit.fit_cli import FitCLI

        # Training may hold tensors in cycles: the collector looks for them as often as by default again.
        gc.set_threshold(700)
        cli = FitCLI(words)
        data, trainer = cli.datamodule, cli.trainer
        # Before the trainer starts anything: whatever is wrong with the photos ends the run here.
        rank_zero_only(cli.check_photos)()
        try:
            trainer.fit(cli.model, data, ckpt_path=cli.config.ckpt_path, weights_only=True)
        except FitInterrupted as stop:
            if trainer.is_global_zero:
                print(cli.how_to_resume(stop), file=sys.stderr)
            sys.exit(128 + stop.signum)
        if trainer.fast_dev_run:
            return
        run = Path(trainer.log_dir or trainer.default_root_dir)
        # Without checkpoints the weights of the end are the best ones.
        best = MoveClassifier.from_checkpoint(project.best_checkpoint(run)) if model_checkpoint(trainer) else cli.model
        final = dict(trainer.callback_metrics)  # testing clears them
        metrics = None
        if data.photos["test"]:
            trainer.test(best, data, verbose=False)
            metrics = write_results(run, "test", data.photos["test"], best.outcomes["test"], best.class_names)
        cli.log_final(final, metrics)
        rank_zero_only(project.mark_finished)(run)
        rank_zero_only(tell_run)(run)
    except KeyboardInterrupt:
        if not is_first:
            raise  # the first process says it
        again = f"nothing was saved. Start again with:\n  {next_step('fit', *typed)}"
        print((cli.how_to_go_on() if cli is not None else None) or again, file=sys.stderr)
        raise
    rank_zero_only(show_results)(run, metrics)


def evaluate(
    run: Path | None = None,
    /,
    *,
    ckpt: Path | None = None,
    model: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    root: Path | None = None,
    tta: Literal["none", "flip", "scales"] = "none",
    batch_size: int | None = None,
    device: str = "auto",
    precision: Literal["32", "bf16", "auto"] = "32",
    target_accuracy: float = 0.95,
    recalibrate: bool = False,
    report: bool = True,
    grad_cam: bool = True,
    format: Literal["html", "md"] = "html",
    language: Literal["en", "zh-Hant"] = "en",
    compare: tuple[Path, Path] | None = None,
    out: Path | None = None,
) -> None:
    """Measure a checkpoint on photos that it was not trained on: metrics, calibration, a report with pictures.

    Args:
        run: folder of a run, whose best checkpoint is evaluated (default: the newest finished run), or a checkpoint
            file.
        ckpt: a checkpoint file instead of a run.
        model: an exported .onnx, .mlpackage, .mlmodel or .aimodel instead of a checkpoint. Its photos are those of the
            run that it was exported from; its results are written to evaluations/SPLIT-EXPORT-FILE/ in that run.
        split: split to evaluate on.
        root: folder of another dataset, or the new folder of the run's dataset.
        tta: test-time augmentation: none, flip (the mirror image as well) or scales (three sizes of both).
        batch_size: photos per forward pass (default: 4 on a CPU, 32 elsewhere).
        device: cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.
        precision: 32 gives the same figures everywhere; bf16 is faster on hardware that has it; auto uses it there.
        target_accuracy: accuracy, 0-1, that answers above the threshold of "unsure" should have.
        recalibrate: fit temperature and threshold again even if they are known.
        report: write the report.
        grad_cam: show in the report the regions that the answers rest on.
        format: format of the report.
        language: language of the report's first page, which is for a coach; the details behind it are in English.
        compare: compare two runs on the same photos instead: the baseline and the candidate run.
        out: folder for the results (default: the run's folder).
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"--batch-size is {batch_size}; expected 1 or more")
    if compare is not None:
        others: dict[str, object] = {"RUN": run, "--ckpt": ckpt, "--model": model, "--root": root}
        others["--tta"] = None if tta == "none" else tta
        if given := [name for name, value in others.items() if value is not None]:
            raise ConfigError(
                f"--compare takes two runs as they were evaluated; leave out {' and '.join(given)}, or evaluate each "
                "run with it into a folder (--out DIR) and compare the folders"
            )
        _compare(compare[0], compare[1], split, out, batch_size=batch_size, device=device, precision=precision)
        return
    from bball_pl.evaluate import evaluation as evaluations
    from bball_pl.evaluate.results import evaluation_summary, write_evaluation
    from bball_pl.evaluate.trained_model import TrainedModel
    from bball_pl.files import require_folder
    from bball_pl.processes import keep_freed_memory
    from bball_pl.terminal import console, say, say_next

    if out is not None:
        require_folder(out)
    keep_freed_memory()
    answering: AnsweringModel
    if model is not None:
        if recalibrate or tta != "none" or ckpt is not None:
            raise ConfigError("--model stands alone: --ckpt, --recalibrate and --tta are for checkpoints")
        exported = _opened(model, device)
        exported.find_run(run)
        answering = exported
    else:
        answering = TrainedModel.open(
            project.chosen_checkpoint(run, ckpt), tta=tta, batch_size=batch_size, device=device, precision=precision
        )
    _name_model(answering)
    # "The newest run" is another one tomorrow.
    named = run is not None or ckpt is not None or model is not None or answering.run is None
    command = _typed("evaluate", [] if named else ["--run", os.path.relpath(str(answering.run), project.ROOT)])
    evaluation = evaluations.evaluate(
        answering, split, root, target_accuracy=target_accuracy, recalibrate=recalibrate, command=command
    )
    folder = out if out is not None else evaluations.results_folder(answering, split, root)
    write_evaluation(folder, evaluation)
    console.print(evaluation_summary(evaluation))
    if report:
        from bball_pl.evaluate.report import gallery_rows, write_report

        rows = gallery_rows(evaluation.answers)
        heat_maps = evaluations.heat_maps(answering, evaluation, rows) if grad_cam else None
        say(f"report: {write_report(evaluation, folder / f'report.{format}', heat_maps, format, language)}")
    else:
        say(f"results: {folder}")
    if folder == evaluation.run:
        say_next(next_step("export", "--run", folder))


def _opened(path: Path, device: str, threshold: float | None = None) -> ExportedModel:
    """Open an exported file for a command with the option --device.

    Raises:
        ConfigError: if another device than the CPU is asked for.
    """
    from bball_pl.verify.exported_model import ExportedModel

    if device not in {"auto", "cpu"}:
        raise ConfigError(f"--device is {device}; an exported file runs on the CPU here")
    return ExportedModel.open(path, threshold=threshold)


def _compare(
    baseline: Path, candidate: Path, split: Literal["train", "val", "test"], out: Path | None, **options: Any
) -> None:
    """Compare two runs, or two folders with predictions; a run that was not evaluated is evaluated first.

    Args:
        baseline: run to compare with.
        candidate: run that should be better.
        split: split whose photos both have answered.
        out: folder for the results (default: in the candidate's).
        options: batch size, device and precision of an evaluation.
    """
    from bball_pl.evaluate.compare import compare_answers, comparison_table, write_comparison
    from bball_pl.evaluate.predictions import read_answers
    from bball_pl.evaluate.results import is_evaluated
    from bball_pl.files import require_folder
    from bball_pl.terminal import console, say

    if out is not None:
        require_folder(out)
    for run in (baseline, candidate):
        if (run / project.CHECKPOINTS / project.BEST).is_file() and not is_evaluated(run, split):
            evaluate(run, split=split, report=False, **options)
    a, b = (read_answers(run / project.predictions_file(split)) for run in (baseline, candidate))
    name_a, name_b = (str(Path(run.absolute().parent.name, run.absolute().name)) for run in (baseline, candidate))
    comparison = compare_answers(a, b, name_a, name_b)
    folder = out if out is not None else candidate / "comparisons" / name_a.replace("/", "-")
    write_comparison(folder, comparison)
    console.print(comparison_table(comparison))
    say(f"results: {folder}")


def _name_model(model: AnsweringModel) -> None:
    """Print which checkpoint or file answers: the newest run is not always the one that a user has in mind."""
    from bball_pl.terminal import log

    log.print(f"model: {model.checkpoint}", soft_wrap=True, highlight=False, markup=False)


def _typed(command: str, more: list[str]) -> str:
    """Return the command line of this process for a report, with further words, as it works in the project's folder."""
    words = sys.argv[1:]
    if Path(sys.argv[0]).name == f"{command}.py":
        return shlex.join(["python", f"scripts/{command}.py", *more, *words])
    return shlex.join(["bball", command, *more, *words[1:]])


def predict(
    sources: list[str],
    /,
    *,
    run: Path | None = None,
    ckpt: Path | None = None,
    model: Path | None = None,
    format: Literal["table", "csv", "jsonl"] | None = None,
    out: Path | None = None,
    force: bool = False,
    annotate: Path | None = None,
    threshold: float | None = None,
    fps: float = 4.0,
    smooth: float = 0.75,
    batch_size: int | None = None,
    device: str = "auto",
    precision: Literal["32", "bf16", "auto"] = "32",
) -> None:
    """Classify photos and videos with a trained checkpoint, or with a file that was exported from one.

    Exit status: 0 if all were classified, 1 if some failed (they are listed at the end), 2 if nothing could be done.

    CSV has the columns path, answer, predicted, confidence, prob_<class> for every class, frame, seconds, smoothed;
    JSON lines have the same keys, with the probabilities as an object. The answer is "unsure" if the confidence is
    below the threshold; predicted is the most probable class all the same. The last three columns are for videos, one
    row per classified frame, and empty for photos: the frame's number, its time, and the answer after smoothing.

    Args:
        sources: photos, videos, folders, patterns in quotes, or - for a list on standard input.
        run: folder of a run, whose best checkpoint is used (default: the newest finished run; before the first run the
            model that comes with the program, which was trained on rendered scenes only).
        ckpt: a checkpoint file instead of a run.
        model: an exported .onnx, .mlpackage, .mlmodel or .aimodel instead of a checkpoint; labels, threshold and
            preprocessing are those that it states.
        format: output format (default: by the suffix of --out; else a table on a terminal and CSV elsewhere).
        out: file for the answers, or a folder for predictions.csv; written when all are there.
        force: replace the file of --out even if it holds anything but answers.
        annotate: folder for annotated copies of the photos (JPEG) and videos (MP4, without sound).
        threshold: confidence, 0-1, below which the answer is "unsure" (default: from the calibration).
        fps: frames of a video to classify per second.
        smooth: seconds before and after a frame over which a video's answers are averaged; 0 for none.
        batch_size: photos per forward pass (default: 4 on a CPU, 32 elsewhere).
        device: cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.
        precision: 32 gives the same figures everywhere; bf16 is faster on hardware that has it; auto uses it there.
    """
    from bball_pl.predict.sources import find_sources

    if run is not None and ckpt is not None:
        raise ConfigError("--run and --ckpt are both given; pass one of them")
    if model is not None and (run is not None or ckpt is not None):
        raise ConfigError("--model and a checkpoint are both given; pass one of them")
    if not 0 < fps < float("inf") or not 0 <= smooth < float("inf"):
        raise ConfigError(f"--fps is {fps} and --smooth is {smooth}; expected numbers above 0, and 0 or above")
    found = find_sources(sources, None if sys.stdin is None else sys.stdin.buffer, leave_out=annotate)
    if not found.sources:
        raise ConfigError("\n".join(["there is nothing to classify:", *list(found.failure_lines())[1:]]))
    # Not above: torch takes seconds, and a misspelt name should be reported at once.
    from bball_pl.evaluate.trained_model import TrainedModel
    from bball_pl.predict.predict import predict_all
    from bball_pl.processes import keep_freed_memory

    keep_freed_memory()
    answering: AnsweringModel
    if model is not None:
        answering = _opened(model, device, threshold)
    else:
        answering = TrainedModel.open(
            ckpt or run, threshold=threshold, batch_size=batch_size, device=device, precision=precision
        )
    _name_model(answering)
    summary = predict_all(answering, found, format, out, annotate, fps, smooth, force)
    for line in (summary, *found.failure_lines()):
        print(line, file=sys.stderr)
    if found.failures:
        sys.exit(SOME_FAILED)


def export(
    run: Path | None = None,
    /,
    *,
    ckpt: Path | None = None,
    name: str | None = None,
    out: Path = project.ROOT / "exports",
    settings: ExportSettings,
    root: Path | None = None,
    ios: bool = False,
    device: list[Path] | None = None,
    inspect: Path | None = None,
) -> None:
    """Write a checkpoint as ONNX and Core ML files, and prove here that each answers as the trained model does.

    Exit status: 0 if every file is proven, 3 if one is not: then the folder is called NAME.rejected.

    Args:
        run: folder of a run, whose best checkpoint is exported, or a checkpoint file (default: the newest finished
            run; before the first one the model that comes with the program, which was trained on rendered scenes only).
        ckpt: a checkpoint file instead of a run.
        name: name of the export's folder (default: the run's experiment).
        out: folder that the export's folder is made in.
        settings: options of the files.
        root: folder of the dataset with the test photos (default: the run's).
        ios: put the proven ML Program and its contract into the app of ios/ as well.
        device: device.json files that the parity kit or the app wrote for this very export, for the model card.
        inspect: describe a .onnx, .mlpackage or .mlmodel file instead.
    """
    from bball_pl.files import require_folder
    from bball_pl.terminal import console, say

    if inspect is not None:
        from bball_pl.verify.describe import describe

        console.print(describe(inspect))
        return
    if ios and "mlpackage" not in settings.formats:
        raise ConfigError("--ios puts the ML Program into the app; add mlpackage to --formats")
    if name is not None and (Path(name).name != name or name.startswith(".") or not name.strip() or has_control(name)):
        raise ConfigError(
            f"--name is {name!r}; expected the name of a folder that is not hidden. Use --out DIR for its place."
        )
    require_folder(out)
    from bball_pl.export.handover.device import read_device

    records = {path: read_device(path) for path in device or ()}
    chosen = None if run is None and ckpt is None else project.chosen_checkpoint(run, ckpt)
    from bball_pl.court.demo_dataset import write_demo
    from bball_pl.evaluate.trained_model import TrainedModel
    from bball_pl.export.export import check_convertible, export_model, export_summary
    from bball_pl.model.court_weights import CAUTION, is_court_checkpoint
    from bball_pl.processes import keep_freed_memory

    keep_freed_memory()
    model = TrainedModel.open(chosen, device="cpu")
    _name_model(model)
    folder = name or (model.run.parent.name if model.run is not None else model.checkpoint.stem)
    # Hidden files count for nothing in a proof.
    folder = folder.lstrip(".") or "export"
    deployed = check_convertible(model, settings)
    if is_court_checkpoint(model.checkpoint):
        say(f"{model.checkpoint.name}: {CAUTION}")
        folder = name or "court"
        # Scenes of a seed that it was not trained on: the proof needs photos, and there may be none yet.
        scenes = project.ROOT / "data" / "court_proof"
        try:
            root = root or write_demo(scenes, 4, 64, 2018, force="unless_complete", court="teaching").root
        except OSError as error:
            raise RunError(
                f"scenes for the proof cannot be written: {write_problem(error, scenes)}; make room, or pass --root "
                "DIR with test photos"
            ) from error
    result = export_model(model, out.absolute() / folder, settings, root, records=records, deployed=deployed)
    console.print(export_summary(result))
    say(f"export: {result.folder}")
    if not result.passed:
        print("error: the export is not proven: see the lines above", file=sys.stderr)
        sys.exit(NOT_PROVEN)
    if ios:
        from bball_pl.export.ios import install_in_app

        say(f"app: {install_in_app(result.folder)}")


def verify(
    file: Path,
    /,
    *,
    ckpt: Path | None = None,
    photos: Path | None = None,
    verbose: bool = False,
) -> None:
    """Check that an export, or one of its files, is what was proven, or answers as a checkpoint does.

    Without --ckpt the bytes are compared with parity.json, and a file that has none is described. With --ckpt every
    condition of the proof is checked again on the files as they are; a file that another program wrote is compared
    with the checkpoint's answers. Exit status: 0 if all holds, 3 if something does not, 2 if nothing can be said.

    Args:
        file: folder of an export with its parity.json, or one .onnx, .mlpackage, .mlmodel or .aimodel, also of another
            program.
        ckpt: checkpoint or run that the file should answer as; court is the model that comes with the program.
        photos: folder with the photos of the proof, or other photos in class folders (default: the photos of the proof
            where they were).
        verbose: list every condition, not only those that do not hold.
    """
    from bball_pl.terminal import say
    from bball_pl.verify.proof import PROOF, verify_file, verify_folder

    if photos is not None and ckpt is None:
        raise ConfigError("--photos are for a comparison; pass --ckpt FILE as well")
    if not file.exists():
        raise ConfigError(f"there is no {file}; pass the folder of an export, or a model file")
    single = file.suffix in {".onnx", ".mlpackage", ".mlmodel", ".aimodel"}
    gates: list[Gate] = []
    if not single:
        gates = verify_folder(file)
    elif (file.parent / PROOF).is_file():
        gates = verify_file(file)
    bound = len(gates)
    if ckpt is not None:
        gates += _verified_again(file, ckpt, photos)
    elif not gates:
        _describe_foreign(file)
        return
    failed = [gate for gate in gates if not gate.passed]
    for gate in gates if verbose else failed:
        say(
            f"{gate.name}: {gate.found}"
            if gate.passed
            else f"{gate.name}: found {gate.found}, expected {gate.expected}"
        )
    if failed:
        what = "this is not the export that was proven" if ckpt is None else "this is not proven"
        print(f"error: {what}: see the lines above", file=sys.stderr)
        sys.exit(NOT_PROVEN)
    if bound:
        say(f"all {bound - 2} files are those that were proven")
    if ckpt is not None:
        say(f"all {len(gates)} conditions hold")


def _verified_again(path: Path, ckpt: Path, photos: Path | None) -> list[Gate]:
    """Return the gates of an export or a file with a checkpoint, after the table of its files."""
    from bball_pl.evaluate.trained_model import TrainedModel
    from bball_pl.export.export import export_summary, parity_table
    from bball_pl.export.reverification import is_exported, verify_again, verify_foreign
    from bball_pl.model.court_weights import court_checkpoint
    from bball_pl.terminal import console, say
    from bball_pl.verify.exported_model import SUFFIXES

    model = TrainedModel.open(court_checkpoint() if str(ckpt) == "court" else ckpt, device="cpu")
    if path.suffix not in SUFFIXES or is_exported(path):
        export, note = verify_again(model, path, photos)
        console.print(export_summary(export, gates=False))
        say(note)
        return export.pixels + [
            replace(gate, name=f"{file.name}: {gate.name}") for file in export.files for gate in file.gates
        ]
    parity = verify_foreign(model, path, photos)
    console.print(parity_table([parity], "compared with the checkpoint"))
    return [replace(gate, name=f"{parity.name}: {gate.name}") for gate in parity.gates]


def _describe_foreign(path: Path) -> None:
    """Describe a file that has no proof: its interface, its steps, and whether they can be run here."""
    from bball_pl.terminal import console, say
    from bball_pl.verify.describe import describe
    from bball_pl.verify.foreign import runs_here

    console.print(describe(path))
    if path.suffix != ".aimodel":
        say(f"can be run here: {runs_here(path)}")
    say("no parity.json beside it: nothing says which bytes were proven. Compare its answers with --ckpt FILE")


def studio(
    inbox: Path | None = None,
    /,
    *,
    run: Path | None = None,
    ckpt: Path | None = None,
    logs: Path = project.ROOT / project.LOGS,
    data: Path = project.ROOT / "data",
    exports: Path = project.ROOT / "exports",
    host: str = "127.0.0.1",
    port: int = 8765,
    class_names: list[str] | None = None,
    language: Literal["auto", "en", "zh-Hant"] = "auto",
    suggest: bool = True,
    open: bool = False,
) -> None:
    """Sort photos, try the model and correct its errors in a browser; the address of the page is printed.

    Every change is a line in labels.csv before a file moves, and can be undone, also after a restart. Only this machine
    can open the page. With another --host it is open to whoever has the token, which is printed with the address unless
    the variable BBALL_STUDIO_TOKEN holds one.

    Args:
        inbox: folder of the photos to sort, <source>/unsorted/<album>/ or any other (default: data/inbox).
        run: folder of a run, whose best checkpoint suggests and answers (default: the newest finished run; before there
            is one, the model in the package, which has seen no real photo).
        ckpt: a checkpoint file instead of a run.
        logs: folder of the runs.
        data: folder of the datasets.
        exports: folder of the exports, whose files can answer in Try.
        host: address to listen on; 0.0.0.0 admits other machines of the network, with a token.
        port: port to listen on; the next free one if it is taken, any free one for 0.
        class_names: classes of the keys 1, 2, 3 … (default: shoot dribble layup).
        language: language of the page; auto takes the browser's.
        suggest: run the model over the inbox in the background, for suggestions and similar photos.
        open: open the page in the browser.
    """
    from bball_pl.model.court_weights import court_checkpoint
    from bball_pl.moves import MOVES, is_moves
    from bball_pl.studio.guard import new_token
    from bball_pl.studio.server import serve
    from bball_pl.studio.state import TOKEN_VARIABLE, Settings, is_loopback
    from bball_pl.terminal import log

    if not 0 <= port <= 65535:
        raise ConfigError(f"--port is {port}; expected 0 to 65535")
    try:
        checkpoint: Path | None = project.chosen_checkpoint(run, ckpt, logs)
    except RunError:
        if run is not None or ckpt is not None:
            raise
        # Sorting comes before the first run; the model in the package knows the three moves from rendered scenes.
        checkpoint = court_checkpoint() if is_moves(class_names or [move.name for move in MOVES]) else None
    if suggest:
        log.print(
            f"model: {checkpoint or 'none for these classes before the first run'}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    given = os.environ.get(TOKEN_VARIABLE, "")
    settings = Settings(
        inbox=(inbox or data / "inbox").absolute(),
        logs=logs.absolute(),
        data=data.absolute(),
        exports=exports.absolute(),
        checkpoint=checkpoint,
        host=host,
        port=port,
        token=given or ("" if is_loopback(host) else new_token()),
        language="" if language == "auto" else language,
        suggest=suggest,
        class_names=tuple(class_names or (move.name for move in MOVES)),
    )
    if inbox is not None and not inbox.is_dir():
        raise ConfigError(f"there is no folder {inbox}; pass a folder of photos")
    serve(settings, open, show_token=not given)


#: The commands by name, in the order in which photos pass through them.
COMMANDS: dict[str, Command] = {
    "demo": demo,
    "collect": SOURCES,
    "audit": audit,
    "split": split,
    "fit": fit,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "verify": verify,
    "studio": studio,
    "pretrain": pretrain,
}
