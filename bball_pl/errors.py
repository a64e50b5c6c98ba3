"""The errors a user can mend, and how a script ends on one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class BballError(Exception):
    """A problem that its reader can mend: the message says what was found, what was expected, and the fix."""


class DatasetError(BballError):
    """A dataset folder that does not keep the contract: no class folder, an empty class, a leak, a bad table."""


class PhotoError(BballError):
    """A file that cannot be used as a photo: truncated, empty, not an image, too many pixels."""


class WeightsError(BballError):
    """Weights that cannot be had or that do not fit the backbone."""


class ConfigError(BballError):
    """Settings that contradict each other or this machine."""


class RunError(BballError):
    """A run folder or checkpoint that is missing or is not one of this project's."""


class VerificationError(BballError):
    """A saved model that cannot be proven to answer as the trained one does."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the process as a command-line tool should when the body fails in a way that its user can mend.

    A `BballError` becomes its message on standard error and exit status 2, without a traceback; Ctrl-C becomes
    status 130. Every other exception is a fault of this program and keeps its traceback.
    """
    try:
        yield
    except BballError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
