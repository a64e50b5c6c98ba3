"""Compiled modules of the tests and of the package, written once before the processes that run the tests are there."""

from __future__ import annotations

import compileall
import sys
from contextlib import suppress
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def compile_modules(config: pytest.Config) -> None:
    """Compile what the processes of a run will import, unless it is compiled or must not be.

    In a fresh clone each of them would compile the package and rewrite the assertions of 150 files of tests at the same
    moment, 5 s of processor time each. Meanwhile the process to fork imports its libraries on another core.
    """
    if sys.dont_write_bytecode:
        return
    for folder in ("bball_pl", "tests/helpers"):
        compileall.compile_dir(_ROOT / folder, quiet=2)
    # How pytest compiles assertions is its own business; without these names each process does it for itself.
    with suppress(ImportError, AttributeError, KeyError, TypeError):
        from _pytest.assertion import rewrite

        state = config.stash[rewrite.assertstate_key]
        for path in _files(config.args):
            beside = rewrite.get_cache_dir(path)
            compiled = beside / f"{path.stem}{rewrite.PYC_TAIL}"
            beside.mkdir(parents=True, exist_ok=True)
            if rewrite._read_pyc(path, compiled) is None:
                source, code = rewrite._rewrite_test(path, config)
                rewrite._write_pyc(state, code, source, compiled)


def _files(arguments: list[str]) -> list[Path]:
    """Return the files of tests that are asked for."""
    places = [Path(argument.partition("::")[0]).resolve() for argument in arguments]
    found = [place.rglob("test_*.py") if place.is_dir() else [place] for place in places]
    return sorted({path for group in found for path in group if path.suffix == ".py"})
