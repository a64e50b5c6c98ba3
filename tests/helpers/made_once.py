"""What takes seconds to make and is only read: made by the first process of a run of the tests that needs it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """Return what a function made in a folder, in this process or in one beside it; the others wait.

    Args:
        factory: gives the folder that the processes of a run share.
        name: of the new folder, unlike all others.
        make: is given the folder and returns what can be pickled. What it leaves there must not be changed.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    done = base / f"{name}.pickle"
    with FileLock(base / f"{name}.lock"):
        if not done.exists():
            (base / name).mkdir()
            made = make(base / name)
            done.write_bytes(pickle.dumps(made))
    found: Made = pickle.loads(done.read_bytes())
    return found
