"""One training step and every export of many timm backbones: what converts, how exactly, how fast, and what does not.

    python benchmarks/export_backbones.py                                # all; goes on where an earlier call ended
    python benchmarks/export_backbones.py --only "[swin_tiny_patch4_window7_224]" --again
    python benchmarks/export_backbones.py --write true                        # puts the table into docs/export.md

Each backbone has random weights of a seed, three classes, batch norm with the statistics of a few pictures, and a
temperature that spreads its probabilities. Steps and exports of a backbone run in processes of their own, so that a
signal is a row of the table and not its end. Every file is read back from disk and compared with torch on the pictures.
"""

from __future__ import annotations

import datetime
import json
import multiprocessing
import platform
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from backbones import BACKBONES
from jsonargparse import auto_cli
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bball_pl.errors import BballError, exit_on_error
from bball_pl.export.coreai import write_coreai
from bball_pl.export.coreml import write_coreml
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.files import write_text
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.recipe import parameter_groups
from bball_pl.moves import MOVES
from bball_pl.verify.parity import FP16_LIMIT
from bball_pl.verify.runners import runner_for

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "export.md"
BEGIN, END = "<!-- backbones: begin -->", "<!-- backbones: end -->"

#: Columns of the table: format and route. A NeuralNetwork takes a program of any of the three routes.
COLUMNS = (
    "ONNX",
    "ML Program, trace",
    "ML Program, export",
    "ML Program, onnx",
    "NeuralNetwork, trace",
    "NeuralNetwork, export",
    "NeuralNetwork, onnx",
    "Core AI",
)
STEP = "step"
#: A step or the exports of a backbone that take longer than this many seconds of a processor are ended.
LIMIT = 900
#: Standard deviation of the logits over the pictures, after the temperature.
_SPREAD = 1.5
#: Smallest side in pixels that a step is taken with: a fault of memory hides at smaller ones.
_STEP_SIZE = 96
_CALIBRATION, _COMPARED = 8, 4


def export_backbones(
    only: list[str] | None = None,
    columns: list[str] | None = None,
    results: Path = ROOT / "exports" / "backbones.jsonl",
    again: bool = False,
    write: bool = False,
) -> None:
    """Measure the backbones that have no results yet, and print the table or put it into the page.

    Args:
        only: names of backbones. Default: all of them.
        columns: names of columns. Default: all of them.
        results: file of the results, one JSON object a line; an interrupted call goes on from it.
        again: measures backbones that have results as well.
        write: puts the table into docs/export.md instead of printing it.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    names = list(BACKBONES) if only is None else only
    wanted = [STEP, *COLUMNS] if columns is None else columns
    for name in names:
        done = set() if again else _read(results).get(name, {}).keys()
        left = [column for column in wanted if column not in done]
        for job, part in ((_step, [STEP]), (_exports, COLUMNS)):
            if missing := [column for column in part if column in left]:
                _in_a_process(job, name, BACKBONES[name], results, missing)
    table = _table(_read(results))
    if write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        write_text(PAGE, f"{before}{BEGIN}\n\n{table}\n{END}{after}")
    else:
        print(table)


# --- one backbone, in a process of its own --------------------------------------------------------------------------


def _in_a_process(
    job: Callable[[str, int, Path, Sequence[str]], None], name: str, size: int, results: Path, columns: Sequence[str]
) -> None:
    context = multiprocessing.get_context("forkserver")
    # The imports take longer than a small conversion: the server has done them before it forks.
    context.set_forkserver_preload(["coremltools", "lightning", "timm", "torch", "bball_pl.export.formats"])
    process = context.Process(target=_limited, args=(job, name, size, results, columns), daemon=True)
    begun = time.time()
    process.start()
    process.join()
    code = process.exitcode or 0
    if code == 0:
        return
    if code == -signal.SIGXCPU:
        reason = f"ended after {LIMIT} s of a processor"
    else:
        reason = signal.Signals(-code).name if code < 0 else f"ended with status {code}"
    seen = _read(results).get(name, {})
    left = [column for column in columns if seen.get(column, {}).get("written", 0) < begun]
    for column in left[:1]:
        _note(results, name, size, column, "signal", 0.0, reason=reason)
    for column in left[1:]:
        _note(results, name, size, column, "not tried", 0.0, reason=f"{left[0]}: {reason}")


def _limited(job: Callable[..., None], *arguments: object) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    job(*arguments)


def _step(name: str, size: int, results: Path, columns: Sequence[str]) -> None:
    """Take one training step: forward, backward, optimiser."""
    size = max(size, _STEP_SIZE)
    torch.set_num_threads(1)

    def work() -> None:
        classifier = _classifier(name, size).train()
        images = _images(classifier, 4)
        optimiser = torch.optim.AdamW(parameter_groups(classifier.network.net, 1e-3, 0.9, 0.05), lr=1e-3, fused=True)
        before = [parameter.detach().clone() for parameter in classifier.parameters()]
        loss = nn.functional.cross_entropy(classifier(images), torch.arange(4) % len(MOVES))
        loss.backward()
        optimiser.step()
        if not torch.isfinite(loss) or all(map(torch.equal, before, classifier.parameters())):
            raise ArithmeticError(f"a loss of {loss.item():.3g}, or no weight has changed")

    for column in columns:
        _measured(results, name, size, column, work)


def _exports(name: str, size: int, results: Path, columns: Sequence[str]) -> None:
    """Write the backbone in every format and by every route, and compare each file with torch."""
    torch.set_num_threads(1)
    # Some of those that the network was calibrated on: the answers to others may all be 0 or 1.
    photos = _photos(size, _CALIBRATION)[:_COMPARED]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            model, expected = _deployed(name, size, photos)
        except Exception as error:
            for column in columns:
                _note(results, name, size, column, "failed", 0.0, reason=f"{type(error).__name__}: {error}")
            return
        for column in columns:
            _measured(results, name, size, column, partial(_difference, model, folder, column, photos, expected))


def _deployed(name: str, size: int, photos: np.ndarray) -> tuple[DeployModel, np.ndarray]:
    """Return the network as it is shipped, and torch's answers, float32 `[photos, classes]`."""
    classifier = _classifier(name, size).eval()
    temperature = _calibrate(classifier)
    with torch.inference_mode():
        images = classifier.spec.normalise(torch.from_numpy(photos).permute(0, 3, 1, 2))
        expected = torch.softmax(classifier(images) / temperature, 1).numpy()
    return DeployModel(classifier, temperature).eval(), expected


