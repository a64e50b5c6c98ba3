"""Command line of the program: `bball COMMAND …`; a file scripts/COMMAND.py is a front of one command.

A command is a function in `bball_pl.commands`. Its signature and docstring are the only description of its options:

- a positional-only parameter is a positional argument; one with a default may be given as an option as well, so that
  `bball evaluate RUN` and `bball evaluate --run RUN` are the same;
- a keyword-only parameter is an option, and a required one if it has no default;
- `bool` makes the pair `--fix` and `--no-fix`, a list takes words, and the fields of a dataclass are options;
- a function of one parameter `words` reads its command line itself.

To add a command, write its function and add it to `COMMANDS`. Options are read by argparse, not by jsonargparse, which
LightningCLI needs for `fit`: it takes lists only in brackets and flags only with a value. Nothing heavy is imported
before a command line has been read.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import gc
import inspect
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from docstring_parser import parse

from bball_pl import __version__
from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.processes import end_process, end_with_parent

#: A command, or commands one level down by their names.
Command = Callable[..., Any] | Mapping[str, Callable[..., Any]]

#: Variable of the environment with the project's folder; `--project DIR` sets it.
PROJECT = "BBALL_PROJECT"

#: Packages that only one of the extras of pyproject.toml installs.
_EXTRAS = {
    "httpx2": "collect",
    "httpcore2": "collect",
    "tenacity": "collect",
    "fastapi": "studio",
    "starlette": "studio",
    "uvicorn": "studio",
    "python_multipart": "studio",
    "coreai": "coreai",
    "coreai_torch": "coreai",
    "onnx2coreml": "onnx2coreml",
}

_COMMON = """\
common options:
  --project DIR     folder of data/, lightning_logs/ and exports/ (default: BBALL_PROJECT or the working folder)
  --version         version of the program
"""


class ErrorsInOneLine(argparse.ArgumentParser):
    """A parser whose errors are one line with a suggestion, and exit status 2."""

    #: Option that shows every option.
    help_words = "--help"

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the process with a message."""
        unknown = re.match(r"unrecognized arguments: (.*)", message, re.DOTALL)
        if unknown is not None:
            message = self._unknown(unknown[1].split())
        message = " ".join(message.split())
        self.exit(2, f"error: {message} (every option: {self.prog} {self.help_words})\n")

    def _unknown(self, words: list[str]) -> str:
        options = [name for name in self._option_string_actions if name.startswith("--")]
        word = next((word for word in words if word.startswith("-")), words[0]).partition("=")[0]
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        # fit's options have groups, which are easily forgotten: --lr is --model.lr.
        close = [name for name in options if name.endswith(f".{word.lstrip('-')}")]
        close = close or difflib.get_close_matches(word, options, n=1, cutoff=0.75)
        return f"unknown option {word}{_did_you_mean(close)}"


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help that keeps the paragraphs of the description and has room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs != argparse.ONE_OR_MORE:
            return super()._format_args(action, default_metavar)
        return f"{self._metavar_formatter(action, default_metavar)(1)[0]} ..."


def program() -> NoReturn:
    """Be the program `bball`: run the command line of this process, and end it."""
    # Imports make objects by the hundred thousand and hardly any garbage; by default every 700 are searched for some.
    gc.set_threshold(10_000)
    try:
        main()
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        end_process(ended.code or 0)
    end_process(0)


def main(script: str = "", words: Sequence[str] | None = None) -> None:
    """Read a command line, run its command, and end the process as a command-line tool should.

    Args:
        script: file of a front in scripts/, which is named as its command; its project is the clone that it lies in.
        words: the command line. Default: that of the process.
    """
    given = list(sys.argv[1:] if words is None else words)
    end_with_parent()
    with exit_on_error():
        if script:
            path = Path(script).resolve()
            os.environ.setdefault(PROJECT, str(path.parents[1]))
            given.insert(0, path.stem)
        try:
            run(_take_project(given))
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            raise ConfigError(
                f"{given[0]} needs {package}, which is not installed: pip install 'bball_pl[{_EXTRAS[package]}]'"
            ) from error


