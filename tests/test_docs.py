"""What the README and docs/ tell people to type and to open is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from bball_pl.project import CLONE as ROOT

from helpers.fit_runs import environment
from helpers.forked import run_python

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    if not path.relative_to(ROOT).parts[0].startswith(".") and "node_modules" not in path.parts
)
#: Each source of collect has its options.
SOURCES = ("facebook", "commons", "openverse", "local", "video", "app")


@cache
def options_of(script: str, source: str = "") -> set[str]:
    """Return the options that a script's own help names."""
    everything = ["all"] if script == "scripts/fit.py" else []
    done = run_python([ROOT / script, *([source] if source else []), "--help", *everything], env=environment())
    assert done.returncode == 0, done.stderr
    return {option.replace("_", "-") for option in re.findall(r"--[A-Za-z][\w.-]*", done.stdout)}


def commands(page: Path) -> list[tuple[str, str, list[str]]]:
    """Return script, source and options of each command in the pasteable blocks of a page."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    found = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            match = re.search(r"(?:((?:scripts|benchmarks)/\w+\.py)|\bbball ([a-z]+))([^#|]*)", line)
            if match:
                words = match[3].split()
                source = words[0] if words and words[0] in SOURCES else ""
                options = re.findall(r"(?<!\S)(--[A-Za-z][\w.-]*)", match[3])
                found.append((match[1] or f"scripts/{match[2]}.py", source, options))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_that_a_page_uses_exists(page: Path) -> None:
    for script, source, options in commands(page):
        assert (ROOT / script).is_file(), f"{page.name}: {script}"
        if options:
            # A help may leave out the options of Lightning's own classes: those are tested by configs.
            known = {*options_of(script, source)}
            named = [option for option in options if not option.startswith("--trainer.")]
            strange = [option for option in named if option.replace("_", "-") not in known]
            assert not strange, f"{page.name}: {script} has no {' '.join(strange)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"
