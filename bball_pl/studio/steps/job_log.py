"""Log of a job as text for the page: its last lines without control characters, and the progress that they tell of."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

#: Bytes at the end of a log that are read, and most lines that are shown.
_BYTES, _LINES = 120_000, 400
#: Most characters of a line.
_WIDTH = 2000
#: Lines at the end that are searched for progress: what the command printed since may be about something else.
_RECENT = 3

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
#: A line of fit for an epoch, one of the program's progress bars, and one of tqdm's.
_EPOCH = re.compile(r"(epoch) (\d+)/(\d+): .*about (?P<left>\S+(?: days?, \S+)?) left$")
_STEP = re.compile(r"(.+): ([\d,]+) of ([\d,]+), about (?P<left>\S+(?: days?, \S+)?) left$")
_TQDM = re.compile(r"(.*?):? *\d+%\|.*\| *(\d+)/(\d+) \[[\d:]+<(?P<left>[\d:?]+)")


@dataclass(frozen=True)
class LogProgress:
    """Progress that a command has printed.

    Attributes:
        label: What is being done; `epoch` for a training.
        done: Number of steps done.
        total: Number of all steps.
        seconds_left: Time left as the command estimates it, in seconds; None if it does not.
    """

    label: str
    done: int
    total: int
    seconds_left: int | None


def read_log(path: Path) -> list[str]:
    """Return the last lines of a log as a terminal would show them: plain text, a bar in its last state only."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - _BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [_shown(line) for line in text.split("\n")]
    if start:
        lines = lines[1:]  # cut in two
    while lines and not lines[-1]:
        lines.pop()
    kept: list[str] = []
    for line in lines:
        # A bar prints a line every few seconds: the newest one stands for all.
        if kept and (bar := _bar(line)) and bar == _bar(kept[-1]):
            kept.pop()
        kept.append(line)
    return kept[-_LINES:]


def log_progress(lines: list[str]) -> LogProgress | None:
    """Return the progress that the newest lines tell of; None if they tell of none."""
    for line in reversed([line for line in lines if line.strip()][-_RECENT:]):
        for pattern in (_EPOCH, _STEP, _TQDM):
            if match := pattern.match(line):
                done, total = (int(match[number].replace(",", "")) for number in (2, 3))
                if 0 <= done <= total and total:
                    return LogProgress(match[1].strip(), done, total, _seconds(match["left"]))
    return None


def _bar(line: str) -> str:
    """Return what the line of a bar is about, without its numbers; empty for any other line."""
    match = _STEP.match(line) or _TQDM.match(line)
    return re.sub(r"\d+", "0", match[1]) if match else ""


def _shown(line: str) -> str:
    # What comes after a carriage return is written over what stood there.
    parts = [part for part in _ESCAPES.sub("", line).split("\r") if part.strip()]
    last = parts[-1] if parts else ""
    return "".join(sign for sign in last[:_WIDTH] if sign == "\t" or unicodedata.category(sign)[0] != "C").rstrip()


def _seconds(text: str) -> int | None:
    """Return seconds of `0:01:30`, `01:30` or `1 day, 2:00:00`; None of anything else."""
    match = re.fullmatch(r"(?:(\d+) days?, )?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
