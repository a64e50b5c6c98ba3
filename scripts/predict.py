"""Answer photos and videos with a trained checkpoint.

python scripts/predict.py photo.jpg album/ 'albums/**/*.heic' game.mp4
find album -name '*.jpg' | python scripts/predict.py - > answers.csv
python scripts/predict.py album/ game.mp4 --annotate annotated --out answers.csv

Every option: python scripts/predict.py --help
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from bball_pl.errors import ConfigError, exit_on_error, quiet_pipe
from bball_pl.predict.sources import find_sources


def predict(
    sources: list[str],
    run: Path | None = None,
    ckpt: Path | None = None,
    format: Literal["table", "csv", "jsonl"] | None = None,
    out: Path | None = None,
    annotate: Path | None = None,
    threshold: float | None = None,
    fps: float = 4.0,
    smooth: float = 0.75,
    batch_size: int = 32,
    device: str = "auto",
    precision: Literal["32", "bf16", "auto"] = "32",
) -> None:
    """Answer photos and videos with a trained checkpoint.

    Exit status: 0 if all were answered, 1 if some failed (they are listed at the end), 2 if nothing could be done.

    CSV has the columns path, answer, predicted, confidence, prob_<class> for every class, frame, seconds, smoothed;
    JSON lines have the same keys, with the probabilities as an object. The answer is "unsure" if the confidence is
    below the threshold, predicted is the most probable class all the same. The last three are of videos, a row per
    answered frame, and empty for photos: the frame's number, its time, and the answer after smoothing.

    Args:
        sources: photos, videos, folders, patterns in quotes, or - for a list on standard input.
        run: folder of a run, whose best checkpoint answers; the newest run unless given, and before there is a run
            the model that the package brings along, which has seen no real photo.
        ckpt: a checkpoint file instead.
        format: a table on a terminal and CSV elsewhere unless given; for a file its suffix decides.
        out: writes the answers to this file, or to predictions.csv in this folder, when all are there.
        annotate: folder for annotated copies of the photos (JPEG) and videos (MP4, without sound).
        threshold: confidence below which the answer is "unsure", 0-1; the calibration's unless given.
        fps: frames of a video that are answered per second.
        smooth: seconds to both sides over which a video's answers are averaged; 0 switches it off.
        batch_size: photos in one pass of the network.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
        precision: 32 gives the same figures on every machine; bf16 is faster where the hardware has it; auto chooses.
    """
    if run is not None and ckpt is not None:
        raise ConfigError("--run and --ckpt are both given; pass one of them")
    if not 0 < fps < float("inf") or not 0 <= smooth < float("inf"):
        raise ConfigError(f"--fps is {fps} and --smooth is {smooth}; expected numbers above 0, and 0 or above")
    found = find_sources(sources, sys.stdin.buffer, leave_out=annotate)
    if not found.sources:
        raise ConfigError("\n".join(["there is nothing to answer:", *list(found.failure_lines())[1:]]))
    # Not above: torch takes seconds, and a misspelt name should be reported at once.
    from bball_pl.evaluate.trained_model import TrainedModel
    from bball_pl.predict.predict import predict_all

    model = TrainedModel.open(
        ckpt or run, threshold=threshold, batch_size=batch_size, device=device, precision=precision
    )
    summary = predict_all(model, found, format, out, annotate, fps, smooth)
    for line in (summary, *found.failure_lines()):
        print(line, file=sys.stderr)
    if found.failures:
        sys.exit(1)


class _Help(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the paragraphs of the description."""


if __name__ == "__main__":
    with exit_on_error(), quiet_pipe():
        # Not auto_cli: it knows a list only in brackets, [a.jpg,b.jpg], and a shell makes words of a pattern.
        parser = ArgumentParser(
            description=(inspect.getdoc(predict) or "").partition("\n\nArgs:")[0], formatter_class=_Help
        )
        parser.add_argument("sources", nargs="+", type=str, help="files, folders, patterns in quotes, or - (see above)")
        parser.add_function_arguments(predict, as_group=False, skip={"sources"})
        predict(**parser.parse_args().as_dict())
