"""Jobs of the studio for tests: a project of its own, commands that take long, and the wait for their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bball_pl.studio.steps.jobs import Job, Jobs

from helpers.studio_server import Studio


def long_command(out: Path) -> list[str]:
    """Return the words of a real command that would take minutes and can be stopped at any time."""
    return ["demo", "--train", "9000", "--test", "300", "--workers", "1", "--out", str(out)]


def wait_for(read: Callable[[], Any], seconds: float = 600) -> Any:
    """Return the first value of `read` that is true."""
    ends = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < ends, "nothing came of it"
        time.sleep(0.05)
    return found


def end_of(jobs: Jobs, job: Job) -> Job:
    """Wait for the end of a job, and return it."""

    def ended() -> Job | None:
        found = jobs.get(job.id)
        assert found is not None
        return None if found.is_running else found

    found = wait_for(ended)
    assert isinstance(found, Job)
    return found


def project_studio(folder: Path, more: Mapping[str, str] | None = None) -> Studio:
    """Return a studio, not started, whose commands work in a project of their own."""
    (folder / "lightning_logs").mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    variables = {"BBALL_PROJECT": str(folder), **(more or {})}
    return Studio(folder, [f"--logs={folder / 'lightning_logs'}"], variables)


def job_of(studio: Studio, number: str) -> dict[str, Any]:
    """Return a job as the page gets it."""
    found: dict[str, Any] = studio.get(f"/api/steps/jobs/{number}")
    return found


def ended_job(studio: Studio, number: str) -> dict[str, Any]:
    """Wait for the end of a job, and return it as the page gets it."""

    def ended() -> dict[str, Any] | None:
        found = job_of(studio, number)
        return None if found["state"] in {"running", "stopping"} else found

    found: dict[str, Any] = wait_for(ended)
    return found


def send(studio: Studio, upload: str, number: int, name: str, content: bytes, **query: object) -> int:
    """Send a piece of a file, and return the status."""
    words = urlencode({"name": name, **query})
    own = {"X-Studio-CSRF": studio.csrf, "Origin": studio.url}
    return studio.ask("POST", f"/api/steps/uploads/{upload}/{number}?{words}", content, own).status
