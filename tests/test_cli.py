"""One command line for all commands: options, help, errors and exit statuses."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from bball_pl import __version__, cli, commands, project
from bball_pl.collect_commands import SOURCES
from bball_pl.commands import COMMANDS
from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.export.options import ExportSettings
from bball_pl.model.fit import fit_help
from bball_pl.predict.sources import find_sources
from bball_pl.project import CLONE, next_step

from helpers.forked import run_python

#: Every command as it is typed, with the sources of collect.
ALL = [(name,) for name in COMMANDS if name != "collect"] + [("collect", source) for source in SOURCES]
#: Commands whose options the common parser reads.
PLAIN = [words for words in ALL if words != ("fit",)]
#: Nothing of these may be imported for a help text.
HEAVY = ("torch", "lightning", "timm", "coremltools", "sklearn", "matplotlib", "fastapi", "cv2", "scipy", "httpx2")


def ids(words: tuple[str, ...]) -> str:
    return "-".join(words)


@pytest.fixture
def bball(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line in this process and returns exit status, output and errors."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["/usr/bin/bball", *map(str, words)])
        capsys.readouterr()
        status: Any = 0
        try:
            cli.main(words=[str(word) for word in words])
        except SystemExit as ended:
            status = ended.code or 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, captured.out, captured.err

    return run


@pytest.mark.parametrize("words", [(), ("collect",), *ALL], ids=ids)
def test_help_imports_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    program = (
        "import sys; from bball_pl.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('heavy:', *sorted({name.partition('.')[0] for name in sys.modules} & set("
        f"{HEAVY!r})), file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(CLONE), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "heavy:\n"
    assert done.stdout.startswith(f"usage: {' '.join(['bball', *words])} ")
    assert list(tmp_path.iterdir()) == []
    if words == ("fit",):
        assert len(done.stdout.splitlines()) <= 40
        # Its texts are first clauses, which have to end by themselves.
        assert all(done.stdout.count(pair[0]) == done.stdout.count(pair[1]) for pair in ("()", "[]"))


@pytest.mark.parametrize("words", ALL, ids=ids)
def test_every_command_tells_its_version(words: tuple[str, ...], bball: Callable[..., tuple[int, str, str]]) -> None:
    assert bball(*words, "--version") == (0, f"bball_pl {__version__}\n", "")


@pytest.mark.parametrize("words", PLAIN, ids=ids)
def test_an_unknown_option_is_one_line_with_a_suggestion(
    words: tuple[str, ...], bball: Callable[..., tuple[int, str, str]]
) -> None:
    command = COMMANDS[words[0]]
    function = command[words[1]] if isinstance(command, Mapping) else command
    options = list(cli._options(function))
    positional = ["x" for option in options if option.positional and option.required]
    named = [option for option in options if not option.positional]
    required = [word for option in named if option.required for word in (f"--{option.name}", "x")]
    name = next(option.name for option in named if len(option.name) > 4).replace("_", "-")
    status, out, err = bball(*words, *positional, *required, f"--{name}x")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: unknown option --{name}x; did you mean --{name}")
    assert err.count("\n") == 1
    status, _, err = bball(*words, *positional, *required, f"--{name}", "1", "--no-such-thing-at-all")
    assert status == 2
    assert err.startswith("error: ")


@pytest.mark.parametrize("words", PLAIN, ids=ids)
def test_every_option_has_a_help_text(words: tuple[str, ...], bball: Callable[..., tuple[int, str, str]]) -> None:
    command = COMMANDS[words[0]]
    function = command[words[1]] if isinstance(command, Mapping) else command
    _, text, _ = bball(*words, "--help")
    for option in cli._options(function):
        assert len(option.text) >= 10, option.name
        assert "unless given" not in option.text
        name = f"--{option.name.replace('_', '-')}"
        assert option.positional or name in text
        if option.required and not option.positional:
            value = text.partition("\n")[0].partition(f"{name} ")[2].partition(" ")[0]
            assert f"\n  {name} {value} " in text


@pytest.mark.parametrize("words", [("fiit",), ("collect", "facebok")], ids=ids)
def test_an_unknown_command_is_one_line_with_a_suggestion(
    words: tuple[str, ...], bball: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = bball(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"did you mean {'fit' if words == ('fiit',) else 'facebook'}?" in err


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace a command by one that keeps what it was called with."""
    given: dict[str, Any] = {}

    def command(
        run: Path | None = None,
        /,
        *,
        class_names: list[str] | None = None,
        fix: bool = False,
        report: bool = True,
        kind: Literal["a", "b"] = "a",
        share: float | None = None,
        pair: tuple[Path, Path] | None = None,
        sizes: tuple[int, ...] = (1, 2),
        settings: ExportSettings,
    ) -> None:
        """Keep the arguments.

        Args:
            run: folder of a run.
            class_names: names of the classes.
            fix: repair it.
            report: write a report.
            kind: one of two.
            share: a share, 0-1.
            pair: two folders.
            sizes: numbers.
            settings: options of the files.
        """
        given.clear()
        given.update({name: value for name, value in locals().items() if name != "given"})

    monkeypatch.setitem(commands.COMMANDS, "echo", command)
    return given


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"run": None, "fix": False, "report": True, "settings": ExportSettings()}),
        (["a/run"], {"run": Path("a/run")}),
        (["--run", "a/run"], {"run": Path("a/run")}),
        (["--fix", "a/run"], {"run": Path("a/run"), "fix": True}),
        (["--kind", "b", "a/run"], {"run": Path("a/run"), "kind": "b"}),
        (["--class-names", "ants", "bees"], {"class_names": ["ants", "bees"]}),
        (["--class_names", "ants", "--fix"], {"class_names": ["ants"], "fix": True}),
        (["--no-report", "--no-fix"], {"report": False, "fix": False}),
        (["--no_report"], {"report": False}),
        (["--share", "-0.5"], {"share": -0.5}),
        (["--share=0.5"], {"share": 0.5}),
        (["--pair", "a", "b"], {"pair": (Path("a"), Path("b"))}),
        (["--sizes", "3", "4", "5"], {"sizes": (3, 4, 5)}),
        (["--formats", "onnx", "mlmodel"], {"settings": ExportSettings(formats=["onnx", "mlmodel"])}),
        (["--compress", "int8", "--force"], {"settings": ExportSettings(compress=["int8"], force=True)}),
        (["--", "--odd"], {"run": Path("--odd")}),
    ],
)
def test_options_become_arguments(
    words: list[str], expected: dict[str, Any], echo: dict[str, Any], bball: Callable[..., tuple[int, str, str]]
) -> None:
    assert bball("echo", *words) == (0, "", "")
    assert {name: echo[name] for name in expected} == expected


