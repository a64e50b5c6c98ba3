"""scripts/predict.py: which files it takes, and where the annotated copies of photos go."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bball_pl.evaluate.calibration import Answer
from bball_pl.predict.annotate import answer_bar, target_names, with_bar
from bball_pl.predict.sources import Found, Source, find_sources

from helpers.fit_runs import environment
from helpers.forked import run_python
from helpers.painting import COLOURS
from helpers.predict_runs import PREDICT, colour_checkpoint, predict, rows_of

Paint = Callable[..., Path]
Run = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_checkpoint(tmp_path_factory.mktemp("model") / "best.ckpt")


@pytest.fixture
def run(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*options: str | Path, expect: int = 0, stdin: bytes = b"") -> tuple[str, str]:
        return predict([*options, "--ckpt", checkpoint, "--device", "cpu"], monkeypatch, capsys, expect, stdin)

    return call


def names(found: Found) -> list[str]:
    return [source.name for source in found.sources]


# --- which files -----------------------------------------------------------------------------------------------------


def test_folders_are_walked_in_order_without_hidden_files_and_link_loops(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/z.heic", "a/c.mp4", "a.png", "a/notes.txt", ".hidden.jpg", ".cache/x.jpg", "c/none.txt"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "album" / name).touch()
    (tmp_path / "album" / "a" / "up").symlink_to(tmp_path / "album", target_is_directory=True)
    (tmp_path / "album" / "z_again.png").symlink_to(tmp_path / "album" / "a.png")
    found = find_sources([str(tmp_path / "album")], io.BytesIO())
    expected = [tmp_path / "album" / name for name in ("a/c.mp4", "a/z.heic", "a.png", "b.JPG")]
    assert names(found) == [str(path) for path in expected]
    assert [source.is_video for source in found.sources] == [True, False, False, False]
    assert found.failures == []
    again = find_sources([str(tmp_path / "album")] * 2 + [str(expected[2])], io.BytesIO())
    assert names(again) == names(found)
    (failure,) = find_sources([str(tmp_path / "album" / "c")], io.BytesIO()).failures
    assert failure.reason == "no photo or video in this folder"


def test_patterns_that_the_shell_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("1.jpg", "x/2.jpg", "x/y/3.jpg", "x/y/4.png", "x/y/notes.txt", "x/.5.jpg", "[6].jpg", "6.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for pattern, expected in {
        "*.jpg": ["1.jpg", "6.jpg", "[6].jpg"],
        "**/*.jpg": ["1.jpg", "6.jpg", "[6].jpg", "x/2.jpg", "x/y/3.jpg"],
        "x/**": ["x/2.jpg", "x/y/3.jpg", "x/y/4.png"],
        "x/?": ["x/y/3.jpg", "x/y/4.png"],
        "[6].jpg": ["[6].jpg"],
        f"{tmp_path}/x/*.jpg": [f"{tmp_path}/x/2.jpg"],
        "./x/y/notes.txt": ["./x/y/notes.txt"],
    }.items():
        found = find_sources([pattern], io.BytesIO())
        assert (names(found), found.failures) == (expected, []), pattern
    (failure,) = find_sources(["x/*.txt"], io.BytesIO()).failures
    assert failure.name == "x/*.txt"


def test_a_list_on_standard_input(run: Run, paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "a b.png", COLOURS["layup"])
    paint(tmp_path / "c\nd.png", COLOURS["shoot"])
    paint(tmp_path / "e.png", COLOURS["dribble"])
    text, _ = run("-", stdin=b"a b.png\r\n\n./e.png\n")
    assert [(row["path"], row["answer"]) for row in rows_of(text)] == [("a b.png", "layup"), ("./e.png", "dribble")]
    text, _ = run("e.png", "-", stdin=b"a b.png\0c\nd.png\0")
    assert [row["path"] for row in rows_of(text)] == ["e.png", "a b.png", "c\nd.png"]
    _, said = run("-", stdin=b"e.png\n*.png\n", expect=1)
    assert "1 of 2 photos failed:\n  *.png: there is no such file" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in (tmp_path, tmp_path / "pipe.jpg"):
        found = find_sources([str(name)], io.BytesIO())
        assert [failure.reason for failure in found.failures] == ["neither a file nor a folder"]
        assert found.sources == []


# --- pictures --------------------------------------------------------------------------------------------------------


def bar_of(copy: Path) -> np.ndarray:
    with Image.open(copy) as picture:
        return np.array(picture)[-60:]


def test_annotated_copies_mirror_the_album_and_leave_it_as_it_is(run: Run, paint: Paint, tmp_path: Path) -> None:
    album = tmp_path / "album"
    for number, name in enumerate(("a/shoot.jpg", "b/layup.png", "dribble.jpg", "b/shoot.jpg")):
        colour = COLOURS[Path(name).stem]
        paint(album / name, colour, number, (64, 48 + 10 * number))
    sources = sorted(path for path in album.rglob("*.*") if path.is_file())
    before = [path.read_bytes() for path in sources]
    folder = album / "drawn"
    run(album, "--annotate", folder)
    text, _ = run(album, "--annotate", folder)
    assert len(rows_of(text)) == 4, "the pictures of the first time are no sources of the second"
    assert [path.read_bytes() for path in sources] == before
    for path in sources:
        name = path.relative_to(album).as_posix()
        copy = folder / (name if path.suffix == ".jpg" else f"{name}.jpg")
        with Image.open(copy) as picture, Image.open(path) as photo:
            assert picture.format == "JPEG"
            assert picture.width == 320, "a tiny photo is enlarged, to have room for the answer"
            shown = 320 * photo.height // photo.width
            assert picture.height > shown + 40
            pixels, original = np.array(picture), np.array(photo.convert("RGB"))
            assert np.abs(pixels[: shown - 8].mean((0, 1)) - original.mean((0, 1))).max() < 6
            assert pixels[shown + 8 :].mean() < 90, "the bar is dark"
    bars = {picture.tobytes() for picture in map(bar_of, folder.rglob("*.jpg"))}
    assert len(bars) == 4


def test_names_of_copies_do_not_collide_and_stay_in_their_folder(tmp_path: Path) -> None:
    def of(*files: str) -> list[str]:
        return [path.as_posix() for path in target_names([Source(name, name.endswith(".mov")) for name in files])]

    base = str(tmp_path)
    assert of(f"{base}/x/../y/a.jpg") == ["a.jpg"]
    assert of(f"{base}/x/a.jpg", f"{base}/y/../z/a.jpg") == ["x/a.jpg", "z/a.jpg"]
    assert of(f"{base}/a.png", f"{base}/a.png.jpg", f"{base}/A.PNG") == ["a.png.jpg", "a.png (2).jpg", "A.PNG (3).jpg"]
    assert of("../../a.jpeg", "b.mov") == ["a.jpeg", f"{'/'.join(Path.cwd().parts[-2:])}/b.mov.mp4"]


def test_a_copy_never_takes_the_place_of_a_source(run: Run, paint: Paint, tmp_path: Path) -> None:
    photo = paint(tmp_path / "in" / "a.jpg")
    folder = tmp_path / "drawn"
    run(photo, "--annotate", folder)
    before = (folder / "a.jpg").read_bytes()
    _, said = run(folder / "a.jpg", "--annotate", folder, expect=2)
    assert "would write over" in said
    assert (folder / "a.jpg").read_bytes() == before


@pytest.mark.parametrize("name", ["投籃", "運動", "a class with a name that is far too long for its place"])
@pytest.mark.parametrize("width", [1, 64, 640, 3840])
def test_a_bar_can_be_drawn_for_any_name_and_width(name: str, width: int) -> None:
    answer = Answer("unsure", name, 0.4, {name: 0.4, "b": 0.35, "c": 0.25})
    bar = answer_bar(width, answer, width / 640, "1:02.3")
    assert bar.shape[1:] == (width, 3)
    assert bar.dtype == np.uint8
    assert width < 64 or bar.max() > 120, "something is written"


def test_a_large_photo_is_shrunk_for_its_copy() -> None:
    answer = Answer("b", "b", 1.0, {"a": 0.0, "b": 1.0})
    assert with_bar(np.zeros((3000, 4000, 3), np.uint8), answer).shape == (1440 + 264, 1920, 3)
    assert with_bar(np.zeros((2000, 100, 3), np.uint8), answer).shape == (1920 + 66, 320, 3)


# --- where the answers go --------------------------------------------------------------------------------------------


def test_answers_replace_answers_and_nothing_else(paint: Paint, run: Run, tmp_path: Path) -> None:
    photo = paint(tmp_path / "shot.jpg", COLOURS["shoot"], 1, (32, 32))
    other = paint(tmp_path / "other.jpg", COLOURS["layup"], 2, (32, 32))
    before = other.read_bytes()
    _, said = run(photo, "--out", other, expect=2)
    assert f"--out {other} is a JPEG photo, which would be replaced" in said
    assert other.read_bytes() == before
    journal = tmp_path / "labels.csv"
    journal.write_text("number,time,action\n")
    assert "--force" in run(photo, "--out", journal, expect=2)[1]
    assert journal.read_text() == "number,time,action\n"
    run(photo, "--out", journal, "--force")
    run(photo, "--out", journal)
    assert [row["path"] for row in rows_of(journal.read_text())] == [str(photo)]
    run(photo, "--out", tmp_path / "answers.jsonl")
    run(photo, "--out", tmp_path / "answers.jsonl")
    assert "JSON" in run(photo, "--out", tmp_path / "answers.jsonl", "--format", "csv", expect=2)[1]


def test_answers_go_through_devices(paint: Paint, run: Run, tmp_path: Path) -> None:
    photo = paint(tmp_path / "shot.jpg", COLOURS["shoot"], 1, (32, 32))
    _, said = run(photo, "--out", os.devnull)
    assert "model: " in said, "the command names the model"
    assert not Path(os.devnull).is_file()
    if Path("/dev/full").exists():
        assert "No space left on device" in run(photo, "--out", "/dev/full", expect=2)[1]


def test_closed_standard_input_is_no_fault(paint: Paint, checkpoint: Path, tmp_path: Path) -> None:
    photo = paint(tmp_path / "shot.jpg", COLOURS["shoot"], 1, (32, 32))
    # As the interpreter starts after `<&-`.
    closed = "import os, runpy, sys; os.close(0); sys.stdin = None; del sys.argv[0]; "
    closed += "runpy.run_path(sys.argv[0], None, '__main__')"
    words = [PREDICT, photo, "--ckpt", checkpoint, "--device", "cpu", "--format", "csv"]
    done = run_python(["-c", closed, *words], env=environment())
    assert done.returncode == 0, done.stderr
    assert len(rows_of(done.stdout)) == 1
    found = find_sources([str(photo), "-"], None)
    assert names(found) == [str(photo)]
    assert [failure.reason for failure in found.failures] == ["standard input is closed"]