def _difference(model: DeployModel, folder: Path, column: str, photos: np.ndarray, expected: np.ndarray) -> float:
    """Write one file, read it back, and return the largest difference of its answers from torch's."""
    form, _, name = column.partition(", ")
    route: Any = name
    about = About("", "", "", model.class_names, model.spec, model.backbone, 1.0, None, "", "", None, "")
    interface, onnx_file = interface_for(model.class_names), folder / "model.onnx"
    if form == "ONNX" or (route == "onnx" and not onnx_file.exists()):
        write_onnx(model, onnx_file, interface, about)
    if form == "ONNX":
        path = onnx_file
    elif form == "Core AI":
        path = write_coreai(model, folder / "model.aimodel", interface, about)
    elif form == "ML Program":
        path = write_coreml(
            model, folder / f"{route}.mlpackage", interface, about, "mlprogram", "iOS16", route, "fp32", onnx_file
        )
    else:
        path = write_coreml(
            model, folder / f"{route}.mlmodel", interface, about, "neuralnetwork", "iOS14", route, "fp32", onnx_file
        )
    runner = runner_for(path)
    try:
        answers = np.stack([runner.probabilities(photo) for photo in photos])
    finally:
        runner.close()
    return float(np.abs(answers - expected).max())


def _measured(results: Path, name: str, size: int, column: str, work: Callable[[], float | None]) -> None:
    # The processor's time, because other work on the machine does not count in it.
    started = time.process_time()
    try:
        difference = work()
        _note(results, name, size, column, "done", time.process_time() - started, difference)
    except BballError as error:
        _note(results, name, size, column, "refused", time.process_time() - started, reason=str(error))
    except Exception as error:  # every failure is a row
        reason = f"{type(error).__name__}: {error}"
        _note(results, name, size, column, "failed", time.process_time() - started, reason=reason)


def _note(
    results: Path,
    name: str,
    size: int,
    column: str,
    outcome: str,
    seconds: float,
    difference: float | None = None,
    reason: str = "",
) -> None:
    row = {
        "backbone": name,
        "size": size,
        "column": column,
        "outcome": outcome,
        "difference": difference,
        "cpu_seconds": round(seconds, 2),
        "written": round(time.time(), 2),
        "reason": " ".join(reason.split())[:400],
    }
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


