"""Photos and videos named on a command line: files, folders, patterns, and a list on standard input."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bball_pl.photos.tree import IMAGE_SUFFIXES, is_litter, walk

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv", ".ogv"}
)

#: Argument for a list on standard input.
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One photo or video.

    Attributes:
        name: as on the command line; for a file in a named folder, the folder's name and its path below.
        is_video: whether it has the suffix of a video. Everything else is read as a photo.
    """

    name: str
    is_video: bool

    @property
    def path(self) -> Path:
        """Path of the file."""
        return Path(self.name)


@dataclass(frozen=True)
class Failure:
    """A named photo, video or folder that is not answered, or only in part, and the reason."""

    name: str
    reason: str


@dataclass
class Found:
    """Photos and videos named on a command line, in its order, each once, even if named twice or through a link."""

    sources: list[Source] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def videos(self) -> int:
        """Number of videos among the sources."""
        return sum(source.is_video for source in self.sources)

    @property
    def real_paths(self) -> set[str]:
        """Files of the sources with links resolved, which must not be overwritten."""
        return {os.path.realpath(source.path) for source in self.sources}

    def failure_lines(self) -> Iterator[str]:
        """Yield the number of failures and a line with the reason of each; nothing without failures."""
        if not self.failures:
            return
        failed = {failure.name for failure in self.failures}
        named = failed | {source.name for source in self.sources}
        yield f"{len(failed)} of {len(named)} {'files' if self.videos else 'photos'} failed:"
        for failure in self.failures:
            yield f"  {failure.name}: {failure.reason}"


def find_sources(names: Sequence[str], stdin: BinaryIO | None, leave_out: Path | None = None) -> Found:
    """List photos and videos without opening them.

    A file is listed whatever its suffix. A folder gives all files below it with the suffix of a photo or a video, in
    the order of their names; hidden files are skipped and links followed. A name that does not exist but contains `*`,
    `?` or `[` is a pattern, `**` for any number of folders; its matches are listed like the files of a folder. `-`
    means names on standard input, one per line, or separated by zero bytes if there are any.

    Args:
        names: names on the command line.
        stdin: read to its end if one of the names is `-`; None if it is closed.
        leave_out: folder that is skipped below a named folder: that of the annotated copies.

    Returns:
        The sources, and a failure for every name without photos or videos, or that cannot be listed.
    """
    found = Found()
    seen: set[str] = set()
    drawn = None if leave_out is None else os.path.realpath(leave_out)
    # A shell leaves `~` in a pattern in quotes.
    names = [name if os.path.lexists(name) else os.path.expanduser(name) for name in names]  # noqa: PTH111
    for entry in _entries(names, stdin, drawn):
        if isinstance(entry, Failure):
            found.failures.append(entry)
            continue
        real = os.path.realpath(entry)
        if real not in seen:
            seen.add(real)
            found.sources.append(Source(entry, Path(entry).suffix.lower() in VIDEO_SUFFIXES))
    return found


def _entries(names: Sequence[str], stdin: BinaryIO | None, drawn: str | None) -> Iterator[str | Failure]:
    for name in names:
        if name == STDIN and stdin is None:
            yield Failure(name, "standard input is closed")
        elif name == STDIN and stdin is not None:
            listed = _listed(stdin.read())
            if not listed:
                yield Failure(STDIN, "standard input lists nothing")
            for line in listed:
                # A listed name is exact, not a pattern.
                yield from _named(line, drawn)
        elif glob.has_magic(name) and _mode(Path(name)) is None:
            yield from _matching(name, drawn)
        else:
            yield from _named(name, drawn)


def _listed(content: bytes) -> list[str]:
    parts = content.split(b"\0") if b"\0" in content else [line.removesuffix(b"\r") for line in content.split(b"\n")]
    return [os.fsdecode(part) for part in parts if part]


def _named(name: str, drawn: str | None) -> Iterator[str | Failure]:
    mode = _mode(Path(name))
    if mode is None:
        yield Failure(name, "there is no such file")
    elif stat.S_ISDIR(mode):
        empty = True
        for entry in _below(Path(name), drawn):
            empty = False
            yield entry
        if empty:
            yield Failure(name, "no photo or video in this folder")
    elif stat.S_ISREG(mode):
        yield name
    else:
        # Reading a device or a pipe may never end.
        yield Failure(name, "neither a file nor a folder")


def _matching(pattern: str, drawn: str | None) -> Iterator[str | Failure]:
    # Not Path.glob: it takes no absolute pattern and finds hidden files.
    matches = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
    named = set(Path(pattern).parts)
    empty = True
    for match in matches:
        if any(is_litter(part) for part in match.parts if part not in named):
            continue
        for entry in _below(match, drawn):
            empty = False
            yield entry
    if empty:
        yield Failure(pattern, "no photo or video has a name like this")


def _below(start: Path, drawn: str | None) -> Iterator[str | Failure]:
    failures: list[Failure] = []

    def failed(folder: Path, error: OSError) -> None:
        failures.append(Failure(str(folder), f"the folder cannot be listed ({error.strerror})"))

    for path in walk(start, failed=failed) if start.is_dir() else [start]:
        if path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
            continue
        if drawn is not None and Path(os.path.realpath(path)).is_relative_to(drawn):
            continue
        mode = _mode(path)
        # A broken link is listed: its photo fails later, with a reason.
        if mode is None or stat.S_ISREG(mode):
            yield str(path)
        else:
            yield Failure(str(path), "neither a file nor a folder")
    yield from failures


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None
