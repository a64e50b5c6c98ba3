"""Private parts of Lightning that the program uses: all are listed here, and each is there in this version.

When one of these tests fails after an update of Lightning, read the code at that place, then raise the upper bound in
pyproject.toml.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loops.progress import _ProcessedTracker

from bball_pl.project import CLONE, PACKAGE

#: Private names by the module that uses them.
USED = {
    "model/classifier.py": {"fit_loop._combined_loader"},
    "data/sampler.py": {"import _ProcessedTracker"},
    "model/fit/trainer.py": {"def _get_train_description"},
}


def test_each_private_is_used_in_one_place() -> None:
    found = {}
    for room in ("data", "model"):
        for path in (PACKAGE / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            names = set(re.findall(r"(?:trainer|(?:fit|epoch)_loop|strategy)\._[a-z]\w*", text))
            names |= {f"import {name}" for name in re.findall(r"from lightning\S* import .*?\b(_\w+)", text)}
            names |= {"def _get_train_description"} & set(re.findall(r"def _get\w+", text))
            if names:
                found[path.relative_to(PACKAGE).as_posix()] = names
    assert found == USED


def test_a_training_loader_that_is_forgotten_is_built_again() -> None:
    loop = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu").fit_loop
    assert loop._combined_loader is None
    assert "if self._combined_loader is not None" in inspect.getsource(type(loop).setup_data)


def test_the_counters_of_batches_have_these_names() -> None:
    loop = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu").fit_loop
    assert isinstance(loop.epoch_loop.batch_progress.current, _ProcessedTracker)
    assert isinstance(loop.epoch_progress.current, _ProcessedTracker)
    assert {field.name for field in dataclasses.fields(_ProcessedTracker)} == {
        "ready",
        "started",
        "processed",
        "completed",
    }


def test_the_progress_bar_asks_for_its_description() -> None:
    assert list(inspect.signature(RichProgressBar._get_train_description).parameters) == ["self", "current_epoch"]


def test_the_installed_version_is_within_the_bounds() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bound,) = (entry for entry in project["dependencies"] if entry.startswith("lightning"))
    match = re.fullmatch(r"lightning>=([\d.]+),<([\d.]+)", bound)
    assert match is not None
    lower, upper = (tuple(map(int, version.split("."))) for version in match.groups())
    installed = tuple(int(part) for part in L.__version__.split(".")[:3])
    assert lower <= installed < upper
