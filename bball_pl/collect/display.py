"""What a person sees of a job: a bar while it runs, and at the end what came and what was left out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bball_pl.classes import UNSORTED
from bball_pl.collect.finds import Source
from bball_pl.collect.inbox import LEFT_OUT, PHOTOS
from bball_pl.collect.job import Summary
from bball_pl.collect.names import cell
from bball_pl.collect.pace import Pace
from bball_pl.runs import ROOT

_MOST_ALBUMS = 20


class Bar:
    """A progress bar on standard error; a context manager.

    Args:
        source: whose photos are collected.
        pace: whose long waits are told.
    """

    def __init__(self, source: Source, pace: Pace) -> None:
        self._source = source
        pace.notice = self.waits
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(source.name, total=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def show(self, summary: Summary) -> None:
        """Move to what a summary says."""
        text = f"{self._source.name}: {summary.new} new, {summary.left_out.total()} left out"
        self._progress.update(self._task, description=text, completed=summary.seen, total=self._source.expected)

    def waits(self, host: str, seconds: float) -> None:
        """Say that a host wants to be left alone."""
        self._progress.console.print(f"waiting {_length(seconds)} for {host}", style="dim", markup=False)


def summary_lines(summary: Summary, root: Path, dry_run: bool) -> Iterator[str]:
    """Yield what a job did, line by line.

    Args:
        summary: of the job.
        root: folder of the inbox.
        dry_run: whether nothing was fetched.
    """
    if dry_run:
        yield f"{summary.new} photos would be fetched to {root}, {summary.known} are there"
        for album, count in summary.albums.most_common(_MOST_ALBUMS):
            yield f"  {count:6d}  {cell(album)}"
        if len(summary.albums) > _MOST_ALBUMS:
            yield f"          and {len(summary.albums) - _MOST_ALBUMS} more albums"
    else:
        changed = f", {summary.changed} fetched anew" if summary.changed else ""
        size = f" ({summary.size / 1e6:.1f} MB)"
        yield f"{summary.new} new photos{size} in {root / UNSORTED}{changed}, {summary.known} were there"
    if summary.left_out:
        yield f"{summary.left_out.total()} left out:"
        for why, count in summary.left_out.most_common():
            yield f"  {count:6d}  {cell(why)}"
        if not dry_run:
            yield f"each with its reason: {root / LEFT_OUT}"
    if summary.new and not dry_run:
        yield f"where each is from: {root / PHOTOS}"
        yield f"next: sort them in a browser, or move them from {UNSORTED}/ to folders beside it, one a class; audit"
        for script, option in (("studio.py", "--inbox"), ("audit.py", "")):
            words = [sys.executable, str(ROOT / "scripts" / script), option, str(root)]
            yield f"  {shlex.join(word for word in words if word)}"


def _length(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
