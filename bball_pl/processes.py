"""Processes: children end with the one that started them, a command ends at once, and freed memory can stay with it."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

#: Variable of the environment that names the process which its children must not outlive.
PARENT = "BBALL_PARENT"

#: Seconds between two looks at the parent.
_INTERVAL = 0.5
#: Whether processes are told apart by their parents here; elsewhere signal 0 would end one.
_HAS_PARENTS = hasattr(os, "getppid") and hasattr(signal, "SIGKILL")


def end_with(parent: int) -> None:
    """End this process when `parent`, which started it or one above it, is gone.

    A process that is killed cannot tell its children. They see it when the system gives them another parent.
    """
    if not _HAS_PARENTS:
        return
    is_direct = os.getppid() == parent

    def watch() -> None:
        while os.getppid() == parent if is_direct else _exists(parent):
            time.sleep(_INTERVAL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def end_with_parent() -> None:
    """Do so if the parent has asked for it by `as_parent`; at once if it is gone by now."""
    parent = os.environ.get(PARENT, "")
    if not parent.isdecimal() or not _HAS_PARENTS:
        return
    if not _exists(int(parent)):
        os.kill(os.getpid(), signal.SIGKILL)
    end_with(int(parent))


def _exists(pid: int) -> bool:
    """Return whether a process exists; one that was killed does until its own parent has taken notice."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def as_parent() -> None:
    """Let the processes of this program that this one starts from now on end with it."""
    os.environ[PARENT] = str(os.getpid())


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start processes that no SIGINT or SIGTERM reaches: the one that starts them stops them and tidies up.

    They inherit the block. A signal that comes to this process meanwhile is kept until the end of the body.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command of this program to its end and return its exit status, negative for a signal.

    A SIGINT or SIGTERM is passed on, and the child, which may have to save something, ends first.
    """
    child = subprocess.Popen(command, env={**environment, PARENT: str(os.getpid())}, process_group=0)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt as stopped:
            child.send_signal(signal.SIGTERM if type(stopped) is not KeyboardInterrupt else signal.SIGINT)
            child.wait()
            raise


def end_process(status: int) -> NoReturn:
    """End this process as the interpreter does, but without freeing its objects.

    Torch and what comes with it are 600,000 objects; looking for cycles among them and freeing them takes 1 to 2
    seconds after the answers are printed.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.exit(status)  # the interpreter knows what such a thread waits for
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, full, or none at all
            stream.flush()
    os._exit(status)


#: Parameters of glibc's `mallopt`: the size from which free memory at the end of the heap is returned to the system,
#: the number of blocks that lie outside the heap and are returned one by one, and the number of heaps for threads.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Let memory that tensors free stay with this process, for the tensors of the next step; with glibc alone.

    By default a block of 32 MB or more goes back to the system at once, which clears every page of it when the next
    step asks again: a quarter to a third of a training step on a CPU. The process gets a few per cent larger.
    Call it before threads have memory of their own: what they have by then stays in use.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never
        # A thread's own arena consists of heaps of 64 MB, and gives each back that is empty.
        libc.mallopt(_M_ARENA_MAX, 1)
