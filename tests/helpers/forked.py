"""Python programs in processes of their own, forked from one that has imported the large libraries already.

Torch, Lightning, timm and coremltools take seconds to import, and the tests start more than a hundred processes. A fork
of a process that has only imported them is like a new one: arguments, folder, environment, streams and exit are its
own, signals have their defaults, and no module of this project is loaded before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

_ROOT = Path(__file__).resolve().parents[2]
#: Imported before the forks. None of them starts a thread, which a fork would lose; onnxruntime does.
_LIBRARIES = (
    *("torch", "torchvision", "timm", "lightning", "lightning.pytorch.cli", "torchmetrics.classification"),
    *("torch.utils.tensorboard", "albumentations", "jsonargparse", "rich.progress", "jinja2", "cv2", "PIL.ImageCms"),
    *("scipy.stats", "scipy.cluster.hierarchy", "sklearn.linear_model", "sklearn.metrics", "captum.attr"),
    *("onnx", "coremltools", "yaml", "filelock"),
)


def run_python(
    words: Sequence[object], *, env: Mapping[str, str], cwd: Path | None = None, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, as `subprocess.run([sys.executable, *words], capture_output=True)` would.

    Args:
        words: a script, or -c and a program, with arguments.
        env: its environment, whole.
        cwd: its folder. Default: this one.
        timeout: seconds until it is killed.

    Raises:
        subprocess.TimeoutExpired: if it was killed.
    """
    given = [str(word) for word in words]
    if any(path and not Path(path).is_relative_to(_ROOT) for path in env.get("PYTHONPATH", "").split(os.pathsep)):
        # A folder elsewhere may have a stand-in for a library that the server has imported.
        return subprocess.run(
            [sys.executable, *given], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
        )
    with tempfile.TemporaryDirectory() as folder:
        streams = {name: str(Path(folder, name)) for name in ("stdout", "stderr")}
        request = {"words": given, "cwd": str(cwd or Path.cwd()), "env": dict(env), **streams, "timeout": timeout}
        server = _server()
        requests, answers = cast(IO[str], server.stdin), cast(IO[str], server.stdout)
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        status = json.loads(answers.readline())
        out, err = (Path(path).read_text(encoding="utf-8", errors="replace") for path in streams.values())
    if status is None:
        raise subprocess.TimeoutExpired(given, timeout, out, err)
    return subprocess.CompletedProcess([sys.executable, *given], status, out, err)


@cache
def _server() -> subprocess.Popen[str]:
    """Start the process that is forked; it ends with the one that holds its standard input."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own
    )


def _serve() -> dict[str, Any]:
    """Fork for each request and answer with the exit status; returns in the child, with its request."""
    import contextlib
    import importlib
    import warnings

    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LIBRARIES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    for line in iter(requests.readline, ""):
        request: dict[str, Any] = json.loads(line)
        child = os.fork()
        if not child:
            requests.close()
            answers.close()
            return request
        answers.write(json.dumps(_status(child, request["timeout"])) + "\n")
        answers.flush()
    os._exit(0)


def _status(child: int, timeout: float) -> int | None:
    """Wait for a child; return its status as `subprocess` counts it, or None if it had to be killed."""
    late = False

    def kill(*_: object) -> None:
        nonlocal late
        late = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    _, status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return None if late else os.waitstatus_to_exitcode(status)


def _become(request: dict[str, Any]) -> None:
    """Make this process the program of a request."""
    import runpy

    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # TMPDIR may be another one
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, request["stdout"], 0), (2, request["stderr"], 0)):
        opened = os.open(path, mode or os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    program, *sys.argv = request["words"] if request["words"][0] == "-c" else ["", *request["words"]]
    first = request["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, first), *(path for path in sys.path[1:] if path not in first)]
    if program:
        code, *rest = sys.argv
        sys.argv = ["-c", *rest]
        sys.path.insert(0, "")
        names = sys.modules["__main__"].__dict__
        exec(compile(code, "<string>", "exec"), names)
    else:
        sys.path.insert(0, str(Path(sys.argv[0]).parent))
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _become(_serve())
