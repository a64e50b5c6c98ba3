"""Errors that a user can mend, and the exit status of a command that meets one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

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


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the process as a command-line tool should when the body fails in a way that a user can mend.

    A `BballError` becomes its message on standard error and exit status 2, without a traceback; Ctrl-C becomes status
    130, and a closed pipe (`bball audit … | head`) status 141 without a message. Every other exception is a bug of this
    program and keeps its traceback.
    """
    try:
        yield
        sys.stdout.flush()
    except BballError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)


#: Exit status of a program that SIGTERM ends, as a shell reports it: 128 and the signal's number.
TERMINATED = 143


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the body as Ctrl-C does: what the body cleans up is cleaned up, and the exit status is 143.

    Without it the process ends at once, and temporary files stay. In another thread than the main one, which gets no
    signals, it does nothing.
    """

    def end(_: int, __: FrameType | None) -> NoReturn:
        print("terminated", file=sys.stderr)
        sys.exit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