def test_a_tilde_is_the_home_folder_in_every_path(
    echo: dict[str, Any],
    bball: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BBALL_PROJECT", raising=False)
    # A shell leaves it as it is after the equals sign, and in quotes.
    assert bball("echo", "--run=~/run", "--pair", "~/a", "~nobody-of-this-name/b")[0] == 0
    assert echo["run"] == tmp_path / "run"
    assert echo["pair"] == (tmp_path / "a", Path("~nobody-of-this-name/b"))
    (tmp_path / "league").mkdir()
    assert bball("--project=~/league", "echo")[0] == 0
    assert os.environ["BBALL_PROJECT"] == str(tmp_path / "league")
    (tmp_path / "mine.yaml").touch()
    assert fit_help.fit_words(["--config=~/mine.yaml"]) == [f"--config={tmp_path}/mine.yaml"]
    (tmp_path / "league/x.jpg").touch()
    (source,) = find_sources(["~/lea*/*.jpg"], None).sources
    assert source.path == tmp_path / "league/x.jpg"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "c"], "invalid choice: 'c' (choose from 'a', 'b')"),
        (["--share", "many"], "--share: invalid float value: 'many'"),
        (["--share"], "expected one argument"),
        (["--class-names"], "expected at least one argument"),
        (["--fix=true"], "ignored explicit argument 'true'"),
        (["one", "two"], "unexpected argument 'two'"),
        (["one", "--run", "two"], "run is given twice"),
        (["--repor"], "unknown option --repor; did you mean --report?"),
    ],
)
def test_wrong_values_are_one_line(
    words: list[str], message: str, echo: dict[str, Any], bball: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = bball("echo", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert echo == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compare", "a", "b", "--root", "photos"], "leave out --root"),
        (["--compare", "a", "b", "--tta", "flip"], "leave out --tta"),
        (["run", "--compare", "a", "b", "--ckpt", "c"], "leave out RUN and --ckpt"),
        (["--compare", "a", "b", "--batch-size", "-1"], "--batch-size is -1; expected 1 or more"),
        (["run", "--batch-size", "0"], "--batch-size is 0; expected 1 or more"),
        (["run", "--out", __file__], "is a file; pass a folder"),
    ],
)
def test_evaluate_ignores_no_option(words: list[str], message: str, bball: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = bball("evaluate", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_machine_that_is_at_its_end_is_one_line(
    bball: Callable[..., tuple[int, str, str]], echo: dict[str, Any]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/x.csv")

    commands.COMMANDS["echo"] = full
    assert bball("echo") == (2, "", "error: /data/x.csv: No space left on device\n")


def test_sigterm_is_status_143_and_tidies_up(capsys: pytest.CaptureFixture[str]) -> None:
    tidied = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            tidied.append(True)

    with pytest.raises(SystemExit) as ended, exit_on_error():
        work()
    assert ended.value.code == 143
    assert tidied
    assert capsys.readouterr().err == "terminated\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_run_is_resumed_by_its_configuration_and_its_last_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "config.yaml").touch()
    expected = [f"--config={tmp_path}/config.yaml", "--x=1", f"--ckpt_path={tmp_path}/checkpoints/last.ckpt"]
    assert fit_help.fit_words(["--resume", str(tmp_path), "--x=1"]) == expected
    assert fit_help.fit_words(["--x=1", f"--resume={tmp_path}"]) == expected
    # A configuration after it wins.
    later = fit_help.fit_words([f"--resume={tmp_path}", "--config", "demo"])
    assert later[0] == expected[0]
    with pytest.raises(ConfigError, match="both given"):
        fit_help.fit_words([f"--resume={tmp_path}", "--ckpt_path=x"])


def test_a_missing_extra_names_itself(bball: Callable[..., tuple[int, str, str]], echo: dict[str, Any]) -> None:
    def needs() -> None:
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi.responses")

    commands.COMMANDS["echo"] = needs
    assert bball("echo") == (
        2,
        "",
        "error: echo needs fastapi, which is not installed: pip install 'bball_pl[studio]'\n",
    )


def test_fit_reads_its_configurations_first_and_by_name(tmp_path: Path) -> None:
    demo = f"--config={project.CONFIGS / 'demo.yaml'}"
    for words in (["--name", "x", "--config", "demo"], ["--config=demo", "--name", "x"], ["-c", "demo", "--name", "x"]):
        assert fit_help.fit_words(words) == [demo, "--name", "x"]
    assert fit_help.fit_words(["--config", "configs/demo.yaml"])[0] in (demo, "--config=configs/demo.yaml")
    own = tmp_path / "demo.yaml"
    own.write_text("name: mine\n")
    assert fit_help.fit_words(["--config", str(own)]) == [f"--config={own}"]
    assert fit_help.fit_words(["--help", "all"]) == ["--help"]


def test_a_front_of_a_clone_is_the_same_command(tmp_path: Path) -> None:
    assert {path.stem for path in (CLONE / "scripts").glob("*.py")} == set(COMMANDS)
    for path in (CLONE / "scripts").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 6
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BBALL")}
    words = [CLONE / "scripts" / "evaluate.py", "--run", "nowhere"]
    done = run_python(words, cwd=tmp_path, env=environment | {"PYTHONPATH": str(CLONE)})
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "error: nowhere has no checkpoints/best.ckpt; pass the folder of a finished run (…/version_N)\n"
    )


def test_the_next_step_starts_as_this_command_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(CLONE / "scripts" / "split.py")])
    assert next_step("audit", "my photos") == f"{sys.executable} {CLONE}/scripts/audit.py 'my photos'"
    monkeypatch.setattr(sys, "argv", ["/odd/bball"])
    assert next_step("audit", "photos") == "/odd/bball audit photos"
    monkeypatch.setattr(sys, "argv", ["/odd/bball", "split", "--project", "league"])
    assert next_step("audit", "photos") == f"/odd/bball audit photos --project {project.ROOT}"
    monkeypatch.setattr(sys, "argv", ["notebook"])
    assert next_step("audit", "photos") == "bball audit photos"