def run(words: Sequence[str]) -> None:
    """Run the command that the first word names, with the words after it as its options."""
    from bball_pl.commands import COMMANDS

    if words and words[0] == "--version":
        print(f"bball_pl {__version__}")
        return
    _run(COMMANDS, "bball", "From a league's photo album to a basketball-move classifier on a phone.", words)


def _run(commands: Mapping[str, Command], prog: str, about: str, words: Sequence[str]) -> None:
    """Run one of several commands, or list them."""
    if not words or words[0] in {"-h", "--help"}:
        print(_overview(commands, prog, about))
        return
    name, *rest = words
    if name not in commands:
        close = difflib.get_close_matches(name, commands, n=1)
        kind = "option" if name.startswith("-") else "command"
        raise ConfigError(f"unknown {kind} {name}{_did_you_mean(close)}; expected one of: {', '.join(commands)}")
    command = commands[name]
    prog = _prog(prog, name)
    if "--version" in rest[:1]:
        print(f"bball_pl {__version__}")
    elif isinstance(command, Mapping):
        _run(command, prog, f"{_first_line(command)}\n\nEvery option: {prog} SOURCE --help", rest)
    elif list(inspect.signature(command).parameters) == ["words"]:
        command(_with_separators(rest, "-", "_"))
    else:
        positional, options = _parse(command, prog, _with_separators(rest, "_", "-"))
        command(*positional, **options)


def _overview(commands: Mapping[str, Command], prog: str, about: str) -> str:
    width = max(map(len, commands)) + 2
    lines = [f"usage: {prog} COMMAND [OPTION ...]", "", about, "", "commands:"]
    lines += [f"  {name:{width}}{_first_line(command)}" for name, command in commands.items()]
    return "\n".join([*lines, "", f"options of a command: {prog} COMMAND --help", "", _COMMON.rstrip()])


def _prog(prog: str, name: str) -> str:
    # A front is asked for as it was typed.
    typed = Path(sys.argv[0])
    return typed.name if prog == "bball" and typed.name == f"{name}.py" else f"{prog} {name}"


def _first_line(command: Command) -> str:
    text = (inspect.getdoc(command) or "") if callable(command) else str(getattr(command, "about", ""))
    return text.partition("\n")[0]


