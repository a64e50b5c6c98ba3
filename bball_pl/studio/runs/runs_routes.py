"""HTTP routes of the view Runs: the table, a run, two runs compared, and a run's report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Response

from bball_pl.studio.runs.runs_reading import REPORT, near, run_detail, run_folders, run_summary
from bball_pl.studio.runs.runs_settings import read_config, setting
from bball_pl.studio.state import Context

#: The report is one file with its style and its script inside. It may have come from anybody: in its sandbox it is of
#: no origin, so that it can neither ask the studio nor anyone else for anything.
REPORT_HEADERS = {
    "content-security-policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # A page in a sandbox may not ask for a window group of its own; browsers refuse to show it.
    "cross-origin-opener-policy": "unsafe-none",
    "cache-control": "no-cache",
}


def router(context: Context) -> APIRouter:
    """Return the routes below `/api/runs`."""
    routes = APIRouter(prefix="/api/runs")

    @routes.get("")
    def table() -> dict[str, Any]:
        logs = context.settings.logs
        found = [_cleaned(context, run_summary(name, run)) for name, run in run_folders(logs)]
        return {"runs": found, "logs": logs.name, "tensorboard": f"tensorboard --logdir {near(logs)}"}

    @routes.get("/compare")
    async def compare(a: str, b: str) -> dict[str, Any]:
        # Here, because it brings Lightning along, which takes seconds.
        from bball_pl.studio.runs.runs_settings import compare_runs

        run_a, run_b = context.safe_run(a), context.safe_run(b)
        # Two thousand resamples: in the thread of the networks, where they do not slow each other down.
        found = await context.computed(compare_runs, a, run_a, b, run_b)
        if found["comparison"] is not None:
            _add_pictures(context, found["comparison"]["photos"], run_b)
        return _cleaned(context, found)

    @routes.get("/{experiment}/{version}")
    def run(experiment: str, version: str) -> dict[str, Any]:
        name = f"{experiment}/{version}"
        return _cleaned(context, run_detail(name, context.safe_run(name)))

    @routes.get("/{experiment}/{version}/report")
    def report(experiment: str, version: str) -> Response:
        path = context.safe_run(f"{experiment}/{version}") / REPORT
        if not path.is_file() or path.is_symlink():
            raise HTTPException(404, "this run has no report yet; make it with scripts/evaluate.py")
        return Response(path.read_bytes(), media_type="text/html; charset=utf-8", headers=REPORT_HEADERS)

    return routes


def _add_pictures(context: Context, rows: list[dict[str, Any]], run: Path) -> None:
    """Give photos the id of their picture, as `photo`; empty if the dataset is not where the run had it."""
    try:
        root = Path(str(setting(read_config(run), "data.root") or ""))
    except ValueError:
        root = Path()
    there = root.is_absolute() and root.is_dir()
    for row in rows:
        path = root / row["path"]
        # A name in a table of answers must not lead out of the dataset; the registry resolves links as well.
        inside = there and ".." not in path.parts and path.is_relative_to(root) and path.is_file()
        row["photo"] = context.photos.add(path, root) if inside else ""


def _cleaned(context: Context, found: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose texts hold no path of this disk, but for the commands, which need them."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return context.clean(value)
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {clean(key): own if key == "commands" else clean(own) for key, own in value.items()}
        return value

    return {key: value if key == "commands" else clean(value) for key, value in found.items()}
