"""Progress is shown by a bar on a terminal, and by lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bball_pl import terminal
from bball_pl.terminal import progress


def worked(console: Console | None) -> None:
    with progress(console) as bar:
        task = bar.add_task("measuring photos", total=4)
        for _ in range(3):
            bar.advance(task)
        bar.update(task, completed=4)


def test_a_log_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY", 0.0)
    log = io.StringIO()
    worked(Console(file=log))
    lines = log.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [f"measuring photos: {done} of 4" for done in (1, 2, 3, 4)]
    assert all("left" in line for line in lines)


def test_work_of_seconds_leaves_the_log_as_it_is() -> None:
    log = io.StringIO()
    worked(Console(file=log))
    assert not log.getvalue()


def test_a_terminal_gets_the_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY", 0.0)
    screen = io.StringIO()
    worked(Console(file=screen, force_terminal=True, width=80))
    assert " left" not in screen.getvalue()
    worked(None)
