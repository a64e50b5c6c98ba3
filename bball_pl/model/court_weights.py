"""Court weights: pretraining on rendered scenes, and the weights shipped with the package."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bball_pl import __version__, project
from bball_pl.errors import ConfigError, RunError, WeightsError
from bball_pl.files import refuse_other_kind, write_bytes
from bball_pl.processes import run_child

if TYPE_CHECKING:
    # Torch takes seconds to import, and where the file lies can be said without it.
    from torch import Tensor


#: Backbone of the shipped weights (7 MB): its ImageNet weights are a pip package.
BACKBONE = "tf_efficientnet_lite0"
#: Note shown with every answer of the shipped model.
CAUTION = "this model has seen rendered scenes only, no real photo of a move"

_PREFIX = "network.net."
_KEY = "bball_pl"


def court_checkpoint() -> Path:
    """Return the file of the shipped model, which `read_checkpoint` reads like a run's checkpoint.

    Raises:
        RunError: if the installed package lacks it.
    """
    path = Path(__file__).parent / "weights_data" / f"{BACKBONE}.court.safetensors"
    if not path.is_file():
        raise RunError(f"{path} is missing; install the package again, or make it with bball pretrain")
    return path


def is_court_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Return whether a checkpoint is the shipped model."""
    shipped = Path(__file__).parent / "weights_data"
    return Path(path).resolve().parent == shipped.resolve()


def answering_checkpoint(run: Path | None = None, ckpt: Path | None = None) -> Path:
    """Return the checkpoint to predict with: `ckpt`, the best one of `run` or of the newest run, or the shipped one.

    Raises:
        RunError: if the named run has no best checkpoint.
    """
    if ckpt is not None:
        return ckpt
    if run is not None:
        return project.best_checkpoint(run)
    try:
        return project.best_checkpoint(project.newest_run())
    except RunError:
        return court_checkpoint()


def write_weights(
    checkpoint: dict[str, Any],
    out: Path,
    facts: dict[str, Any],
    temperature: float = 1.0,
    offsets: Mapping[str, float] | None = None,
    size: int | None = None,
) -> None:
    """Write a checkpoint as a safetensors file: float16 weights, classes and preprocessing as metadata.

    Tensors of one dimension (norms, biases) stay float32: they are small, and variances can exceed the float16 range.

    Args:
        checkpoint: Content of a checkpoint, as `read_checkpoint` returns it.
        out: File to write, .safetensors.
        facts: Origin of the weights (command, seed, scenes), JSON values.
        temperature: Divides the logits; folded into the head, so that the file needs no calibration.
        offsets: class name -> number added to its logit, before the temperature.
        size: Side of the input in pixels at which the weights answer; that of the checkpoint by default.

    Raises:
        WeightsError: if the head is not one linear layer of the network.
    """
    import torch
    from safetensors.torch import save

    about = {**checkpoint["bball_pl"], "court": facts}
    about.pop("data", None)
    state = {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    classes = len(about["class_names"])
    head = [name for name in ("classifier", "fc", "head", "head.fc") if f"{name}.weight" in state]
    if len(head) != 1 or state[f"{head[0]}.weight"].shape[0] != classes:
        raise WeightsError(
            f"{out.name}: the network has no linear head for {classes} classes to write the temperature to"
        )
    added = torch.tensor([(offsets or {}).get(name, 0.0) for name in about["class_names"]])
    state[f"{head[0]}.weight"] = state[f"{head[0]}.weight"].float() / temperature
    state[f"{head[0]}.bias"] = (state[f"{head[0]}.bias"].float() + added) / temperature
    tensors = {
        name: (value.to(torch.float16) if value.ndim > 1 else value).contiguous() for name, value in state.items()
    }
    # The file that training started from is not part of the model, and its path means nothing elsewhere.
    about["hyper_parameters"] = {**checkpoint["hyper_parameters"], "weights": "none"}
    if size is not None:
        about["spec"] = {**about["spec"], "size": size}
        about["hyper_parameters"]["image_size"] = size
    # One entry: safetensors writes several in any order, and the same weights are to give the same bytes.
    metadata = {_KEY: json.dumps(about, sort_keys=True)}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, save(tensors, metadata))


