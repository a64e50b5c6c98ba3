"""Tiny photos and tiny datasets, painted in a temporary folder."""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from helpers.compiled import compile_modules
from helpers.forked import stand_in, start_server
from helpers.painting import COLOURS, paint_photo

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

# A suite that starts in the background ignores Ctrl-C, and so would every process that a test sends it to.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: Memory of one worker with its browser and its programs, in bytes.
_WORKER = 3 << 30
#: Elsewhere a process that has loaded the system's libraries may not be forked for long.
_FORKS_WORKERS = sys.platform == "linux"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores, as far as the memory goes: some tests wait for a browser, a timer or a disk."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores + 2, memory // _WORKER))


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers share one process to fork, and be forked from it: they need the same libraries."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        start_server()
        compile_modules(config)
        if _FORKS_WORKERS:
            python = shlex.quote(str(stand_in()))
            config.option.tx = [f"{spec}//python={python}" if spec == "popen" else spec for spec in config.option.tx]


@pytest.fixture(autouse=True, scope="module")
def _libraries_are_no_garbage() -> None:
    """Take what is imported by now out of the collector's search: 600,000 objects, once before each conversion."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    # Torch's libraries count what is not freed at the end, and complain. A worker that was forked frees nothing.
    if not hasattr(config, "workerinput") or not _FORKS_WORKERS:
        gc.unfreeze()


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that paints a dataset and returns its root.

    Its arguments: photos per class and split, class names, the root's name and the size of the photos.
    """

    def make(
        counts: Mapping[str, int] | None = None,
        class_names: tuple[str, ...] = ("shoot", "dribble", "layup"),
        name: str = "dataset",
        size: tuple[int, int] = (64, 48),
    ) -> Path:
        root = tmp_path / name
        seed = 0
        for split, count in (counts or {"train": 10, "test": 3}).items():
            for place, class_name in enumerate(class_names):
                colour = COLOURS.get(class_name, (20 + 60 * place, 220 - 50 * place, 40 * place))
                for number in range(count):
                    seed += 1
                    paint_photo(root / split / class_name / f"{class_name[0]}{number}.jpg", colour, seed, size)
        return root

    return make


@pytest.fixture
def paint() -> Callable[..., Path]:
    """Return a function that paints one photo: path, colour, seed, (width, height)."""
    return paint_photo
