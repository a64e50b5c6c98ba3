"""Short help of `fit`, and its command line as LightningCLI reads it; free of heavy imports.

LightningCLI needs ten seconds to import what its help describes. The short help names the options that people use most
and takes their texts from the docstrings, which it reads without running the modules.
"""

from __future__ import annotations

import ast
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from docstring_parser import parse

from bball_pl.errors import ConfigError
from bball_pl.project import CONFIGS, PACKAGE, config_file, resumed_run

#: Options of the run as a whole.
RUN_OPTIONS = {
    "name": "experiment; the run is lightning_logs/NAME/version_N",
    "seed_everything": "random seed of everything",
    "ckpt_path": "checkpoint to continue from in its run's folder; --resume finds it by itself",
    "pictures": "write batches, confusion matrix and worst mistakes to TensorBoard",
}

_RESUME = "folder of a stopped or killed run, which is continued with its settings"

#: Options of Lightning's Trainer, whose documentation is too long for a short help.
_TRAINER = {
    "max_epochs": "number of epochs",
    "devices": "number of GPUs or processes, or auto",
    "strategy": "ddp for several GPUs",
}

#: File, class and most used options of each group.
_GROUPS = {
    "data": ("data/datamodule.py", "PhotoDataModule", ("root", "class_names", "augment", "batch_size")),
    "model": ("model/classifier.py", "MoveClassifier", ("backbone", "weights", "image_size", "lr", "patience")),
}

_HELP = """\
usage: bball fit [--config NAME] [--resume RUN] [--GROUP.OPTION VALUE ...]

Fine-tune a classifier on a folder of photos, and test its best checkpoint.

options:
{options}

configurations: {configs}, or a YAML file; an option on the command line wins
print all settings: bball fit --print_config      every option: bball fit --help all"""


def fit_help(words: Sequence[str]) -> str | None:
    """Return the short help if a command line asks for it, else None.

    Args:
        words: the command line.
    """
    asked = [index for index, word in enumerate(words) if word in {"-h", "--help"}]
    if not asked or list(words[asked[0] + 1 : asked[0] + 2]) == ["all"]:
        return None
    width = min(shutil.get_terminal_size().columns, 120)
    lines = [line for name, text in _described() for line in _entry(name, text, width)]
    configs = ", ".join(path.stem for path in sorted(CONFIGS.glob("*.yaml")) if path.stem != "fit")
    return _HELP.format(options="\n".join(lines), configs=configs)


def fit_words(words: Sequence[str]) -> list[str]:
    """Return a command line as LightningCLI should read it.

    Configurations come first, so that `--name` means the same before and after `--config`, and are paths; `--resume
    RUN` is the run's configuration and its last checkpoint; `--help all` is LightningCLI's `--help`.

    Raises:
        ConfigError: if `--resume` and `--ckpt_path` are both given.
        RunError: if there is nothing to resume in the folder.
    """
    configs: list[str] = []
    rest: list[str] = []
    resumed: list[str] = []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if option == "--resume":
            config, last = resumed_run(Path(value if equals else next(pending, "")))
            configs.insert(0, f"--config={config}")
            resumed.append(f"--ckpt_path={last}")
        elif option in {"-c", "--config"}:
            value = value if equals else next(pending, "")
            configs.append(f"--config={config_file(value)}")
        elif word != "all" or rest[-1:] not in (["-h"], ["--help"]):
            rest.append(word)
    if resumed and any(word.partition("=")[0] == "--ckpt_path" for word in rest):
        raise ConfigError("--resume and --ckpt_path are both given; pass one of them")
    return [*configs, *rest, *resumed]


def _described() -> Iterator[tuple[str, str]]:
    yield "--config NAME", "configuration by name, or a YAML file"
    yield "--name NAME", RUN_OPTIONS["name"]
    for group, (file, class_name, names) in _GROUPS.items():
        texts, defaults = _documented(file, class_name)
        for name in names:
            # The first clause is enough here.
            default = (
                f" (default: {defaults[name].replace('DATA / ', 'data/')})"
                if defaults.get(name, "None") != "None"
                else ""
            )
            yield f"--{group}.{name}", texts[name].partition(";")[0].rstrip(".") + default
    yield from ((f"--trainer.{name}", text) for name, text in _TRAINER.items())
    yield "--seed_everything", RUN_OPTIONS["seed_everything"]
    yield "--resume RUN", _RESUME


def _documented(file: str, class_name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the help text and the default, as source code, of each argument of a class."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    init = next(node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__").args
    with_default = [*init.args, *init.kwonlyargs][-len([*init.defaults, *init.kw_defaults]) :]
    values = [*init.defaults, *(value for value in init.kw_defaults if value is not None)]
    defaults = {one.arg: ast.unparse(value).replace("'", "") for one, value in zip(with_default, values, strict=False)}
    params = parse(ast.get_docstring(found) or "").params
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in params}, defaults


def _entry(name: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(f"  {name:22} {text}", width, subsequent_indent=" " * 25, break_on_hyphens=False)
