"""Text on the terminal: results on standard output, progress and remarks on standard error."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

#: Results. Both consoles look up the stream, its width and whether it is a terminal each time that they print.
console = Console()
#: Progress and remarks.
log = Console(stderr=True)


def say(*lines: object) -> None:
    """Print lines as they are: neither wrapped nor coloured, because paths and commands are copied from them."""
    for line in lines:
        console.print(str(line), soft_wrap=True, highlight=False, markup=False)


def say_next(*commands: str) -> None:
    """Print the commands to type next, each made by `project.next_step`."""
    say("next:", *(f"  {command}" for command in commands))


#: Seconds between two lines of progress where no terminal shows the bar; the studio, which shows them, wants more.
LINE_EVERY = 2.0 if "BBALL_JOB" in os.environ else 30.0


class _Bar(Progress):
    """A progress bar; where no terminal shows it, as in a log file, a line now and then."""

    def __init__(self, *columns: Any, shown_on: Console | None) -> None:
        super().__init__(
            *columns,
            console=shown_on,
            disable=shown_on is None or not shown_on.is_terminal,
            transient=True,
            redirect_stdout=False,  # rows that a command prints meanwhile belong on standard output
        )
        self._lines_on = None if shown_on is None or shown_on.is_terminal else shown_on
        self._begun = self._last = time.monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._print_line(task_id)

    def update(self, task_id: TaskID, **fields: Any) -> None:
        super().update(task_id, **fields)
        self._print_line(task_id)

    def _print_line(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if self._lines_on is None or now - self._last < LINE_EVERY:
            return
        self._last = now
        task = next(task for task in self.tasks if task.id == task_id)
        line = f"{task.description}: {task.completed:,.0f}"
        if task.total and task.completed:
            left = (now - self._begun) * (task.total - task.completed) / task.completed
            line += f" of {task.total:,.0f}, about {timedelta(seconds=round(left))} left"
        self._lines_on.print(line, soft_wrap=True, highlight=False, markup=False)


def progress(shown_on: Console | None) -> Progress:
    """Return a progress bar that is removed at its end; without a terminal a line every `LINE_EVERY` seconds."""
    return _Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        shown_on=shown_on,
    )
