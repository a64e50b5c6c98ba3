"""Errors that a user can mend, and the exit status of a command that meets one."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Exit status of a program that a closed pipe ends, as a shell reports it: 128 and SIGPIPE's number.
PIPE_CLOSED = 141


class BballError(Exception):
    """A problem that a user can mend: the message says what was found, what was expected, and the fix."""


class DatasetError(BballError):
    """A dataset folder that does not keep the contract: no class folder, an empty class, a leak, a bad table."""


class PhotoError(BballError):
    """A file that cannot be used as a photo: truncated, empty, not an image, too many pixels."""


class WeightsError(BballError):
    """Weights that cannot be loaded or do not fit the backbone."""


class ConfigError(BballError):
    """Settings that contradict each other or this machine."""


class RunError(BballError):
    """A run folder or checkpoint that is missing or is not one of this project's."""


class VerificationError(BballError):
    """A saved model that cannot be proven to answer as the trained one does."""


#: Errors of the system that say something about the machine and nothing about the program.
_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ESTALE")
    if hasattr(errno, name)
}


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where the process is, as Ctrl-C is: whatever tidies up after the one does after the other."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    # Once: a second one, which a cluster may send at once, must not disturb the tidying up.
    signal.signal(signum, signal.SIG_IGN)
    raise Terminated


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the process as a command-line tool should when the body fails in a way that a user can mend.

    A `BballError` becomes its message on standard error and exit status 2, without a traceback, and so does an error of
    the system that is not the program's fault, such as a full disk; Ctrl-C becomes status 130, SIGTERM 143, and a
    closed pipe (`bball audit … | head`) status 141 without a message. Every other exception is a bug of this program
    and keeps its traceback.
    """
    # A signal can be handled in the main thread only; one that is ignored or handled already stays so.
    handles = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if handles:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
        if sys.stdout is not None:  # `>&-`
            sys.stdout.flush()
    except BballError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as ended:
        stopped = isinstance(ended, Terminated)
        print("terminated" if stopped else "interrupted", file=sys.stderr)
        sys.exit(128 + (signal.SIGTERM if stopped else signal.SIGINT))
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        name = f"{error.filename}: " if error.filename else ""
        print(f"error: {name}{os.strerror(error.errno or 0)}", file=sys.stderr)
        sys.exit(2)
    finally:
        if handles:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
