"""Text on the terminal: results on standard output, progress and remarks on standard error."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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


def progress(shown_on: Console | None) -> Progress:
    """Return a progress bar that is removed at its end; nothing is shown without a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=shown_on,
        disable=shown_on is None or not shown_on.is_terminal,
        transient=True,
        redirect_stdout=False,  # rows that a command prints meanwhile belong on standard output
    )
