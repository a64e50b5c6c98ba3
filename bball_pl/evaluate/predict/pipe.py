"""Ending quietly when the reader of standard output has gone, as in `predict.py … | head`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Exit status of a program that a closed pipe ends, as a shell reports it: 128 and SIGPIPE's number.
PIPE_CLOSED = 141


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End the process without a word, with status 141, when the body meets a closed pipe."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
