"""The project of a command: its folder, its runs and their files, and the next command to type.

A project is the folder that holds `data/`, `lightning_logs/` and `exports/`. It is, in this order:

1. the folder of `--project DIR` or of the variable BBALL_PROJECT;
2. for `python scripts/COMMAND.py` the clone that the script lies in;
3. the nearest folder, from the working folder upwards, that has both `data/` and `lightning_logs/`;
4. the working folder.

Never the folder of the package: it may be read-only, and is replaced as a whole by the next installation.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from bball_pl.errors import RunError

#: The folder of all runs below a root.
LOGS = "lightning_logs"
CONFIG = "config.yaml"
SPLIT = "split.csv"
METRICS = "metrics.json"
CHECKPOINTS = "checkpoints"
BEST = "best.ckpt"
LAST = "last.ckpt"
PROBE = "probe.ckpt"
#: In the folder of a run that was not trained to its end, or was not tested.
UNFINISHED = "unfinished"
_AUDITS = "audits"

#: The package with its data files, and the folder above it, which is the repository's root in a clone.
PACKAGE = Path(__file__).resolve().parent
CLONE = PACKAGE.parent
#: Configurations of `fit` that come with the program.
CONFIGS = PACKAGE / "configs"


def _find_root() -> Path:
    given = os.environ.get("BBALL_PROJECT")
    if given:
        return Path(given).expanduser().absolute()
    working = Path.cwd()
    above = (working, *working.parents)
    return next((folder for folder in above if (folder / "data").is_dir() and (folder / LOGS).is_dir()), working)


#: The project's folder; default paths hang from it.
ROOT = _find_root()


def audit_folder(root: str | os.PathLike[str]) -> Path:
    """Return the folder of a tree's audit: never in the tree, because a dataset holds photos and nothing else.

    `data/audits/demo` for `data/demo` and `data/audits/inbox/local` for `data/inbox/local`; elsewhere `audits/` beside
    the tree, or beside the `inbox` that it lies in.
    """
    tree = Path(os.path.abspath(root))  # noqa: PTH100 - not resolved: data/photos may be a link to another disk
    if tree.is_relative_to(ROOT / "data") and tree != ROOT / "data":
        home = ROOT / "data"
    else:
        inbox = next((folder for folder in (tree, *tree.parents) if folder.name == "inbox"), tree)
        home = inbox.parent
    return home / _AUDITS / tree.relative_to(home)


def next_step(command: str, *words: object) -> str:
    """Return a command of this program as one line to paste into a shell.

    It starts as the running command was started: with the Python and the script of a clone in full, so that it works
    in any folder and environment, or with `bball`, in full where that is not the `bball` that a shell would find. A
    project that was named by an option is named again.

    Args:
        command: Name of the command, such as `audit`.
        words: Its arguments and options, not yet quoted.

    Example:
        `next_step("audit", "my photos")` is `bball audit 'my photos'`.
    """
    started = Path(sys.argv[0]).absolute()
    script = started.with_name(f"{command}.py")
    if started.suffix == ".py" and started.parent.name == "scripts" and script.is_file():
        front = [sys.executable, str(script)]
    elif started.name == "bball" and shutil.which("bball") != str(started):
        front = [str(started), command]
    else:
        front = ["bball", command]
    # Without it the next command would be about the project of the working folder.
    chosen = any(word.partition("=")[0] == "--project" for word in sys.argv[1:])
    return shlex.join([*front, *map(str, words), *(["--project", str(ROOT)] if chosen else [])])


def config_file(name: str | os.PathLike[str]) -> Path:
    """Return a configuration file: that of a path, or else the one of this name that comes with the program.

    Args:
        name: Path of a YAML file, or a name such as `demo`.
    """
    packaged = CONFIGS / f"{Path(name).stem}.yaml"
    return packaged if not Path(name).is_file() and packaged.is_file() else Path(name)


def predictions_file(split: str) -> str:
    """Return the name of the table of predictions of one split."""
    return f"predictions_{split}.csv"


def run_of_checkpoint(checkpoint: str | os.PathLike[str]) -> Path | None:
    """Return the run folder that a checkpoint lies in, or None if it lies elsewhere."""
    folder = Path(checkpoint).resolve().parent
    return folder.parent if folder.name == CHECKPOINTS and (folder.parent / CONFIG).is_file() else None


def mark_unfinished(run: Path) -> None:
    """Note in a run's folder that it is not over; a process that is killed leaves the note."""
    (run / UNFINISHED).write_text(
        "This run has not come to its end. Unless it is still running, go on with: bball fit --resume FOLDER\n",
        encoding="utf-8",
    )