@pytest.mark.parametrize(
    ("environment", "folders", "expected"),
    [
        ({}, ["sub"], "sub"),
        ({}, ["data", "lightning_logs", "sub"], "."),
        ({}, ["data", "sub"], "sub"),
        ({"BBALL_PROJECT": "chosen"}, ["sub", "chosen"], "chosen"),
    ],
)
def test_the_project_is_that_of_the_working_folder(
    environment: dict[str, str], folders: list[str], expected: str, tmp_path: Path
) -> None:
    for name in folders:
        (tmp_path / name).mkdir()
    given = {name: str(tmp_path / value) for name, value in environment.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BBALL")}
    done = subprocess.run(
        [sys.executable, "-c", "from bball_pl.project import ROOT; print(ROOT)"],
        cwd=tmp_path / "sub",
        env=inherited | {"PYTHONPATH": str(CLONE)} | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).resolve() == (tmp_path / expected).resolve()


def test_a_closed_pipe_ends_without_a_message() -> None:
    program = "from bball_pl.errors import ConfigError, exit_on_error\nwith exit_on_error():\n    print('x' * 100_000)"
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(CLONE)},
    )
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == b""
    assert running.wait() == 141


def test_ctrl_c_is_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_error():
        signal.raise_signal(signal.SIGINT)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
