"""Files that are whole or not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bball_pl.errors import ConfigError
from bball_pl.files import (
    atomic_path,
    refuse_other_kind,
    remove_leftovers,
    require_folder,
    staged_folder,
    write_bytes,
    write_text,
)


def _write_half(path: Path, failure: type[BaseException]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise failure


def test_an_exception_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure):
            _write_half(path, failure)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_whole_in_new_folders_with_the_umask_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "names.csv"
    program = "import sys; from bball_pl.files import write_text; write_text(sys.argv[1], '運球\\n投籃\\n')"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, umask=0o027)
    assert path.read_bytes() == "運球\n投籃\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    write_bytes(path, b"\r\n\x00")
    assert path.read_bytes() == b"\r\n\x00"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_keeps_the_suffix_that_decides_the_format(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "weights.safetensors") as temporary:
        assert temporary.suffix == ".safetensors"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")


@pytest.mark.skipif(not hasattr(os, "mknod") or os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_node_is_written_through(tmp_path: Path) -> None:
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"")
    except PermissionError:
        pytest.skip("this file system has no device nodes")
    write_text(null, "gone")
    refuse_other_kind(null, b"path,answer")
    assert stat.S_ISCHR(null.stat().st_mode)
    assert list(tmp_path.iterdir()) == [null]


def test_a_fifo_is_written_through(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_text()))
    reader.start()
    refuse_other_kind(fifo, b"path,answer")
    write_text(fifo, "path,answer\n")
    reader.join(timeout=900)
    assert received == ["path,answer\n"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_where_a_shell_sent_it(name: str, tmp_path: Path) -> None:
    if not Path(name).exists():
        pytest.skip(f"no {name} here")
    program = "import sys; from bball_pl.files import write_text; print('first'); write_text(sys.argv[1], 'second\\n')"
    log = tmp_path / "log"
    log.write_text("before\n")
    inode = log.stat().st_ino
    with log.open("a") as stream:
        subprocess.run([sys.executable, "-c", program, name], check=True, stdout=stream)
    assert log.read_text() == "before\nfirst\nsecond\n"
    assert log.stat().st_ino == inode
    piped = subprocess.run([sys.executable, "-c", program, name], check=True, capture_output=True, text=True)
    assert piped.stdout == "first\nsecond\n"


def test_links_stay_and_their_targets_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "answers.csv", tmp_path / "disk" / "answers.csv"
    link.symlink_to(target)
    write_text(link, "new")  # the target does not exist yet
    write_text(link, "newer")
    assert link.is_symlink()
    assert target.read_text() == "newer"
    assert not target.is_symlink()

    (tmp_path / "disk" / "export").mkdir()
    (tmp_path / "export").symlink_to(tmp_path / "disk" / "export")
    with staged_folder(tmp_path / "export") as staging:
        (staging.folder / "card").write_text("whole")
    assert (tmp_path / "export").is_symlink()
    assert (tmp_path / "disk" / "export" / "card").read_text() == "whole"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path, "x")
    with pytest.raises(ConfigError, match="is a folder"):
        refuse_other_kind(tmp_path, b"x", force=True)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="file is a file; pass a folder"):
            require_folder(path)
    assert require_folder(tmp_path / "new") == tmp_path / "new"


def _photo(path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, path.suffix[1:].replace("jpg", "jpeg"))


_ANSWERS = b"path,answer,predicted,confidence,prob_shoot\n"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tiff"])
def test_no_picture_becomes_a_table(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    _photo(path)
    with pytest.raises(ConfigError, match=r"which would be replaced; .*--force") as refused:
        refuse_other_kind(path, _ANSWERS)
    assert "\n" not in str(refused.value)
    refuse_other_kind(path, _ANSWERS, force=True)
    refuse_other_kind(path, path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("found", "written", "refused"),
    [
        (b"", _ANSWERS, False),
        (b"path,answer,predicted,confidence,prob_dunk\nx,dunk", _ANSWERS, False),
        (b"path,class,group\n", _ANSWERS, True),
        ("投籃".encode() * 200, _ANSWERS, True),
        (b'{"path": "a.jpg"}\n', b'{"path": ', False),
        (b'{\n  "split": "test"}', b'{"path": ', True),
        (b'{"path": "a.jpg"}\n', _ANSWERS, True),
        (b"PK\x03\x04 last.ckpt", _ANSWERS, True),
        (b"\0\1\2", _ANSWERS, True),
        (b"\x40\0\0\0\0\0\0\0{}", bytes(8) + b"{", False),
        (b"PK\x03\x04 last.ckpt", bytes(8) + b"{", True),
    ],
)
def test_a_file_is_replaced_by_its_own_kind_only(found: bytes, written: bytes, refused: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(found)
    if not refused:
        refuse_other_kind(path, written)
        return
    with pytest.raises(ConfigError, match="--force"):
        refuse_other_kind(path, written)


def test_leftovers_of_killed_writers_are_found_by_their_names(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from bball_pl.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for name in ("last.ckpt", "best.ckpt"):
        (tmp_path / name).write_bytes(b"whole")
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.iterdir())) == 4
    remove_leftovers(tmp_path / "last.ckpt")
    assert len(list(tmp_path.iterdir())) == 3
    assert len(list(tmp_path.glob(".best.*"))) == 1
    assert (tmp_path / "last.ckpt").read_bytes() == b"whole"