def _did_you_mean(close: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""


def _take_project(words: list[str]) -> list[str]:
    """Return the words without `--project DIR`, which is put into the environment: processes that start need it."""
    rest: list[str] = []
    pending = iter(words)
    for word in pending:
        name, _, value = word.partition("=")
        if word == "--":
            return [*rest, word, *pending]
        if name != "--project":
            rest.append(word)
            continue
        folder = home_path(value or next(pending, "")).absolute()
        if not folder.is_dir():
            raise ConfigError(f"--project {folder}: there is no such folder")
        os.environ[PROJECT] = str(folder)
    return rest


def home_path(word: str) -> Path:
    """Return the path that a word names; `~` is the home folder, which a shell leaves as it is in `--out=~/x`."""
    return Path(os.path.expanduser(word))  # noqa: PTH111 - Path's raises for a user that does not exist


def _with_separators(words: Sequence[str], old: str, new: str) -> list[str]:
    """Return the words with one separator in the names of all options, so that - and _ are the same to a user."""
    end = words.index("--") if "--" in words else len(words)
    changed = []
    for word in words[:end]:
        name, equals, value = word.partition("=")
        is_option = name.startswith("--")
        changed.append(f"--{name[2:].replace(old, new)}{equals}{value}" if is_option else word)
    return [*changed, *words[end:]]


#: Names of the values of options in the help, by type.
_METAVARS: dict[Any, str] = {int: "N", float: "X", Path: "PATH"}


@dataclasses.dataclass(frozen=True)
class _Option:
    """One option of a command.

    Attributes:
        name: Name of the parameter.
        kind: Type without None.
        default: Default value, or `inspect.Parameter.empty`.
        text: Help text.
        positional: Whether it is a positional argument.
        group: Parameter whose dataclass it is a field of, or an empty text.
    """

    name: str
    kind: Any
    default: Any
    text: str
    positional: bool = False
    group: str = ""

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty

    @property
    def label(self) -> str:
        """Name of the value in the help, where its type gives none."""
        return self.name.upper()

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add the option to a parser; without a default, so that the function's is the only one."""
        text = self.text.replace("%", "%%").rstrip(".")
        value = "yes" if self.default is True else self.default
        unsaid = self.required or value is None or value is False or value in ("", ()) or "default" in text.lower()
        if not unsaid:
            text += f" (default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"
        names = (f"--{self.name.replace('_', '-')}",)
        given: dict[str, Any] = {"dest": self.name, "default": argparse.SUPPRESS, "help": text}
        if self.kind is bool:
            parser.add_argument(*names, action=argparse.BooleanOptionalAction, **given)
            return
        kind = self.kind
        if typing.get_origin(kind) in (list, Sequence, typing.get_origin(Sequence[str])):
            (kind,) = typing.get_args(kind)
            given["nargs"] = "+"
        elif typing.get_origin(kind) is tuple:
            kind, *more = typing.get_args(kind)
            given["nargs"] = "+" if more == [...] else 1 + len(more)
        if typing.get_origin(kind) is Literal:
            given["choices"] = typing.get_args(kind)
        else:
            given["type"] = home_path if kind is Path else kind
            given |= {"metavar": _METAVARS[kind]} if kind in _METAVARS else {}
        if not self.positional:
            parser.add_argument(*names, required=self.required, **given)
            return
        if not self.required:
            parser.add_argument(*names, **given | {"help": f"the same as {self.label}"})
            given["nargs"] = "?"
        parser.add_argument(**given | {"dest": f"positional {self.name}", "metavar": self.label, "default": None})


def _parse(function: Callable[..., Any], prog: str, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional arguments and the options that a command line gives a function."""
    options = list(_options(function))
    labels = [option.label if option.required else f"[{option.label}]" for option in options if option.positional]
    labels += [
        f"--{option.name.replace('_', '-')} {_METAVARS.get(option.kind, option.label)}"
        for option in options
        if option.required and not option.positional
    ]
    parser = ErrorsInOneLine(prog, description=_about(function), formatter_class=_Help, allow_abbrev=False)
    parser.usage, parser.epilog = " ".join(["%(prog)s", *labels, "[OPTION ...]"]), _COMMON
    for option in options:
        option.add_to(parser)
    # Intermixed, which knows no --: else a word after an option would not be taken as the positional argument.
    read = parser.parse_known_args if "--" in words else parser.parse_known_intermixed_args
    found, unknown = read(words)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    are_tuples = {option.name for option in options if typing.get_origin(option.kind) is tuple}
    given = {name: tuple(value) if name in are_tuples else value for name, value in vars(found).items()}
    positional, named = [], {}
    fields: dict[str, dict[str, Any]] = {}
    for option in options:
        if option.positional:
            value = given.get(f"positional {option.name}")
            if value is not None and option.name in given:
                parser.error(f"{option.name} is given twice: {value} and --{option.name} {given[option.name]}")
            positional.append(given.get(option.name, option.default) if value is None else value)
        elif option.group:
            fields.setdefault(option.group, {})
            if option.name in given:
                fields[option.group][option.name] = given[option.name]
        elif option.name in given:
            named[option.name] = given[option.name]
    hints = typing.get_type_hints(function)
    return positional, named | {name: hints[name](**values) for name, values in fields.items()}


def _options(function: Callable[..., Any]) -> Iterator[_Option]:
    """Yield the options of a command, as its signature and docstring describe them."""
    texts, hints = _texts(function), typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if dataclasses.is_dataclass(kind):
            field_texts, field_hints = _texts(kind), typing.get_type_hints(kind)
            for field in dataclasses.fields(kind):
                default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
                text = field_texts[field.name]
                yield _Option(field.name, _without_none(field_hints[field.name]), default, text, group=name)
        else:
            is_positional = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
            yield _Option(name, _without_none(kind), parameter.default, texts[name], is_positional)


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    (kept,) = (part for part in typing.get_args(kind) if part is not type(None))
    return kept


def _texts(documented: Any) -> dict[str, str]:
    found = parse(documented.__doc__ or "").params
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in found}


def _about(function: Callable[..., Any]) -> str:
    return re.split(r"\n\n(?:Args|Returns|Raises|Example):", inspect.getdoc(function) or "")[0]
