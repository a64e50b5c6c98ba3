"""Process of a job: runs one command of this program, stops it on request and writes its exit status.

It is a session of its own, so it goes on when the studio that started it ends. It inherits the lock of the jobs and
hands it on to the command: the system releases it when both are gone, however they ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bball_pl.files import write_text
from bball_pl.processes import PARENT

#: Files in the folder of a job.
RECORD, LOG, PROCESS, STOP, STATUS = "job.json", "log.txt", "process.json", "stop", "status.json"
#: Content of the file `stop`: ask the command to end, or end it at once.
END, KILL = "end", "kill"
#: Folder of the uploads, beside the folder of the jobs.
UPLOADS = "uploads"

#: Seconds between two looks at the file `stop`.
_INTERVAL = 0.2


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def run(folder: Path, lock: int) -> None:
    """Run the command of a job to its end.

    Args:
        folder: Folder of the job; its `job.json` has the words of the command.
        lock: File descriptor of the lock of the jobs.
    """
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "bball_pl", *record["words"]],
        env={**os.environ, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        process_group=0,
        pass_fds=(lock,),
    )
    # A machine that shuts down asks every process to end.
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    with suppress(OSError):
        write_text(folder / PROCESS, json.dumps({"pid": child.pid}))
    status = _wait(child, folder)
    if status == 0 and record.get("clear"):
        # The photos are in the inbox now.
        shutil.rmtree(folder.parents[1] / UPLOADS / str(int(record["clear"])), ignore_errors=True)
    write_text(folder / STATUS, json.dumps({"status": status, "ended": now()}))


def _wait(child: subprocess.Popen[bytes], folder: Path) -> int:
    """Return the exit status of a command as a shell reports it: 128 and the number of a signal."""
    asked = ""
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(_INTERVAL)
            return code if code >= 0 else 128 - code
        try:
            wanted = (folder / STOP).read_text(encoding="ascii")
        except (OSError, ValueError):
            continue
        if wanted != asked:
            asked = wanted
            # The command ends its own processes in good order; only force is meant for all of them.
            with suppress(ProcessLookupError):
                if wanted == KILL:
                    os.killpg(child.pid, signal.SIGKILL)
                else:
                    child.terminate()


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
