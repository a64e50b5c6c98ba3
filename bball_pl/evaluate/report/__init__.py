"""The report of an evaluation: one self-contained page, or Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from bball_pl.evaluate.evaluation import Evaluation
from bball_pl.evaluate.predictions import gallery_rows
from bball_pl.files import write_text

__all__ = ["gallery_rows", "write_report"]


def write_report(
    evaluation: Evaluation,
    path: Path,
    heat_maps: Mapping[int, np.ndarray] | None = None,
    form: Literal["html", "md"] = "html",
) -> Path:
    """Write the report of an evaluation, whole or not at all; the same evaluation gives the same bytes.

    Args:
        evaluation: of one photo or more.
        path: file to write.
        heat_maps: what the network looked at, by row of the answers: float32 `[h, w]`, 0–1, in the proportions of the
            photo. `gallery_rows` says which rows are shown. None, or a missing row: the report says so.
        form: html is one page with pictures that fetches nothing; md has the same figures in tables, without pictures.

    Returns:
        `path`.
    """
    from bball_pl.evaluate.report.content import collect

    content = collect(evaluation)
    if form == "md":
        from bball_pl.evaluate.report.markdown import render_markdown

        write_text(path, render_markdown(content))
    else:
        from bball_pl.evaluate.report.report_page import render_page

        write_text(path, render_page(content, heat_maps))
    return path