def mark_finished(run: Path) -> None:
    """Take the note away again."""
    (run / UNFINISHED).unlink(missing_ok=True)


def resumed_run(path: Path) -> tuple[Path, Path]:
    """Return configuration and checkpoint of a run that is to be continued, as absolute paths.

    Args:
        path: Folder of the run, or a checkpoint in it.

    Raises:
        RunError: if there is no such run, or it has not got as far as a checkpoint.
    """
    run = path.absolute()
    if path.is_file():
        run = path.absolute().parent.parent
    last = path.absolute() if path.is_file() else run / CHECKPOINTS / LAST
    if not (run / CONFIG).is_file():
        found = "has no config.yaml" if run.exists() else "does not exist"
        raise RunError(f"--resume {path}: {run} {found}; pass the folder of a run ({LOGS}/NAME/version_N)")
    if not last.is_file():
        raise RunError(
            f"--resume {path}: there is no {CHECKPOINTS}/{LAST}, because the run was stopped before its first step. "
            f"Start it again with: {next_step('fit', '--config', run / CONFIG)}"
        )
    return run / CONFIG, last


def newest_run(logs: str | os.PathLike[str] = ROOT / LOGS) -> Path:
    """Return the folder of the finished run whose best checkpoint is the newest.

    Raises:
        RunError: if there is no finished run below `logs`.
    """
    found = [path.parents[1] for path in Path(logs).glob(f"*/version_*/{CHECKPOINTS}/{BEST}")]
    finished = [run for run in found if not (run / UNFINISHED).exists()]
    if not finished:
        begun = max(found, key=lambda run: (run / UNFINISHED).stat().st_mtime, default=None)
        command = next_step("fit") if begun is None else next_step("fit", "--resume", begun)
        raise RunError(f"{logs} has no finished run; {'make' if begun is None else 'finish'} one with: {command}")
    return max(finished, key=lambda run: (run / CHECKPOINTS / BEST).stat().st_mtime)


def new_version(experiment: Path) -> int:
    """Create the next folder `version_N` of an experiment and return N; no two processes get the same.

    Raises:
        RunError: if the folder cannot be created.
    """
    try:
        experiment.mkdir(parents=True, exist_ok=True)
        taken = [path.name.removeprefix("version_") for path in experiment.glob("version_*")]
        number = max((int(name) for name in taken if name.isdecimal()), default=-1) + 1
        while True:
            with suppress(FileExistsError):
                (experiment / f"version_{number}").mkdir()
                return number
            number += 1
    except OSError as error:
        raise RunError(
            f"{experiment} cannot be written ({error.strerror}); pass --trainer.default_root_dir DIR for the run"
        ) from error


def best_checkpoint(run: str | os.PathLike[str]) -> Path:
    """Return a run's best checkpoint.

    Raises:
        RunError: if the folder is not a run or has no best checkpoint yet.
    """
    path = Path(run) / CHECKPOINTS / BEST
    if not path.is_file():
        raise RunError(f"{run} has no {CHECKPOINTS}/{BEST}; pass the folder of a finished run (…/version_N)")
    return path


def chosen_checkpoint(run: Path | None, ckpt: Path | None, logs: Path = ROOT / LOGS) -> Path:
    """Return the checkpoint that a command line asks for, as an absolute path.

    Args:
        run: Folder of a run, whose best checkpoint is meant, or a checkpoint file. Default: the newest finished run.
        ckpt: A checkpoint file instead.
        logs: Folder of the runs.

    Raises:
        RunError: if there is no such run or checkpoint, or both are given.
    """
    if run is not None and ckpt is not None:
        raise RunError("--run and --ckpt are both given; pass one of them")
    if run is not None and run.is_file():
        run, ckpt = None, run
    if ckpt is None:
        return best_checkpoint(run or newest_run(logs)).absolute()
    if not ckpt.is_file():
        raise RunError(f"there is no checkpoint {ckpt}; pass a .ckpt file of a run")
    return ckpt.absolute()
