"""What the README and docs/ tell people to type and to open is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bball_pl.model.checkpoint import Classifier, read_checkpoint
from bball_pl.project import CLONE as ROOT

from helpers.fit_runs import environment
from helpers.forked import forks, run_python

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


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them: lower case, hyphens for spaces, no other signs."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_an_anchor_is_a_heading_and_no_comment_in_code(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `fit` of [two](x.md) parts\n\n```sh\n# no heading\n```\n\n## What's new?\n")
    assert anchors(page) == {"a-fit-of-two-parts", "whats-new"}


def test_two_processes_fit_on_shards_as_documented(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    for usual, small in (
        ('backbone="tf_efficientnet_lite0"', 'backbone="test_resnet", weights="none", image_size=32, probe=False'),
        ("10_000", "96"),
        ("maxcount=1000", "maxcount=7"),
        ("batch_size=16", "batch_size=16, num_workers=1, cache_dir='cache'"),
    ):
        assert code.count(usual) == 1, usual
        code = code.replace(usual, small)
    script = tmp_path / "shards.py"
    script.write_text(code)
    root = make_dataset({"train": 8, "val": 3}, size=(48, 40))
    written = run_python([script, "write", root, "shards"], env=environment(), cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 4
    # What is trained on comes from the shards: with these photos in the folder alone there would be two batches.
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    fitted = run_python(
        [*torchrun, script, "fit", root, "shards", "2", "cpu", "2"], env=environment() | forks(), cwd=tmp_path
    )
    assert fitted.returncode == 0, fitted.stderr
    (best,) = tmp_path.glob("lightning_logs/version_0/checkpoints/best.ckpt")
    assert Classifier.from_checkpoint(best).class_names == ["shoot", "dribble", "layup"]
    assert read_checkpoint(best.with_name("last.ckpt"))["global_step"] == 2 * 96 // 32
