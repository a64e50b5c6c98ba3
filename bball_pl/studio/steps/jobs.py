"""Jobs: commands of this program in processes of their own, one at a time, that outlive the studio; their records."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bball_pl import project
from bball_pl.errors import BballError, ConfigError, RunError
from bball_pl.files import write_text
from bball_pl.processes import PARENT
from bball_pl.studio.state import TOKEN_VARIABLE
from bball_pl.studio.steps import job_process
from bball_pl.studio.steps.job_process import END, KILL, LOG, PROCESS, RECORD, STATUS, STOP

State = Literal["running", "stopping", "finished", "stopped", "failed", "lost", "damaged"]

#: Folder of the jobs below the folder of the data.
FOLDER = ".jobs"
_LOCK = "lock"
#: Most jobs whose records and logs are kept.
_KEPT = 30
#: Exit statuses of a command that SIGINT, SIGTERM or SIGKILL has ended.
_STOPPED = {130, 143, 137}
#: Tries to get the lock, and seconds between them: another studio may be looking at it at this moment.
_TRIES, _PAUSE = 10, 0.02


class BusyError(BballError):
    """A job is running already."""


@dataclass(frozen=True)
class Job:
    """A job as its folder describes it.

    Attributes:
        id: Number of the job, as text.
        folder: Folder of the job.
        state: `running`, `stopping` (asked to end), `finished`, `stopped`, `failed`, `lost` (it was killed or the
            machine went down, and no exit status was written) or `damaged` (its record cannot be read).
        step: Step that it is for.
        words: Words of the command, without `bball`.
        options: Options of the step that the words were made of.
        started: Time of the start, ISO 8601 in UTC.
        ended: Time of the end; empty if it is not known.
        status: Exit status; None if it is not known.
    """

    id: str
    folder: Path
    state: State
    step: str = ""
    words: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    ended: str = ""
    status: int | None = None

    @property
    def command(self) -> str:
        """The command line, as a user types it in the project's folder."""
        return shlex.join(["bball", *self.words])

    @property
    def is_running(self) -> bool:
        """Whether its process exists."""
        return self.state in {"running", "stopping"}

    @property
    def log(self) -> Path:
        """File with everything that the command printed."""
        return self.folder / LOG

    @property
    def pid(self) -> int | None:
        """Process of the command; None if it is not known."""
        pid = _read(self.folder / PROCESS).get("pid")
        return pid if isinstance(pid, int) else None


class Jobs:
    """The jobs of a project.

    Whether a job is running is a matter of the lock, which its processes hold, and not of a process number, which
    another process may have by now.

    Args:
        data: Folder of the data; the jobs are in `.jobs` below it.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, step: str, words: Sequence[str], options: dict[str, Any], clear: str = "") -> Job:
        """Start a command in the project's folder.

        Args:
            step: Step that it is for.
            words: Words of the command, without `bball`.
            options: Options of the step that the words were made of.
            clear: Number of the upload that is removed if the command succeeds.

        Raises:
            BusyError: if a job of this project is running, in this studio or another one.
            RunError: if the record or the log cannot be written, or no process can be started.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock() as lock:
                if lock is None:
                    raise BusyError("a job is running; wait for its end, or stop it")
                return self._start(lock, step, words, options, clear)
        except OSError as error:
            raise RunError(
                f"the job cannot be started: {self.folder} cannot be written ({error.strerror}); make room, or give "
                "yourself the right to write there"
            ) from error

    def stop(self, job: Job, force: bool = False) -> None:
        """Ask a job to end: in good order, or at once.

        Raises:
            RunError: if the request cannot be written.
        """
        try:
            write_text(job.folder / STOP, KILL if force else END)
        except OSError as error:
            raise RunError(f"the job cannot be stopped: {job.folder} cannot be written ({error.strerror})") from error

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        self._children = [child for child in self._children if child.poll() is None]
        numbers = self._numbers()
        busy = bool(numbers) and self._is_locked()
        return [self._job(number, busy and number == numbers[0]) for number in numbers]

    def get(self, number: str) -> Job | None:
        """Return a job by its number; None if there is none."""
        return next((job for job in self.all() if job.id == number), None)

    def _start(self, lock: int, step: str, words: Sequence[str], options: dict[str, Any], clear: str) -> Job:
        numbers = self._numbers()
        number = str(int(numbers[0]) + 1 if numbers else 1)
        for old in numbers[_KEPT - 1 :]:
            shutil.rmtree(self.folder / old, ignore_errors=True)
        # Under a hidden name until the record is whole.
        staging, folder = self.folder / f".{number}", self.folder / number
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        record = {"step": step, "words": list(words), "options": options, "started": job_process.now(), "clear": clear}
        write_text(staging / RECORD, json.dumps(record))
        (staging / LOG).touch()
        staging.rename(folder)
        try:
            with (folder / LOG).open("ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", job_process.__name__, str(folder), str(lock)],
                    cwd=project.ROOT,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._children.append(child)
        return self._job(number, True)

    def _job(self, number: str, running: bool) -> Job:
        folder = self.folder / number
        record, end = _read(folder / RECORD), _read(folder / STATUS)
        status = end.get("status") if isinstance(end.get("status"), int) else None
        state: State = "lost"
        if status is not None:
            state = "finished" if status == 0 else "stopped" if status in _STOPPED else "failed"
        elif running:
            state = "stopping" if (folder / STOP).exists() else "running"
        words = record.get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            # A job whose record is damaged can be stopped all the same.
            return Job(number, folder, state if running else "damaged", status=status)
        options = record.get("options")
        return Job(
            number,
            folder,
            state,
            str(record.get("step", "")),
            tuple(words),
            options if isinstance(options, dict) else {},
            str(record.get("started", "")),
            str(end.get("ended", "")),
            status,
        )

    def _numbers(self) -> list[str]:
        """Return the numbers of the jobs, newest first."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError:
            return []
        return sorted((name for name in names if name.isascii() and name.isdecimal()), key=int, reverse=True)

    def _is_locked(self) -> bool:
        try:
            with self._lock(shared=True) as lock:
                return lock is None
        except OSError:
            return False  # where no lock can be made, no job can run

    @contextmanager
    def _lock(self, shared: bool = False) -> Iterator[int | None]:
        """Yield the descriptor of the locked file; None if a job holds the lock.

        It is closed at the end: the lock stays with the process that has inherited it by then, if there is one.
        """
        try:
            import fcntl
        except ImportError:
            raise ConfigError("jobs need Linux or macOS; type the commands in a terminal instead") from None

        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            wanted = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
            for attempt in range(1 if shared else _TRIES):
                try:
                    fcntl.flock(descriptor, wanted)
                    break
                except BlockingIOError:
                    time.sleep(_PAUSE if attempt < _TRIES - 1 else 0)
            else:
                yield None
                return
            yield descriptor
        finally:
            os.close(descriptor)


def _environment() -> dict[str, str]:
    """Return the environment of a command: this project, and output for a log file."""
    # A job outlives the studio and what has started it, and does not need its token.
    variables = {name: value for name, value in os.environ.items() if name not in {TOKEN_VARIABLE, PARENT}}
    # A package that is not installed lies where this process has found it.
    if str(project.CLONE) not in {*site.getsitepackages(), site.getusersitepackages()}:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(project.CLONE), variables.get("PYTHONPATH", "")]))
    return variables | {
        "BBALL_PROJECT": str(project.ROOT),
        "BBALL_JOB": "1",
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one if the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        # Python reads more than a browser: NaN, and halves of signs.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