def read_weights(path: Path) -> dict[str, Any]:
    """Read a file of `write_weights` in the form of a run's checkpoint, with float32 weights.

    Raises:
        RunError: if the file cannot be read, or holds weights without this project's description.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata[_KEY])
        parameters = about.pop("hyper_parameters")
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read as a checkpoint ({str(error).splitlines()[0]}); is it whole?") from error
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{path} is not a checkpoint of this project: it names no classes and no preprocessing"
        ) from error
    state = {
        f"{_PREFIX}{name}": value.float() if value.dtype == torch.float16 else value for name, value in tensors.items()
    }
    return {"bball_pl": about, "hyper_parameters": parameters, "state_dict": state}


def court_state(backbone: str, class_names: list[str], head: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the shipped tensors under timm's names, with the head rows of `class_names` if it knows all of them.

    Args:
        backbone: timm name of the network to fill.
        class_names: Classes in the order of the logits.
        head: Name prefixes of the head, such as `classifier.`.

    Raises:
        WeightsError: if there are no such weights for the backbone.
    """
    if backbone.split(".", maxsplit=1)[0] != BACKBONE:
        raise WeightsError(
            f"--model.weights court has weights for {BACKBONE} only, not for {backbone}: pass --model.backbone "
            f"{BACKBONE}, or make such weights with bball pretrain --backbone {backbone}"
        )
    content = read_weights(court_checkpoint())
    known: list[str] = content["bball_pl"]["class_names"]
    state = {name.removeprefix(_PREFIX): value for name, value in content["state_dict"].items()}
    if set(class_names) <= set(known):
        rows = [known.index(name) for name in class_names]
        return {name: value[rows] if name.startswith(head) else value for name, value in state.items()}
    return {name: value for name, value in state.items() if not name.startswith(head)}


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
    force: bool = False,
    temperature: float = 1.0,
    none_offset: float = 0.0,
    answer_size: int | None = None,
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
        force: replace the file of --out even if it holds anything but weights.
        temperature: softmax temperature, folded into the head of the written file.
        none_offset: number added to the logit of the class none; below 0 the written file answers none less often.
        answer_size: image size in pixels at which the written file answers (default: that of the last stage). Crops of
            training show things larger than whole photos do, so about 9/7 of it is often better (arXiv:1906.06423).
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
    from bball_pl.model.checkpoint import read_checkpoint

    if not sizes or len(sizes) != len(epochs) or min(epochs) < 1:
        raise ConfigError(
            f"--sizes {list(sizes)} and --epochs {list(epochs)}: expected for each size a number of epochs, 1 or more"
        )
    target = out or project.ROOT / "exports" / f"{backbone}.court.safetensors"
    refuse_other_kind(target, bytes(8) + b"{", force=force)
    root = data or project.ROOT / "data" / f"court_{scenes}_{seed}"
    # A folder of its own name may be completed; there is no option to replace one that the user has named.
    result = write_demo(
        root,
        scenes,
        max(8, round(_TEST_SHARE * scenes)),
        seed,
        workers,
        False if data else "unless_complete",
        court="teaching",
    )
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
    facts: dict[str, Any] = {
        "scenes": scenes, "seed": seed, "renderer": RENDERER, "version": __version__, "starting_from": start,
        "sizes": list(sizes), "epochs": list(epochs), "temperature": temperature,
        "none_offset": none_offset, "answer_size": answer_size or sizes[-1], "commands": commands,
        "command": f"pretrain --scenes {scenes} --seed {seed} --backbone {backbone} "
        f"--sizes {' '.join(map(str, sizes))} --epochs {' '.join(map(str, epochs))} --temperature {temperature} "
        f"--none_offset {none_offset} --answer_size {answer_size or sizes[-1]}", "caution": CAUTION,
        "licence": "Apache-2.0",
    }  # fmt: skip
    write_weights(read_checkpoint(best), target, facts, temperature, {"none": none_offset}, answer_size)
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
        # The stage's own settings, which the arguments repeat.
        command += ["--ckpt_path", str(last)]
    # A process of its own: with several GPUs fit starts its command again on each.
    environment = os.environ | {"BBALL_PROJECT": str(project.ROOT)}
    status = run_child(command, environment)
    if status != 0:
        raise RunError(f"a stage ended with status {status}; the same command goes on from its last checkpoint")
    runs = sorted((project.ROOT / project.LOGS / name).glob("version_*"), key=lambda run: run.stat().st_mtime)
    return project.best_checkpoint(runs[-1])


def _same(run: Path, arguments: list[str]) -> bool:
    """Return whether a run has the settings of these arguments, options of the user included."""
    import yaml  # type: ignore[import-untyped]

    try:
        config = yaml.safe_load((run / project.CONFIG).read_text(encoding="utf-8"))
        return all(
            _means(text, reduce(lambda part, key: part[key], name.removeprefix("--").split("."), config))
            for name, text in _settings(arguments).items()
            if name != "--config"
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def _settings(arguments: list[str]) -> dict[str, str]:
    """Return the values of a command line by option; the last of several counts."""
    found: dict[str, str] = {}
    name = ""
    for word in arguments:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            found[name] = value
        else:
            found[name] = word
    return found


def _means(text: str, setting: object) -> bool:
    """Return whether a text on a command line stands for a setting of a configuration."""
    import yaml

    if isinstance(setting, int | float) and not isinstance(setting, bool):
        try:
            return float(text) == setting
        except ValueError:
            return False
    return text == str(setting) or bool(yaml.safe_load(text) == setting)
