"""Short help of `fit`, its plan in one line, its words and settings as LightningCLI reads them; no heavy imports.

LightningCLI needs ten seconds to import what its help describes. The short help names the options that people use most
and takes their texts from the docstrings, which it reads without running the modules.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from docstring_parser import parse

from bball_pl.cli import home_path
from bball_pl.errors import ConfigError
from bball_pl.project import CONFIGS, LOGS, PACKAGE, ROOT, config_file, resumed_run, run_of_checkpoint

#: Random seed without another one.
SEED = 7

#: Options of the run as a whole.
RUN_OPTIONS = {
    "name": "experiment; the run is lightning_logs/NAME/version_N",
    "seed_everything": "random seed of everything",
    "ckpt_path": "checkpoint to continue from in its run's folder; --resume finds it by itself",
    "pictures": "write batches, confusion matrix and worst mistakes to TensorBoard",
}

_CLASS_NAMES = "--data.class_names"
#: Settings whose values are texts.
_TEXTS = {"name", "class_names", "root", "cache_dir", "weights", "backbone", "default_root_dir", "ckpt_path"}
_STR, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"

_RESUME = "folder of a stopped or killed run, which is continued with its settings"

_SEEDS = "number of runs with one seed after the other; the spread of their accuracies stands in the report"

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
usage: bball fit [--config NAME] [--seeds N] [--resume RUN] [--GROUP.OPTION VALUE ...]

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
    RUN` is the run's configuration and its last checkpoint; names of classes are texts, also yes, no and 001; `--help
    all` is LightningCLI's `--help`.

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
            config, last = resumed_run(home_path(value if equals else next(pending, "")))
            configs.insert(0, f"--config={config}")
            resumed.append(f"--ckpt_path={last}")
        elif option in {"-c", "--config"}:
            value = value if equals else next(pending, "")
            configs.append(f"--config={config_file(home_path(value))}")
        elif option in {_CLASS_NAMES, f"{_CLASS_NAMES}+"}:
            rest.append(f"{option}={_quoted(value if equals else next(pending, ''), option.endswith('+'))}")
        elif word != "all" or rest[-1:] not in (["-h"], ["--help"]):
            rest.append(word)
    if resumed and any(word.partition("=")[0] == "--ckpt_path" for word in rest):
        raise ConfigError("--resume and --ckpt_path are both given; pass one of them")
    return [*configs, *rest, *resumed]


#: Words after which the settings are not those of single options and files.
_WHOLE_GROUPS = {"--data", "--model", "--trainer"}


def fit_plan(words: Sequence[str]) -> str | None:
    """Return what a run is about to do, in one line, which can be printed before the seconds that its imports take.

    Args:
        words: command line, from `fit_words`.

    Returns:
        None where no line is wanted (`--help all`, `--print_config`), and where it would have to guess: with a group of
        settings in one word (`--data FILE`), and for a configuration or dataset that the run itself will refuse.
    """
    settings: dict[str, Any] = {"data.root": ROOT / "data" / "demo", "name": "moves"}
    settings["model.backbone"] = _documented(*_GROUPS["model"][:2])[1]["backbone"]
    try:
        settings |= _flat(load_settings((CONFIGS / "fit.yaml").read_text(encoding="utf-8")))
        for word, following in zip(words, [*words[1:], ""], strict=True):
            option, equals, value = word.partition("=")
            if option in {"-h", "--help", *_WHOLE_GROUPS} or option.startswith("--print_config"):
                return None
            if option == "--config":
                settings |= _flat(load_settings(home_path(value).read_text(encoding="utf-8")))
            elif option.startswith("--"):
                settings[option[2:]] = value if equals else following
        dataset = home_path(str(settings["data.root"]))
        run = home_path(str(settings.get("trainer.default_root_dir") or ROOT)) / LOGS / str(settings["name"])
        if (checkpoint := settings.get("ckpt_path")) is not None:
            run = run_of_checkpoint(checkpoint) or run
    except (OSError, yaml.YAMLError, ValueError, TypeError):
        return None
    if not dataset.is_dir():
        return None
    dataset, run = (_from_here(path) for path in (dataset, run))
    epochs = settings.get("trainer.max_epochs")
    return f"training {settings['model.backbone']}; epochs: at most {epochs}; dataset: {dataset}; run: {run}{os.sep}"


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings by their names on a command line, such as `data.root`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat


def _quoted(value: str, is_added: bool) -> str:
    """Return the value of an option that lists texts such that no reader takes one of them for something else.

    Args:
        value: a list in brackets, null, or one text that is added to the list.
        is_added: whether it is added.
    """
    try:
        texts = yaml.load(value, yaml.BaseLoader)
    except yaml.YAMLError:
        texts = value
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return json.dumps(texts, ensure_ascii=False)
    return json.dumps([value], ensure_ascii=False) if is_added else value


class _Settings(yaml.SafeLoader):
    """Reader of settings in YAML, in which the values of some keys are texts whatever they look like."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read one mapping."""
        for key, value in node.value:
            if key.value not in _TEXTS:
                continue
            entries = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for entry in entries:
                if isinstance(entry, yaml.ScalarNode) and (entry is not value or entry.tag != _NULL):
                    entry.tag = _STR
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


# As jsonargparse reads YAML: a date is a text, and 3e-4 is a number, which YAML 1.1 takes for a text.
_Settings.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$")
_Settings.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def load_settings(text: str) -> Any:
    """Return the content of a file of settings, or the value of an option that is no plain text.

    Names, paths and the names of classes are texts, whatever else YAML would take them for: yes, 001, 2018-05-01.

    Raises:
        yaml.YAMLError: if it is not YAML.
    """
    content = yaml.load(text, _Settings)
    # `{a, b}` and `a:` on a command line are no settings.
    if isinstance(content, dict) and content and all(value is None for value in content.values()):
        word = text.strip()
        return text if word.startswith("{") or word == f"{next(iter(content))}:" else content
    return content


class _UniqueKeys(yaml.SafeLoader):
    """Reader of YAML that refuses what YAML itself forbids: the same key twice, of which the last would count."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read one mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise ConfigError(
                    f"{key.start_mark.name}, line {key.start_mark.line + 1}: {key.value} is given a second time; keep "
                    "one of them"
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def refuse_repeated_keys(path: Path) -> None:
    """Refuse a configuration file that gives one setting twice.

    Raises:
        ConfigError: with the line of the second one.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yaml.load(file, _UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError):
        pass  # the parser of the options says what is wrong


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
    yield "--seeds N", _SEEDS
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
