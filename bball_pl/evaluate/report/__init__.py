"""Report of an evaluation: one self-contained page, or Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bball_pl.evaluate.predictions import gallery_rows
from bball_pl.files import write_text

if TYPE_CHECKING:
    from bball_pl.evaluate.evaluation import Evaluation
    from bball_pl.wording import Language

__all__ = ["gallery_rows", "write_report"]


def write_report(
    evaluation: Evaluation,
    path: Path,
    heat_maps: Mapping[int, np.ndarray] | None = None,
    form: Literal["html", "md"] = "html",
    language: Language = "en",
) -> Path:
    """Write the report of an evaluation atomically; the same evaluation gives the same bytes.

    Args:
        evaluation: of one photo or more.
        path: file to write.
        heat_maps: Grad-CAM heat maps by row of the answers: float32 `[h, w]`, 0–1, in the proportions of the photo.
            `gallery_rows` returns the rows that are shown. Default: the report says that there are none.
        form: html is one page with pictures that fetches nothing; md has the same figures in tables, without pictures.
        language: of the coach's page, which the report opens with; the details are in English.

    Returns:
        `path`.
    """
    from bball_pl.evaluate.report.content import collect
    from bball_pl.evaluate.report.report_page import render_markdown, render_page

    content = collect(evaluation, language)
    write_text(path, render_markdown(content) if form == "md" else render_page(content, heat_maps))
    return path
