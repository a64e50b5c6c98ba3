"""Tiny photos and tiny datasets, painted in a temporary folder."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from helpers.painting import COLOURS, paint_photo

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

# A suite that starts in the background ignores Ctrl-C, and so would every process that a test sends it to.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def _libraries_are_no_garbage() -> None:
    """Take what is imported by now out of the collector's search: 600,000 objects, once before each conversion."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    # Torch's libraries count what is not freed at the end, and complain.
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
