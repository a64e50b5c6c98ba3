"""Say how good a checkpoint is and where it is wrong: figures, calibration, a report with pictures.

python scripts/evaluate.py                                     # newest run, best checkpoint, test photos
python scripts/evaluate.py --run lightning_logs/demo/version_0 --split val
python scripts/evaluate.py --compare RUN_A RUN_B               # the same photos, answered by two runs

Every option: python scripts/evaluate.py --help
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from rich.console import Console

from bball_pl import project
from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.evaluate.calibration import TARGET_ACCURACY
from bball_pl.evaluate.results import evaluation_summary
from bball_pl.evaluate.trained_model import Precision, Tta

Split = Literal["train", "val", "test"]


def evaluate(
    run: Path | None = None,
    ckpt: Path | None = None,
    split: Split = "test",
    root: Path | None = None,
    tta: Tta = "none",
    batch_size: int = 32,
    device: str = "auto",
    precision: Precision = "32",
    target_accuracy: float = TARGET_ACCURACY,
    recalibrate: bool = False,
    report: bool = True,
    grad_cam: bool = True,
    format: Literal["html", "md"] = "html",
    out: Path | None = None,
) -> Path:
    """Say how good a checkpoint is and where it is wrong: figures, calibration, a report with pictures.

    Args:
        run: folder of a run, whose best checkpoint is evaluated; the newest run unless given.
        ckpt: a checkpoint instead of a run.
        split: which photos: train, val or test.
        root: another dataset, or the place where the run's own is now.
        tta: test-time augmentation: none, flip (the mirror image as well) or scales (three sizes of both).
        batch_size: photos in one pass of the network.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
        precision: 32 gives the same figures everywhere; bf16 is faster where the hardware has it; auto takes it there.
        target_accuracy: accuracy that the answers above the threshold of "unsure" should have, 0-1.
        recalibrate: fit temperature and threshold again, even if they are known.
        report: write the report.
        grad_cam: show in the report what the network looked at.
        format: of the report.
        out: folder for the results; the run's own unless given.
    """
    from bball_pl.evaluate import evaluation as evaluations
    from bball_pl.evaluate.results import write_evaluation
    from bball_pl.evaluate.trained_model import TrainedModel

    if run is not None and ckpt is not None:
        raise ConfigError("--run and --ckpt were both given; a checkpoint is enough")
    model = TrainedModel.open(
        ckpt or run or project.newest_run(), tta=tta, batch_size=batch_size, device=device, precision=precision
    )
    command = _command(named=run is not None or ckpt is not None, run=model.run)
    evaluation = evaluations.evaluate(
        model, split, root, target_accuracy=target_accuracy, recalibrate=recalibrate, command=command
    )
    folder = out if out is not None else evaluations.results_folder(model, split, root)
    write_evaluation(folder, evaluation)
    console = Console()
    console.print(evaluation_summary(evaluation))
    if report:
        from bball_pl.evaluate.report import gallery_rows, write_report

        rows = gallery_rows(evaluation.answers)
        heat_maps = evaluations.heat_maps(model, evaluation, rows) if grad_cam else None
        path = write_report(evaluation, folder / f"report.{format}", heat_maps, format)
        console.print(f"report: {path}", soft_wrap=True, highlight=False, markup=False)
    else:
        console.print(f"results: {folder}", soft_wrap=True, highlight=False, markup=False)
    if folder == evaluation.run:
        export = shlex.join([sys.executable, str(project.ROOT / "scripts" / "export.py"), "--run", str(folder)])
        console.print(f"next:\n  {export}", soft_wrap=True, highlight=False, markup=False)
    return folder


def compare(run_a: Path, run_b: Path, split: Split, out: Path | None) -> Path:
    """Compare two runs on the same photos; a run without calibrated answers is evaluated first.

    Args:
        run_a: a run's folder, or any folder with predictions and figures of an evaluation.
        run_b: the one that is hoped to be better.
        split: whose photos.
        out: folder for the results; a folder in the second run unless given.
    """
    from bball_pl.evaluate.compare import compare_answers, comparison_table, write_comparison
    from bball_pl.evaluate.predictions import read_answers
    from bball_pl.evaluate.results import is_evaluated

    for run in (run_a, run_b):
        if (run / project.CHECKPOINTS / project.BEST).is_file() and not is_evaluated(run, split):
            evaluate(run=run, split=split, report=False)
    a, b = (read_answers(run / project.predictions_file(split)) for run in (run_a, run_b))
    name_a, name_b = (str(Path(run.absolute().parent.name, run.absolute().name)) for run in (run_a, run_b))
    comparison = compare_answers(a, b, name_a, name_b)
    folder = out if out is not None else run_b / "comparisons" / name_a.replace("/", "-")
    write_comparison(folder, comparison)
    console = Console()
    console.print(comparison_table(comparison))
    console.print(f"results: {folder}", soft_wrap=True, highlight=False, markup=False)
    return folder


def _command(named: bool, run: Path | None) -> str:
    # "The newest run" is another one tomorrow.
    which = [] if named or run is None else ["--run", os.path.relpath(run, project.ROOT)]
    return shlex.join(["python", "scripts/evaluate.py", *which, *sys.argv[1:]])


def main() -> None:
    """Parse and call."""
    parser = ArgumentParser(description="Say how good a checkpoint is and where it is wrong.")
    parser.add_function_arguments(evaluate, as_group=False)
    parser.add_argument(
        "--compare", nargs=2, metavar=("RUN_A", "RUN_B"), help="compare two runs on the same photos instead"
    )
    given = parser.parse_args()
    pair = given.pop("compare")
    if pair is None:
        evaluate(**parser.instantiate(given).as_dict())
    else:
        compare(Path(pair[0]), Path(pair[1]), given.split, given.out)


if __name__ == "__main__":
    with exit_on_error():
        main()