@torch.no_grad()
def _classifier(name: str, size: int) -> MoveClassifier:
    torch.manual_seed(0)
    classifier = MoveClassifier([move.name for move in MOVES], name, "none", image_size=size, probe=False, dropout=0.0)
    for parameter in classifier.parameters():
        # Scales of branches and heads begin at zero or nearly so: a fault in what they multiply would not show.
        if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return classifier


def _photos(size: int, number: int) -> np.ndarray:
    """Return smooth coloured pictures, uint8 `[number, size, size, 3]`: noise alone would look all the same."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand((number, 3, 5, 5), generator=generator)
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    noisy = smooth + 0.1 * torch.randn(smooth.shape, generator=generator)
    return noisy.mul(255).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _images(classifier: MoveClassifier, number: int) -> Tensor:
    photos = torch.from_numpy(_photos(classifier.spec.size, number))
    return classifier.spec.normalise(photos.permute(0, 3, 1, 2))


@torch.no_grad()
def _calibrate(classifier: MoveClassifier) -> float:
    """Give batch norm its statistics and the logits a mean of 0 over the pictures; return the temperature.

    Without it the values of an untrained network leave any range, or its answers are the same for every picture, and
    then a wrong conversion would not show.
    """
    images = _images(classifier, _CALIBRATION)
    norms = [module for module in classifier.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.momentum = None
        norm.train()
    classifier(images)
    classifier.eval()
    logits = classifier(images)
    for name, parameter in classifier.network.net.named_parameters():
        if parameter.shape == (len(MOVES),) and name.endswith("bias"):
            parameter.sub_(logits.mean(0))
    return float(logits.std(0).mean() / _SPREAD) or 1.0


# --- the table ------------------------------------------------------------------------------------------------------


def _read(results: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the latest row of each backbone and column."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    if results.is_file():
        for line in results.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.setdefault(row["backbone"], {})[row["column"]] = row
    return rows


def _table(rows: dict[str, dict[str, dict[str, Any]]]) -> str:
    names = [name for name in BACKBONES if name in rows]
    columns = [column for column in (STEP, *COLUMNS) if any(column in rows[name] for name in names)]
    reasons: dict[str, int] = {}

    def cell(row: dict[str, Any] | None) -> str:
        if row is None:
            return "·"
        if row["outcome"] == "done":
            if row["difference"] is None:
                return "✓"
            text = f"{row['difference']:.0e} ({row['cpu_seconds']:.0f} s)"
            return text if _holds(row) else f"**{text}**"
        reason = re.sub(r"/\S*/", "", row["reason"]).replace("|", "/").replace(row["backbone"], "NAME")
        text = reason if row["outcome"] == "refused" else f"{row['outcome']}: {reason}"
        return f"[{reasons.setdefault(text, len(reasons) + 1)}]"

    lines = ["| backbone | px | " + " | ".join(columns) + " |", "|---|---:|" + "---|" * len(columns)]
    for name in names:
        cells = [cell(rows[name].get(column)) for column in columns]
        lines.append(f"| `{name}` | {BACKBONES[name]} | " + " | ".join(cells) + " |")
    found = [row for name in names for row in rows[name].values()]
    signals = sum(row["outcome"] == "signal" for row in found)
    counts = []
    for column in columns:
        tried = [rows[name][column] for name in names if column in rows[name]]
        counts.append(f"{column}: {sum(map(_holds, tried))} of {len(tried)}")
    day = datetime.date.fromtimestamp(max(row["written"] for row in found)).isoformat() if found else ""
    tools = ", ".join(f"{tool} {version(tool)}" for tool in ("torch", "timm", "coremltools", "onnxruntime"))
    head = f"{len(names)} backbones. {'; '.join(counts)}. Ended by a signal: {signals}. {day}, {_processor()}; {tools}."
    notes = [f"[{number}] {text}" for text, number in reasons.items()]
    return "\n".join([head, "", *lines, "", "\n\n".join(notes), ""])


def _holds(row: dict[str, Any]) -> bool:
    """Return whether a step was taken, or a file answers as torch does, rounding aside."""
    return row["outcome"] == "done" and (row["difference"] is None or row["difference"] <= FP16_LIMIT)


def _processor() -> str:
    """Return the processor's name, where Linux tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"one core of an {line.partition(':')[2].strip()}"
    return f"one core, {platform.machine()}"


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(export_backbones, as_positional=False)
