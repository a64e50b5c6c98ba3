"""HTTP routes of the Runs view: the table, one run, two runs compared, and a run's report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Response

from bball_pl import project
from bball_pl.errors import DatasetError
from bball_pl.evaluate.predictions import read_answers
from bball_pl.studio.runs.runs_reading import (
    REPORT,
    different_settings,
    read_config,
    run_detail,
    run_folders,
    run_summary,
    setting,
    short_path,
)
from bball_pl.studio.state import Context, CurrentContext

router = APIRouter(prefix="/api/runs")

_SPLIT = "test"
#: The report is one file with inline style and script, possibly from an untrusted source. The sandbox gives it an
#: opaque origin, so it can request nothing from the studio or from anywhere else.
REPORT_HEADERS = {
    "content-security-policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # Browsers refuse to show a sandboxed page that asks for a browsing context group of its own.
    "cross-origin-opener-policy": "unsafe-none",
    "cache-control": "no-cache",
}


@router.get("")
def table(context: CurrentContext) -> dict[str, Any]:
    """All runs."""
    logs = context.settings.logs
    found = [_cleaned(context, run_summary(name, run)) for name, run in run_folders(logs)]
    return {"runs": found, "logs": logs.name, "tensorboard": f"tensorboard --logdir {short_path(logs)}"}


@router.get("/compare")
async def compare(a: str, b: str, context: CurrentContext) -> dict[str, Any]:
    """Two runs compared on the same photos."""
    run_a, run_b = context.safe_run(a), context.safe_run(b)
    # Bootstrapping takes a core for a second: in the compute thread, where comparisons do not slow each other down.
    found = await context.computed(compare_runs, a, run_a, b, run_b)
    if found["comparison"] is not None:
        _add_pictures(context, found["comparison"]["photos"], run_b)
    return _cleaned(context, found)


@router.get("/{experiment}/{version}")
def run(experiment: str, version: str, context: CurrentContext) -> dict[str, Any]:
    """Everything about one run."""
    name = f"{experiment}/{version}"
    return _cleaned(context, run_detail(name, context.safe_run(name)))


@router.get("/{experiment}/{version}/report")
def report(experiment: str, version: str, context: CurrentContext) -> Response:
    """The report of a run."""
    path = context.safe_run(f"{experiment}/{version}") / REPORT
    if not path.is_file() or path.is_symlink():
        raise HTTPException(404, "this run has no report yet; make it with bball evaluate")
    return Response(path.read_bytes(), media_type="text/html; charset=utf-8", headers=REPORT_HEADERS)


def compare_runs(name_a: str, run_a: Path, name_b: str, run_b: Path) -> dict[str, Any]:
    """Compare two runs as far as possible.

    Args:
        name_a: `experiment/version_N` of the baseline run.
        run_a: folder of the baseline run.
        name_b: name of the candidate run.
        run_b: folder of the candidate run.

    Returns:
        `settings`, those that differ; `comparison`, as `bball evaluate --compare` writes it to `comparison.json`,
        with `agrees` and, as `photos`, the rows of `changed.csv`, or null with the `reason` if the runs cannot be
        compared; `uncalibrated`, those of `a` and `b` whose predictions precede the calibration.
    """
    # Imported here: Lightning takes seconds.
    from bball_pl.evaluate.compare import compare_answers, comparison_json
    from bball_pl.evaluate.results import is_evaluated

    found: dict[str, Any] = {"a": name_a, "b": name_b, "comparison": None, "reason": "", "settings": None}
    try:
        found["settings"] = different_settings(read_config(run_a), read_config(run_b))
    except ValueError as error:
        found["settings_reason"] = f"{project.CONFIG} {error}"
    found["uncalibrated"] = [side for side, run in (("a", run_a), ("b", run_b)) if not is_evaluated(run, _SPLIT)]
    try:
        a, b = (read_answers(run / project.predictions_file(_SPLIT)) for run in (run_a, run_b))
        comparison = compare_answers(a, b, name_a, name_b)
    except DatasetError as error:
        return found | {"reason": str(error)}
    photos = [asdict(row) for row in comparison.changed]
    found["comparison"] = comparison_json(comparison) | {"agrees": comparison.agrees, "photos": photos}
    return found


def _add_pictures(context: Context, rows: list[dict[str, Any]], run: Path) -> None:
    """Add the id of its picture to each photo, as `photo`; empty if the file is not in the run's dataset."""
    try:
        root = Path(str(setting(read_config(run), "data.root") or ""))
    except ValueError:
        root = Path()
    has_dataset = root.is_absolute() and root.is_dir()
    for row in rows:
        path = root / row["path"]
        # A name in a table must not lead out of the dataset; PhotoIds resolves links as well.
        inside = has_dataset and ".." not in path.parts and path.is_relative_to(root) and path.is_file()
        row["photo"] = context.photos.add(path, root) if inside else ""


def _cleaned(context: Context, found: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without absolute paths, except in the commands, which need them."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return context.clean(value)
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {clean(key): item if key == "commands" else clean(item) for key, item in value.items()}
        return value

    return {key: value if key == "commands" else clean(value) for key, value in found.items()}
