"""Settings of runs: differences from the defaults, and two runs side by side."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from bball_pl import project
from bball_pl.errors import DatasetError
from bball_pl.evaluate.compare import compare_answers, comparison_json
from bball_pl.evaluate.predictions import read_answers
from bball_pl.evaluate.results import is_evaluated

#: Shown apart or of no interest: where the photos and the results lie.
_PLACES = ("data.root", "data.cache_dir", "trainer.default_root_dir", "name", "ckpt_path")
#: Settings lie two deep; a class with arguments of its own, such as a logger, four.
_DEPTH = 6


def read_config(run: Path) -> dict[str, Any]:
    """Return the settings in a run's `config.yaml`.

    Raises:
        ValueError: if the file is missing, cannot be read or holds no settings; the message is the reason alone.
    """
    path = run / project.CONFIG
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("is not there") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(config, dict):
        raise ValueError("holds no settings")
    return config


def changed_settings(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the settings that differ from the defaults of `scripts/fit.py`, as `name`, `value`, `default`."""
    usual = _defaults()
    own = dict(_flat(config))
    # A setting that this version does not know has no default to differ from; it is what this run was made with.
    return [
        {"name": name, "value": _text(value), "default": _text(usual[name]) if name in usual else ""}
        for name, value in own.items()
        if name not in _PLACES and (name not in usual or usual[name] != value)
    ]


def different_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the settings that two runs do not share, as `name`, `a`, `b`; empty text where a run has none."""
    own, other = dict(_flat(a)), dict(_flat(b))
    names = [name for name in [*own, *(name for name in other if name not in own)] if name not in _PLACES[1:]]
    return [
        {"name": name, "a": _text(own[name]) if name in own else "", "b": _text(other[name]) if name in other else ""}
        for name in names
        if name not in own or name not in other or own[name] != other[name]
    ]


def setting(config: Mapping[str, Any], name: str) -> Any:
    """Return a setting by its dotted name, or None."""
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


@cache
def _defaults() -> dict[str, Any]:
    # The signatures are the schema of the command line, and configs/fit.yaml lies over them.
    import lightning as L

    from bball_pl.data.datamodule import PhotoDataModule
    from bball_pl.model.classifier import MoveClassifier
    from bball_pl.model.trainer import FitTrainer

    usual: dict[str, Any] = {"seed_everything": 7, "pictures": True}
    owners = [("trainer", L.Trainer), ("trainer", FitTrainer), ("model", MoveClassifier), ("data", PhotoDataModule)]
    for group, owner in owners:
        for name, parameter in inspect.signature(owner).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                usual[f"{group}.{name}"] = parameter.default
    usual.update(_flat(yaml.safe_load((project.CONFIGS / "fit.yaml").read_text(encoding="utf-8"))))
    return usual


def _flat(settings: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{before}{key}"
        # YAML can hold a mapping that holds itself.
        if isinstance(value, Mapping) and value and name.count(".") < _DEPTH:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _text(value: Any) -> str:
    """Return a value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_text(item) for item in value)}]"
    return str(value)


SPLIT = "test"


def compare_runs(name_a: str, run_a: Path, name_b: str, run_b: Path) -> dict[str, Any]:
    """Compare two runs; as far as that is possible.

    Args:
        name_a: `experiment/version_N` of the first.
        run_a: its folder.
        name_b: of the one that is hoped to be better.
        run_b: its folder.

    Returns:
        `settings`, those that differ; `comparison`, as `scripts/evaluate.py --compare` writes it to `comparison.json`,
        with `agrees` and, as `photos`, the rows of `changed.csv`; null where it is not possible, and
        then `reason` says why; `uncalibrated`, which of `a` and `b` answered before a temperature was fitted.
    """
    found: dict[str, Any] = {"a": name_a, "b": name_b, "comparison": None, "reason": "", "settings": None}
    try:
        found["settings"] = different_settings(read_config(run_a), read_config(run_b))
    except ValueError as error:
        found["settings_reason"] = f"{project.CONFIG} {error}"
    pair = {"a": run_a, "b": run_b}
    found["uncalibrated"] = [side for side, run in pair.items() if not is_evaluated(run, SPLIT)]
    try:
        a, b = (read_answers(run / project.predictions_file(SPLIT)) for run in (run_a, run_b))
        comparison = compare_answers(a, b, name_a, name_b)
    except DatasetError as error:
        return found | {"reason": str(error)}
    found["comparison"] = comparison_json(comparison) | {
        "agrees": comparison.agrees,
        "photos": [asdict(row) for row in comparison.changed],
    }
    return found
