"""The app's logic once more, in Python: what the Swift files under ios/ compute, from the same words."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unicodedata import normalize

from bball_pl.files import folder_name_problem
from bball_pl.photos.photos_csv import COLUMNS as PHOTO_COLUMNS
from bball_pl.photos.photos_csv import CORRECTION_COLUMNS

#: The app's table: the columns of every dataset, those of corrections, and when a person looked at the photo.
COLUMNS = [*PHOTO_COLUMNS, *CORRECTION_COLUMNS, "checked"]


def folder_name_is_safe(name: str) -> bool:
    """Model/FolderName.swift: FolderName.isSafe. No twin is needed: the export decides by the same rule."""
    return not folder_name_problem(name)


def contract_problem(contract: Mapping[str, Any], keys: Mapping[str, Any]) -> str | None:
    """Model/ContractReading.swift: the kind of the problem of a contract, or None; `keys` is what Swift decodes."""
    return next(_contract_problems(contract, keys), None)


def _contract_problems(contract: Mapping[str, Any], keys: Mapping[str, Any]) -> Iterator[str]:
    if "schema" not in contract:
        yield "missingKey"
    if contract["schema"] != 1:
        yield "otherSchema"
    if not {"threshold", "accuracy"} <= set(contract):
        yield "missingKey"
    if not decodes(contract, keys):
        yield "unreadable"
    classes, live, threshold = contract["classes"], contract["live"], contract["threshold"]
    if len(classes) < 2:
        yield "tooFewClasses"
    # Swift's strings are equal if they are canonically equivalent.
    if any(len({normalize("NFC", item[key]) for item in classes}) < len(classes) for key in ("label", "name")):
        yield "doubleClass"
    if not all(map(folder_name_is_safe, [*(item["name"] for item in classes), contract["model"]["file"]])):
        yield "unsafeName"
    if contract["input"]["cropAndScale"] not in {"scaleFill", "centerCrop", "scaleFit"}:
        yield "unknownCrop"
    if threshold is not None and not 0 <= threshold <= 1:
        yield "outOfRange"
    if contract["input"]["size"] < 1 or live["smoothingFrames"] < 1 or live["forgetAfterSeconds"] <= 0:
        yield "outOfRange"


def decodes(value: Any, wanted: Any) -> bool:
    """Whether Swift's decoder takes a JSON value for a type as `contract_keys` of ios_swift.py describes it."""
    if _is_optional(wanted):
        return value is None or decodes(value, wanted[:-1] if isinstance(wanted, str) else wanted[0])
    if isinstance(wanted, list) or wanted == "[String]":
        kind = wanted[0] if isinstance(wanted, list) else "String"
        return isinstance(value, list) and all(decodes(item, kind) for item in value)
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            decodes(value[key], kind) if key in value else _is_optional(kind) for key, kind in wanted.items()
        )
    if wanted.startswith("[String: "):
        kind = wanted.removeprefix("[String: ").removesuffix("]")
        return isinstance(value, dict) and all(decodes(item, kind) for item in value.values())
    kinds: dict[str, tuple[type, ...]] = {"String": (str,), "Int": (int,), "Double": (int, float)}
    return isinstance(value, kinds[wanted]) and not isinstance(value, bool)


def _is_optional(wanted: Any) -> bool:
    return isinstance(wanted, tuple) or (isinstance(wanted, str) and wanted.endswith("?"))


def ranking(probabilities: Sequence[float]) -> list[int]:
    """Model/Answer.swift: Judge.ranking."""
    if not all(math.isfinite(value) for value in probabilities):
        return []
    return sorted(range(len(probabilities)), key=lambda place: (-probabilities[place], place))


def answer(probabilities: Sequence[float], threshold: float | None) -> tuple[int, bool] | None:
    """Model/Answer.swift: Judge.answer, place of the class and whether it is sure."""
    order = ranking(probabilities)
    if not order:
        return None
    return order[0], threshold is None or probabilities[order[0]] >= threshold


def in_order(shares: Mapping[str, float], labels: Sequence[str]) -> list[float] | None:
    """Model/Answer.swift: Judge.inOrder."""
    return [shares[label] for label in labels] if set(shares) == set(labels) and len(shares) == len(labels) else None


def smoothed(steps: Sequence[Mapping[str, Any]], frames: int, forget_after: float) -> list[list[float]]:
    """Model/Smoothing.swift: the mean after each step."""
    means: list[list[float]] = []
    recent: list[list[float]] = []
    for place, step in enumerate(steps):
        gap = step["time"] - steps[place - 1]["time"] if place else 0.0
        if not 0 <= gap <= forget_after or (recent and len(recent[0]) != len(step["probabilities"])):
            recent = []
        recent = [*recent, step["probabilities"]][-frames:]
        means.append([sum(column) / len(recent) for column in zip(*recent, strict=True)])
    return means


