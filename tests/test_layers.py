"""Imports go one way: a stage knows the stages to its left and the single files at the top, but not the commands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import bball_pl

PACKAGE = Path(bball_pl.__file__).parent
STAGES = [
    *("photos", "collect", "court", "data", "model", "audit", "split"),
    *("evaluate", "predict", "verify", "export", "studio"),
]
#: Modules that know every stage, and that no stage knows.
COMMANDS = ["commands", "collect_commands"]


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names below bball_pl that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_module_imports_from_a_stage_to_its_right() -> None:
    found = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    assert set(found) <= set(STAGES)
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "__init__.py":
            continue  # the public names, imported on first use
        parts = path.relative_to(PACKAGE).parts
        order = [*STAGES, *COMMANDS]
        rank = order.index(parts[0].removesuffix(".py")) if parts[0].removesuffix(".py") in order else -1
        if path.name == "cli.py":
            continue  # it finds the commands when a command line is read
        for name in imported(path):
            names = name.split(".")
            if path.stem in COMMANDS and names[1:2] in [[command] for command in COMMANDS]:
                continue
            if names[0] == "bball_pl" and len(names) > 1 and names[1] in order and order.index(names[1]) > rank:
                wrong.append(f"{'/'.join(parts)} imports {name}")
    assert not wrong, "\n".join(wrong)


#: Entrances of what answers photos with a checkpoint or a file, and the libraries that training alone needs.
ANSWERING = [
    *("evaluate.trained_model", "evaluate.evaluation", "evaluate.results", "evaluate.report.report_page"),
    *("predict.predict", "verify.exported_model", "export.export", "studio.server", "studio.try_.answers"),
]
TRAINING = {"lightning", "torchmetrics"}


@cache
def imported_at_once(path: Path) -> list[str]:
    """Return the dotted names that importing a file imports: not those in functions or for annotations alone."""
    found: list[str] = []
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)
    return found


def chain_to(libraries: set[str], start: str) -> list[str]:
    """Return the modules by which one module imports one of some libraries; none if it does not."""
    chains = [[f"bball_pl.{start}"]]
    seen: set[str] = set()
    while chains:
        chain = chains.pop()
        name = chain[-1]
        if name.partition(".")[0] in libraries:
            return chain
        if name in seen or not name.startswith("bball_pl."):
            continue
        seen.add(name)
        parts = name.split(".")
        chains += [[*chain, ".".join(parts[:end])] for end in range(2, len(parts))]
        module = PACKAGE.joinpath(*parts[1:])
        path = next((path for path in (module.with_suffix(".py"), module / "__init__.py") if path.is_file()), None)
        chains += [] if path is None else [[*chain, other] for other in imported_at_once(path)]
    return []


@pytest.mark.parametrize("start", ANSWERING)
def test_what_answers_does_not_import_what_trains(start: str) -> None:
    assert (PACKAGE / (start.replace(".", "/") + ".py")).is_file()
    assert chain_to(TRAINING, start) == []


def test_the_chain_finds_an_import() -> None:
    chain = chain_to(TRAINING, "model.fit.fit_cli")
    assert (chain[0], chain[-1].partition(".")[0] in TRAINING) == ("bball_pl.model.fit.fit_cli", True)
