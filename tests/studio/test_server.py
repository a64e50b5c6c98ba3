"""The studio's server: start and end, an empty house, what it says and where it listens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bball_pl.errors import ConfigError
from bball_pl.studio.server import listen, url
from bball_pl.studio.state import Settings, is_loopback

from helpers.forked import run_python
from helpers.studio_server import ROOT, STUDIO, Studio, paint_inbox


def test_an_empty_house_gets_helpful_answers_and_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    with Studio(tmp_path) as studio:
        start = studio.get("/api/sort")
        assert (start["left"], start["exists"], start["suggests"]) == (0, False, False)
        assert studio.post("/api/sort/next", {"tab": "a"})["photos"] == []
        assert studio.post("/api/sort/undo", {"tab": "a"})["photos"] == []
        assert studio.get("/api/review")["runs"] == []
        assert studio.get("/api/session")["shipped"], "the model in the package, before the first run"
        page = studio.ask("GET", "/")
        assert page.status == 200
        assert b'type="module"' in page.body
        studio.process.send_signal(signal.SIGINT)
        assert studio.process.wait(20) in {0, 130}
        assert not any("Traceback" in line for line in studio.said)
    assert list(tmp_path.iterdir()) == [tmp_path / "data"], "looking leaves nothing behind"
    assert not list((tmp_path / "data").iterdir())


def test_the_next_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with listen("127.0.0.1", taken) as listening:
            assert taken < listening.getsockname()[1] <= taken + 20
    with pytest.raises(ConfigError, match="no-such-host"):
        listen("no-such-host.invalid", 8765)
    with pytest.raises(ConfigError, match=r"nothing can listen at 192\.0\.2\.1"):
        listen("192.0.2.1", 8765)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port=70000"], "--port is 70000"),
        (["--run=a", "--ckpt=b"], "pass one of them"),
        (["--ckpt=nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
        (["--inbox=nowhere"], "there is no folder nowhere"),
        (["--class_names=one"], "expected 2 to 9 different names"),
        (["--class_names", "one", "../two"], "cannot be the name of a class folder: it begins or ends with a dot"),
    ],
)
def test_settings_that_cannot_be(options: list[str], message: str, tmp_path: Path) -> None:
    words = [STUDIO, f"--data={tmp_path}", f"--logs={tmp_path}", "--port=0", *options]
    ended = run_python(words, env=os.environ, cwd=ROOT)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_addresses() -> None:
    assert url(Settings(port=5), True) == "http://127.0.0.1:5/"
    token = "t" * 20
    assert url(Settings(host="::1", port=5, token=token), True) == f"http://[::1]:5/?token={token}"
    assert url(Settings(host="10.0.0.7", port=5, token=token), False) == "http://10.0.0.7:5/"
    assert is_loopback("127.8.0.1")
    assert is_loopback("[::1]")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost.example.org")
    with pytest.raises(ConfigError, match="no token"):
        Settings(host="0.0.0.0")
    with pytest.raises(ConfigError, match="has 5 characters"):
        Settings(token="short")
    assert token not in repr(Settings(token=token))


def test_other_classes_and_any_tree(tmp_path: Path) -> None:
    paint_inbox(tmp_path, 2)
    tree = tmp_path / "album"
    (tmp_path / "data/inbox/league/unsorted").rename(tree)
    with Studio(tmp_path, [f"--inbox={tree}", "--class-names", "ants", "bees"]) as studio:
        assert [own["name"] for own in studio.get("/api/session")["classes"]] == ["ants", "bees"]
        photos = studio.post("/api/sort/next", {"tab": "a"})["photos"]
        assert [photo["album"] for photo in photos] == ["game 0", "game 1"]
        studio.post("/api/sort/decide", {"tab": "a", "photo": photos[0]["id"], "action": "label", "class_name": "bees"})
        assert (tree / "bees" / "game 0" / "p0000.jpg").is_file()
        studio.post(
            "/api/sort/decide", {"tab": "a", "photo": photos[1]["id"], "action": "label", "class_name": "shoot"}, 422
        )
        assert studio.get("/api/sort")["counts"] == {"ants": 0, "bees": 1}


def test_the_server_starts_without_torch() -> None:
    code = "import sys; from bball_pl.studio.server import Settings, create_app; create_app(Settings())"
    code += (
        "; print(sorted({'torch', 'lightning', 'timm', 'matplotlib', 'coremltools', 'onnxruntime'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=True)
    assert ended.stdout.strip() == "[]"
