"""device.json: what a device measured with the parity kit or the app, read, checked and matched to exported files."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bball_pl.errors import ConfigError
from bball_pl.files import has_control

#: Version of the keys. Raise it when a key changes its name or meaning.
SCHEMA = 1
COMPUTE = ("cpuOnly", "cpuAndGPU", "cpuAndNeuralEngine", "all")
THERMAL = ("nominal", "fair", "serious", "critical", "unknown")


@dataclass(frozen=True)
class DeviceRun:
    """Measurements with one choice of compute units.

    Attributes:
        compute: Core ML's name of the choice, one of `COMPUTE`.
        passed: whether every photo of the network's size was answered as expected, within the tolerance.
        largest_difference: largest difference of any probability on these photos, 0–1.
        same_answers: share of them with the expected label, 0–1.
        vision_largest_difference: the same for the original photos, resized by Vision; None if not tried.
        vision_same_answers: likewise.
        cold_ms: milliseconds of the first loading.
        warm_ms: milliseconds of the second loading.
        p50_ms: median milliseconds of an answer to a decoded photo.
        p95_ms: 95th percentile of these.
        thermal: thermal state at the end, one of `THERMAL`.
    """

    compute: str
    passed: bool
    largest_difference: float
    same_answers: float
    vision_largest_difference: float | None
    vision_same_answers: float | None
    cold_ms: float
    warm_ms: float
    p50_ms: float
    p95_ms: float
    thermal: str


@dataclass(frozen=True)
class DeviceRecord:
    """Content of a device.json.

    Attributes:
        device: model of the device, such as Mac14,2.
        system: operating system with its version.
        date: day of the measurement.
        file: name of the measured file.
        sha256: its fingerprint, as `model_sha256` gives it.
        photos: number of photos.
        tolerance: largest difference that passed, 0–1.
        runs: one for each choice of compute units.
    """

    device: str
    system: str
    date: datetime.date
    file: str
    sha256: str
    photos: int
    tolerance: float
    runs: list[DeviceRun]


def read_device(path: Path) -> DeviceRecord:
    """Read and check a device.json.

    Raises:
        ConfigError: if the file cannot be read, has another schema, or a key is missing or out of range; the message
            names the key.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--device {path} cannot be read ({error.strerror}). Pass the kit's device.json.") from error
    except ValueError as error:
        raise ConfigError(f"--device {path} is not JSON ({error}). Run the parity kit again.") from error
    try:
        return _record(facts)
    except _SchemaError as error:
        raise ConfigError(f"--device {path}: {error}. Run the parity kit of this version again.") from None


class _SchemaError(Exception):
    """A key with another value than expected."""


def _record(facts: Any) -> DeviceRecord:
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        found = facts.get("schema") if isinstance(facts, dict) else type(facts).__name__
        raise _SchemaError(f"schema is {found!r}, expected {SCHEMA}")
    model, runs = facts.get("model"), facts.get("runs")
    if not isinstance(model, dict):
        raise _SchemaError(f"model is {model!r}, expected an object with file and sha256")
    if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
        raise _SchemaError("runs is empty or no list of objects, expected one for each choice of compute units")
    found = [_run(run, f"runs[{index}]") for index, run in enumerate(runs)]
    if len({run.compute for run in found}) < len(found):
        raise _SchemaError("runs names a choice of compute units twice")
    sha256 = _text(model, "sha256", "model")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise _SchemaError(f"model.sha256 is {sha256!r}, expected 64 hex digits")
    try:
        date = datetime.date.fromisoformat(_text(facts, "date"))
    except ValueError:
        raise _SchemaError(f"date is {facts['date']!r}, expected YYYY-MM-DD") from None
    photos = facts.get("photos")
    if not isinstance(photos, int) or isinstance(photos, bool) or photos < 1:
        raise _SchemaError(f"photos is {photos!r}, expected a whole number above 0")
    return DeviceRecord(
        _text(facts, "device"),
        _text(facts, "system"),
        date,
        _text(model, "file", "model"),
        sha256,
        photos,
        _number(facts, "tolerance", 1),
        found,
    )


def _run(run: Mapping[str, Any], where: str) -> DeviceRun:
    passed = run.get("passed")
    if not isinstance(passed, bool):
        raise _SchemaError(f"{where}.passed is {passed!r}, expected true or false")
    vision = run.get("vision")
    if vision is not None and not isinstance(vision, dict):
        raise _SchemaError(f"{where}.vision is {vision!r}, expected null or an object")
    of_vision = f"{where}.vision"
    return DeviceRun(
        compute=_one_of(run, "compute", COMPUTE, where),
        passed=passed,
        largest_difference=_number(run, "largest_difference", 1, where),
        same_answers=_number(run, "same_answers", 1, where),
        vision_largest_difference=None if vision is None else _number(vision, "largest_difference", 1, of_vision),
        vision_same_answers=None if vision is None else _number(vision, "same_answers", 1, of_vision),
        cold_ms=_number(run, "cold_ms", math.inf, where),
        warm_ms=_number(run, "warm_ms", math.inf, where),
        p50_ms=_number(run, "p50_ms", math.inf, where),
        p95_ms=_number(run, "p95_ms", math.inf, where),
        thermal=_one_of(run, "thermal", THERMAL, where),
    )


def _text(facts: Mapping[str, Any], key: str, where: str = "") -> str:
    value = facts.get(key)
    if not isinstance(value, str) or not value.strip() or has_control(value):
        raise _SchemaError(f"{_name(key, where)} is {value!r}, expected text on one line")
    return value


def _one_of(facts: Mapping[str, Any], key: str, choices: tuple[str, ...], where: str) -> str:
    value = facts.get(key)
    if value not in choices:
        raise _SchemaError(f"{_name(key, where)} is {value!r}, expected one of {', '.join(choices)}")
    return str(value)


def _number(facts: Mapping[str, Any], key: str, most: float, where: str = "") -> float:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        limit = f"0 to {most:g}" if most < math.inf else "0 or above"
        raise _SchemaError(f"{_name(key, where)} is {value!r}, expected a number, {limit}")
    return float(value)


def _name(key: str, where: str) -> str:
    return f"{where}.{key}" if where else key


def refuse_strangers(records: Mapping[Path, DeviceRecord], fingerprints: Mapping[str, str]) -> None:
    """Refuse measurements of a file that the export does not contain.

    Args:
        records: measurements by the file that they were read from.
        fingerprints: SHA-256 of each exported file by its name, from `model_sha256`.

    Raises:
        ConfigError: if a measured file has another SHA-256 than every exported one.
    """
    for path, record in records.items():
        if record.sha256 not in fingerprints.values():
            raise ConfigError(
                f"--device {path} measured {record.file} with the SHA-256 {record.sha256[:12]}…; this export has "
                f"{', '.join(f'{name} {digest[:12]}…' for name, digest in fingerprints.items())}. Measure this export."
            )