def meter(steps: Sequence[Mapping[str, float]]) -> tuple[float | None, float | None]:
    """Model/FrameMeter.swift: frames a second and milliseconds after the last step."""
    times: list[float] = []
    durations: list[float] = []
    for step in steps:
        if times and not 0 <= step["time"] - times[-1] <= 1:
            times, durations = [], []
        times, durations = [*times, step["time"]][-30:], [*durations, step["duration"]][-30:]
    rate = (len(times) - 1) / (times[-1] - times[0]) if times and times[-1] > times[0] else None
    return rate, 1000 * sum(durations) / len(durations) if durations else None


def angle(orientation: int) -> float | None:
    """Camera/Rotation.swift: Rotation.angle."""
    return {1: 90.0, 2: 270.0, 3: 0.0, 4: 180.0}.get(orientation)


def exif(degrees: float) -> int:
    """Camera/Rotation.swift: Rotation.exif."""
    return (1, 6, 3, 8)[int(math.copysign(math.floor(abs(degrees) / 90 + 0.5), degrees)) % 4]


def zip_bytes(modified: Sequence[int], folders: Sequence[str], files: Sequence[tuple[str, bytes]]) -> bytes:
    """Support/ZipWriter.swift: the whole file."""
    year, month, day, hour, minute, second = modified
    moment = struct.pack("<HH", hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day)
    out, directory = io.BytesIO(), io.BytesIO()
    items = [(f"{path}/", b"", 0o40755 << 16 | 0x10) for path in folders]
    items += [(path, content, 0o100644 << 16) for path, content in files]
    for path, content, attributes in items:
        name = path.encode()
        sizes = struct.pack("<IIIHH", zlib.crc32(content), len(content), len(content), len(name), 0)
        header = struct.pack("<HHH", 20, 0x0800, 0) + moment + sizes
        directory.write(b"PK\x01\x02" + struct.pack("<H", 0x0314) + header)
        directory.write(bytes(6) + struct.pack("<II", attributes, out.tell()) + name)
        out.write(b"PK\x03\x04" + header + name + content)
    start = out.tell()
    out.write(directory.getvalue())
    tail = struct.pack("<HHIIH", len(items), len(items), out.tell() - start, start, 0)
    return out.getvalue() + b"PK\x05\x06" + bytes(4) + tail


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Support/CorrectionsPlan.swift: CSV.text."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text

    return "".join(",".join(map(cell, row)) + "\n" for row in rows)


def corrections(
    entries: Sequence[Mapping[str, Any]], class_names: Sequence[str], author: str, licence: str
) -> tuple[list[str], list[tuple[str, str]], str]:
    """Support/CorrectionsPlan.swift: folders, (file, place in the archive) and photos.csv."""
    newest = {
        entry["sha256"]: entry
        for entry in sorted(entries, key=_checked)
        if entry["truth"] is not None and folder_name_is_safe(entry["truth"])
    }
    planned = []
    for sha256, entry in newest.items():
        truth, day = entry["truth"], entry["day"]
        path = f"train/{truth}/phone_{day or 'undated'}_{sha256[:12]}.jpg"
        share = f"{entry['probabilities'][entry['answer']]:.6f}"
        group = f"phone-{day or 'undated'}"
        row = [path, truth, group, "BasketballMoves app", "", author, licence, "", sha256, "", day, "", ""]
        checked = datetime.fromtimestamp(_checked(entry), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        row += ["train", class_names[entry["answer"]], share, checked]
        planned.append((path.encode(), entry["photo"], row))
    planned.sort()
    extra = sorted({entry["truth"] for entry in newest.values()} - set(class_names))
    folders = ["train", *(f"train/{name}" for name in [*class_names, *extra])]
    photos = [(photo, path.decode()) for path, photo, _ in planned]
    return folders, photos, csv_text([COLUMNS, *(row for _, _, row in planned)])


def _checked(entry: Mapping[str, Any]) -> float:
    return float(entry["seconds"] if entry["checked"] is None else entry["checked"])


def capture_day(exif_time: str) -> str | None:
    """Support/HistoryEntry.swift: CaptureDay.from."""
    parts = exif_time[:10].split(":")
    digits = all(set(part) <= set("0123456789") for part in parts)
    good = [len(part) for part in parts] == [4, 2, 2] and digits and parts[0] != "0000"
    return "-".join(parts) if good else None


def fingerprint_text(digests: Mapping[str, str]) -> str:
    """Model/Fingerprint.swift: Fingerprint.text."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests, key=str.encode))
