"""Pretraining on the teaching court: render scenes, run fit once for each image size, write the weights."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from bball_pl import __version__, project
from bball_pl.errors import ConfigError, RunError
from bball_pl.model.court_weights import BACKBONE, CAUTION, write_weights

#: Test scenes as a share of the training scenes.
_TEST_SHARE = 0.05


def pretrain(
    *,
    scenes: int = 10_000,
    seed: int = 7,
    backbone: str = BACKBONE,
    weights: str | None = None,
    sizes: tuple[int, ...] = (160, 224),
    epochs: tuple[int, ...] = (3, 4),
    data: Path | None = None,
    name: str = "pretrain",
    out: Path | None = None,
    temperature: float = 1.0,
    none_offset: float = 0.0,
    workers: int | None = None,
    options: tuple[str, ...] = (),
) -> Path:
    """Train a backbone on rendered scenes, before there is a real photo, and write its weights as one file.

    The scenes are rendered once; each training stage is a run of fit with configs/pretrain.yaml. Repeating the command
    resumes it: existing scenes, finished stages and the checkpoint of a stopped stage are reused.

    Args:
        scenes: number of rendered training scenes; a twentieth more is rendered for the test.
        seed: random seed of scenes and training.
        backbone: timm name.
        weights: initial weights, as --model.weights of fit (default: pip for tf_efficientnet_lite0, else hub).
        sizes: image size of each stage in pixels; starting small is faster.
        epochs: number of epochs of each stage.
        data: folder of the scenes (default: data/court_SCENES_SEED).
        name: experiment name; a stage is lightning_logs/NAME_SIZE/version_N.
        out: file to write (default: exports/BACKBONE.court.safetensors).
        temperature: softmax temperature, folded into the head of the written file.
        none_offset: number added to the logit of the class none; below 0 the written file answers none less often.
        workers: number of rendering processes (default: one per core).
        options: further options of fit for every stage, in quotes: "--trainer.devices 4 --trainer.strategy ddp".

    Returns:
        The written file: usable as --model.weights FILE and as --ckpt FILE.

    Raises:
        ConfigError: if `sizes` and `epochs` differ in length or an epoch number is below 1.
        RunError: if a stage fails.
    """
    # Not above: the help of every command imports this module.
    from bball_pl.court.demo_dataset import RENDERER, write_demo
    from bball_pl.model.outcomes import read_checkpoint

    if not sizes or len(sizes) != len(epochs) or min(epochs) < 1:
        raise ConfigError(
            f"--sizes {list(sizes)} and --epochs {list(epochs)}: expected for each size a number of epochs, 1 or more"
        )
    root = data or project.ROOT / "data" / f"court_{scenes}_{seed}"
    result = write_demo(root, scenes, max(8, round(_TEST_SHARE * scenes)), seed, workers, court="teaching")
    print(f"{result.photos} scenes in {result.root}", flush=True)
    start = weights or ("pip" if backbone.split(".", maxsplit=1)[0] == BACKBONE else "hub")
    best: Path | None = None
    commands: list[str] = []
    for size, number in zip(sizes, epochs, strict=True):
        arguments = [
            "--config", str(project.CONFIGS / "pretrain.yaml"), "--name", f"{name}_{size}",
            "--data.root", str(result.root), "--seed_everything", str(seed), "--model.backbone", backbone,
            "--model.image_size", str(size), "--trainer.max_epochs", str(number),
            "--model.weights", start if best is None else str(best),
        ]  # fmt: skip
        if best is not None:
            arguments += ["--model.probe", "false"]  # the stage before knows the classes already
        arguments += [word for option in options for word in shlex.split(option)]
        command = shlex.join(["fit", *arguments]).replace(str(project.CONFIGS / "pretrain.yaml"), "pretrain")
        commands.append(command.replace(str(project.ROOT), "."))
        best = _stage(f"{name}_{size}", arguments)
    if best is None:
        raise RunError("no stage was run")
    target = out or project.ROOT / "exports" / f"{backbone}.court.safetensors"
    facts: dict[str, Any] = {
        "scenes": scenes, "seed": seed, "renderer": RENDERER, "version": __version__, "starting_from": start,
        "sizes": list(sizes), "epochs": list(epochs), "temperature": temperature,
        "none_offset": none_offset, "commands": commands,
        "command": f"pretrain --scenes {scenes} --seed {seed} --backbone {backbone} "
        f"--sizes {' '.join(map(str, sizes))} --epochs {' '.join(map(str, epochs))} --temperature {temperature} "
        f"--none_offset {none_offset}", "caution": CAUTION,
        "licence": "Apache-2.0",
    }  # fmt: skip
    write_weights(read_checkpoint(best), target, facts, temperature, {"none": none_offset})
    print(f"weights: {target} ({target.stat().st_size / 1e6:.1f} MB); {CAUTION}")
    return target


def _stage(name: str, arguments: list[str]) -> Path:
    """Run or resume one stage; return its best checkpoint."""
    runs = sorted((project.ROOT / project.LOGS / name).glob("version_*"), key=lambda run: run.stat().st_mtime)
    command = [sys.executable, "-m", "bball_pl", "fit", *arguments]
    if runs and (runs[-1] / project.METRICS).is_file() and _same(runs[-1], arguments):
        print(f"{runs[-1]} is finished: taken as it is", flush=True)
        return project.best_checkpoint(runs[-1])
    if runs and (last := runs[-1] / project.CHECKPOINTS / project.LAST).is_file() and _same(runs[-1], arguments):
        command += ["--ckpt_path", str(last)]
    # A process of its own: with several GPUs fit starts its command again on each.
    environment = os.environ | {"BBALL_PROJECT": str(project.ROOT)}
    status = subprocess.run(command, env=environment, check=False).returncode
    if status != 0:
        raise RunError(f"a stage ended with status {status}; the same command goes on from its last checkpoint")
    runs = sorted((project.ROOT / project.LOGS / name).glob("version_*"), key=lambda run: run.stat().st_mtime)
    return project.best_checkpoint(runs[-1])


def _same(run: Path, arguments: list[str]) -> bool:
    """Return whether a run was started with these arguments."""
    import yaml  # type: ignore[import-untyped]

    try:
        config = yaml.safe_load((run / project.CONFIG).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    wanted = dict(zip(arguments[::2], arguments[1::2], strict=False))
    model, trainer = config["model"], config["trainer"]
    return bool(
        str(model["image_size"]) == wanted["--model.image_size"]
        and model["backbone"] == wanted["--model.backbone"]
        and model["weights"] == wanted["--model.weights"]
        and str(trainer["max_epochs"]) == wanted["--trainer.max_epochs"]
        and config["data"]["root"] == wanted["--data.root"]
        and str(config["seed_everything"]) == wanted["--seed_everything"]
    )
