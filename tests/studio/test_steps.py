"""Steps over HTTP: uploads, commands and their options, jobs that outlive the studio, and requests that mean harm."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bball_pl.studio.steps.jobs import Jobs

from helpers.painting import COLOURS, paint_photo
from helpers.studio_jobs import ended_job, job_of, long_command, project_studio, send, wait_for
from helpers.studio_server import Studio
from helpers.tiny_exports import tiny_export


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("steps")
    tiny_export(tmp_path_factory, folder)
    (folder / "configs").mkdir()
    (folder / "configs" / "own.yaml").write_text("trainer:\n  max_epochs: 1\n")
    with project_studio(folder) as running:
        yield running


def photo(folder: Path, number: int) -> bytes:
    colour = list(COLOURS.values())[number % 3]
    return paint_photo(folder / "sent.jpg", colour, number, (160, 140)).read_bytes()


def options(studio: Studio, step: str) -> dict[str, dict[str, object]]:
    """Return the fields of a step by name."""
    (found,) = (one for one in studio.get("/api/steps")["steps"] if one["id"] == step)
    return {field["name"]: field for field in found["fields"]}


def test_photos_come_in_pieces_and_are_collected_by_a_job_that_outlives_the_studio(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    with project_studio(folder) as studio:
        assert studio.get("/api/steps")["next"] == "collect"
        assert not list((folder / "data").iterdir()), "looking leaves nothing behind"
        upload = studio.post("/api/steps/uploads", {"name": "My league!"})["upload"]
        for number in range(6):
            content = photo(tmp_path, number)
            name = f"game {number % 2}/p{number}.jpg"
            assert send(studio, upload, number, name, content[:500], offset=0, last="false") == 200
            # The connection broke in the middle of a piece: the same piece comes again.
            assert send(studio, upload, number, name, content[:400], offset=0, last="false") == 200
            assert send(studio, upload, number, name, content[500:], offset=500) == 409, "a gap"
            assert send(studio, upload, number, name, content[400:], offset=400) == 200
            assert send(studio, upload, number, name, content[400:], offset=400) == 409, "it is whole"
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr("game 2/in zip.jpg", photo(tmp_path, 7))
        assert send(studio, upload, 6, "more.zip", zipped.getvalue()) == 200
        assert list((folder / "data" / "uploads").glob("[0-9]*")) == [], "hidden until it is whole"
        done = studio.post(f"/api/steps/finish/{upload}", {})
        assert (done["name"], done["files"]) == ("My-league", 7)
        assert studio.get("/api/steps")["uploads"] == [
            {"id": "1", "name": "My-league", "files": 7, "size": done["size"]}
        ]
        chosen = {"step": "collect", "options": {"author": "A. Coach", "upload": upload}}
        command = "bball collect local data/uploads/1/My-league --out data/inbox/My-league '--author=A. Coach'"
        assert studio.post("/api/steps/command", chosen)["command"] == command
        job = studio.post("/api/steps/start", chosen)
        assert (job["command"], job["state"], job["of"]) == (command, "running", "collect")
        assert studio.post("/api/steps/start", chosen, 409)["code"] == "busy"
        assert studio.post(f"/api/steps/discard/{upload}", {}, 409)["code"] == "collecting"
        studio.kill()
        studio.start()
        ended = ended_job(studio, job["id"])
        assert (ended["state"], ended["status"]) == ("finished", 0)
        assert any(line.startswith("7 new photos") for line in ended["log"])
        assert studio.get(f"/api/steps/jobs/{job['id']}?seen={ended['tag']}") == {"tag": ended["tag"]}
        assert not list((folder / "data" / "uploads").iterdir()), "what is in the inbox needs no second copy"
        after = studio.get("/api/steps")
        assert (after["inbox"]["photos"], after["inbox"]["unsorted"], after["next"]) == (7, 7, "sort")
        rows = (folder / "data/inbox/My-league/photos.csv").read_text(encoding="utf-8")
        assert rows.count("A. Coach") == 7
        assert "local:My-league/game 0" in rows
        assert "local:My-league/more.zip/game 2" in rows


def test_a_job_is_stopped_by_the_studio_that_was_started_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    paint_photo(folder / "data/inbox/league/shoot/a.jpg", seed=1, size=(160, 140))
    with project_studio(folder) as studio:
        # What a user started in another studio of this project.
        job = Jobs(folder / "data").start("audit", long_command(folder / "scenes"), {"tree": "inbox"})
        assert studio.get("/api/steps")["jobs"][0]["state"] == "running"
        assert studio.post("/api/steps/start", {"step": "audit", "options": {}}, 409)["code"] == "busy"
        wait_for(lambda: list(folder.glob(".scenes.*.tmp/*/*/*.jpg")))
        assert studio.post("/api/steps/stop", {"job": job.id})["state"] in {"stopping", "stopped"}
        ended = ended_job(studio, job.id)
        assert (ended["state"], ended["status"], ended["log"][-1]) == ("stopped", 143, "terminated")
        assert studio.post("/api/steps/stop", {"job": job.id})["state"] == "stopped", "it stays as it ended"
        again = studio.post("/api/steps/start", {"step": "audit", "options": {"labels": False}})
        ended = ended_job(studio, again["id"])
        assert ended["command"] == "bball audit data/inbox --no-labels"
        assert ended["state"] == "finished", ended["log"]
        page = studio.ask("GET", "/api/steps/audits/inbox")
        assert page.status == 200
        assert "sandbox" in page.headers["content-security-policy"]
        assert studio.get("/api/steps")["audits"]["inbox"]["stale"] is False


def test_the_way_is_read_from_the_disk(studio: Studio) -> None:
    found = studio.get("/api/steps")
    (run,) = found["runs"]
    assert (run["id"], run["has_best"], run["resumable"]) == ("tiny/version_0", True, False)
    (export,) = found["exports"]
    assert (export["name"], export["proven"]) == ("tiny", True)
    assert {file["file"] for file in export["files"]} >= {"BasketballMoves.mlpackage", "BasketballMoves.onnx"}
    assert all(file["proven"] and file["size"] > 1000 for file in export["files"])
    saved = studio.ask("GET", "/api/steps/exports/tiny/BasketballMoves.mlpackage")
    assert saved.status == 200
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''BasketballMoves.mlpackage.zip"
    with zipfile.ZipFile(io.BytesIO(saved.body)) as packed:
        assert "BasketballMoves.mlpackage/Manifest.json" in packed.namelist()
    onnx = studio.ask("GET", "/api/steps/exports/tiny/BasketballMoves.onnx")
    assert onnx.body == (studio.folder / "exports/tiny/BasketballMoves.onnx").read_bytes()
    parity = studio.folder / "exports/tiny/parity.json"
    whole = parity.read_text(encoding="utf-8")
    parity.write_text(json.dumps(json.loads(whole) | {"passed": False}))
    assert studio.get("/api/steps")["exports"][0]["proven"] is False
    parity.write_text("{")
    assert studio.get("/api/steps")["exports"][0]["proven"] is False
    parity.write_text(whole)
    verified = ended_job(studio, studio.post("/api/steps/start", {"step": "verify", "options": {}})["id"])
    assert (verified["command"], verified["state"]) == ("bball verify exports/tiny", "finished")
    assert verified["log"][-1].startswith("all ")


def test_the_commands_of_options(studio: Studio) -> None:
    paint_photo(studio.folder / "data/photos/train/shoot/a.jpg")
    paint_photo(studio.folder / "data/inbox/league/layup/a.jpg")

    def command(step: str, **chosen: object) -> str:
        return str(studio.post("/api/steps/command", {"step": step, "options": chosen})["command"])

    assert options(studio, "train")["config"]["choices"] == ["standard", "quick", "own.yaml"]
    assert command("train") == "bball fit --data.root data/photos --name=moves"
    assert command("train", config="quick", network="inception_v3", epochs=3, name="a b") == (
        "bball fit --config demo --data.root data/photos '--name=a b' --model.backbone inception_v3 "
        "--trainer.max_epochs=3"
    )
    assert command("train", config="own.yaml").startswith("bball fit --config configs/own.yaml --data.root")
    assert command("split", dataset="moves", val=0, games="folder") == (
        "bball split data/inbox --out data/moves --val=0 --test=0.15 --groups=folder"
    )
    assert command("audit", tree="photos", fix=True) == "bball audit data/photos --fix"
    run = "lightning_logs/tiny/version_0"
    assert command("evaluate", language="zh-Hant") == f"bball evaluate --run {run} --language=zh-Hant"
    assert command("export", formats=["mlpackage", "onnx"], name="league") == (
        f"bball export --run {run} --formats onnx mlpackage --name=league"
    )
    assert command("collect", collection="週末 聯賽", group="day") == (
        "bball collect local 'data/uploads/1/週末-聯賽' --out 'data/inbox/週末-聯賽' --group=day"
    )


@pytest.mark.parametrize(
    ("step", "chosen"),
    [
        ("nothing", {}),
        ("sort", {}),
        ("collect", {}),
        ("collect", {"upload": "../../inbox"}),
        ("collect", {"collection": "shoot"}),
        ("collect", {"collection": ""}),
        ("audit", {"tree": "/etc"}),
        ("audit", {"tree": "../photos"}),
        ("audit", {"labels": "yes"}),
        ("audit", {"out": "/tmp/x"}),
        ("split", {"dataset": "../evil"}),
        ("split", {"dataset": "inbox"}),
        ("split", {"dataset": "--out=/tmp"}),
        ("split", {"dataset": "a\nb"}),
        ("split", {"val": 0.9}),
        ("split", {"val": True}),
        ("train", {"dataset": "none such"}),
        ("train", {"config": "/etc/passwd"}),
        ("train", {"config": "../../x.yaml"}),
        ("train", {"network": "resnet50"}),
        ("train", {"epochs": 1e9}),
        ("train", {"epochs": 1.5}),
        ("train", {"epochs": "3"}),
        ("train", {"name": "--trainer.default_root_dir=/tmp"}),
        ("train", {"name": ".hidden"}),
        ("train", {"name": "x" * 300}),
        ("train", {"name": None}),
        ("train", {"name": ["a"]}),
        ("evaluate", {"run": "tiny/version_9"}),
        ("evaluate", {"run": {"a": 1}}),
        ("export", {"formats": []}),
        ("export", {"formats": ["exe"]}),
        ("export", {"formats": "onnx"}),
        ("export", {"name": "a/b"}),
        ("resume", {"run": "tiny/version_0"}),
        ("verify", {"export": ".."}),
    ],
)
def test_an_option_that_is_none_starts_nothing(studio: Studio, step: str, chosen: dict[str, object]) -> None:
    before = studio.get("/api/steps")["jobs"]
    for path in ("command", "start"):
        reply = studio.post(f"/api/steps/{path}", {"step": step, "options": chosen}, 422)
        assert reply["message"]
        assert str(studio.folder) not in reply["message"]
    assert studio.get("/api/steps")["jobs"] == before


def test_requests_that_mean_harm(studio: Studio) -> None:
    own = {"X-Studio-CSRF": studio.csrf, "Origin": studio.url}
    as_json = own | {"Content-Type": "application/json"}
    for method, path, body, headers in (
        ("POST", "/api/steps/start", b'{"step": "audit", "options": {}}', {"Content-Type": "application/json"}),
        ("POST", "/api/steps/start", b'{"step": "audit"}', as_json | {"Origin": "http://evil.example"}),
        ("POST", "/api/steps/start", b"[]", as_json),
        ("POST", "/api/steps/start", b'{"step": 1, "options": []}', as_json),
        ("POST", "/api/steps/start", b'{"step": "train", "options": {"epochs": NaN}}', as_json),
        ("POST", "/api/steps/start", b'{"step": "collect", "options": {"author": "\\ud800"}}', as_json),
        ("POST", "/api/steps/start", b'{"step": "train", "options": {"name": "\\ud800"}}', as_json),
        ("POST", "/api/steps/start", b'{"step": "\\udc80", "options": {}}', as_json),
        ("POST", "/api/steps/start", b'{"step": "audit", "options": {"%s\\ud800": 1}}' % (b"k" * 300), as_json),
        ("POST", "/api/steps/stop", b'{"job": "../1"}', as_json),
        ("POST", "/api/steps/stop", b'{"job": "999"}', as_json),
        ("POST", "/api/steps/uploads", b'{"name": 3}', as_json),
        ("POST", "/api/steps/uploads", b'{"name": "none"}', as_json),
        ("POST", "/api/steps/uploads/1/0?name=a.jpg", b"x", own),
        ("POST", "/api/steps/uploads/..%2f..%2finbox/0?name=a.jpg", b"x", own),
        ("POST", "/api/steps/finish/1", b"{}", as_json),
        ("POST", "/api/steps/finish/999999999999", b"{}", as_json),
        ("POST", "/api/steps/discard/0", b"{}", as_json),
        ("POST", "/api/steps/discard/..", b"{}", as_json),
        ("GET", "/api/steps/jobs/..%2f1", None, {}),
        ("GET", "/api/steps/jobs/99", None, {}),
        ("GET", "/api/steps/audits/..%2f..", None, {}),
        ("GET", "/api/steps/audits/photos", None, {}),
        ("GET", "/api/steps/exports/tiny/parity.json", None, {}),
        ("GET", "/api/steps/exports/..%2fdata/photos.csv", None, {}),
        ("GET", "/api/steps/exports/tiny/..%2f..%2fdata", None, {}),
        ("PUT", "/api/steps/start", b"{}", as_json),
        ("DELETE", "/api/steps/jobs/1", b"", own),
    ):
        reply = studio.ask(method, path, body, headers)
        assert 400 <= reply.status < 500, (method, path, reply)
        assert str(studio.folder).encode() not in reply.body
    assert not any("Traceback" in line for line in studio.said)


def test_names_of_uploads_stay_in_their_folder(studio: Studio) -> None:
    upload = studio.post("/api/steps/uploads", {"name": "harm"})["upload"]
    for number, (name, status) in enumerate(
        (
            ("../../../../evil.jpg", 200),
            ("/etc/cron.d/evil.jpg", 200),
            ("C:\\Windows\\evil.jpg", 200),
            ("a/b/c/d/e/f/g/h/i/j/k/deep.jpg", 200),
            ("con/..hidden.jpg", 422),
            (f"{'長' * 300}.jpg", 200),
            ("dir\u202e/evil\x07.jpg", 200),
            ("a?.jpg", 200),
            ("A*.JPG", 200),
            (".jpg", 422),
            ("script.py", 422),
            ("photos.csv", 422),
            ("a.jpg/", 422),
            ("", 422),
        )
    ):
        assert send(studio, upload, number, name, b"x") == status, name
    assert send(studio, upload, 99, "big.jpg", b"x" * 1000, offset=50_000_000) == 409
    assert send(studio, upload, 10**7, "a.jpg", b"x") == 422
    assert send(studio, upload, 100, "a.jpg", b"x", offset=-1) == 422
    assert not list(studio.folder.rglob("evil.jpg.py"))
    assert not Path("/etc/cron.d/evil.jpg").exists()
    reply = studio.post(f"/api/steps/finish/{upload}", {}, 422)
    assert "have not arrived" in reply["message"], "the gap of big.jpg"
    folder = studio.folder / "data" / "uploads" / f".{upload}.partial" / "harm"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == [
        "A--2.JPG",
        "C-/Windows/evil.jpg",
        "a-.jpg",
        "dir/evil.jpg",
        "e/f/g/h/i/j/k/deep.jpg",
        "etc/cron.d/evil.jpg",
        "evil.jpg",
        f"{'長' * 32}.jpg",
    ]
    studio.post(f"/api/steps/discard/{upload}", {})
    assert not folder.exists()
    assert studio.get("/api/steps")["uploads"] == []


def test_a_damaged_job_and_a_full_disk_are_sentences(studio: Studio) -> None:
    job = studio.folder / "data" / ".jobs" / "7000"
    job.mkdir(parents=True)
    (job / "job.json").write_text("{")
    assert studio.get("/api/steps")["jobs"][0]["state"] == "damaged"
    assert job_of(studio, "7000")["log"] == []
    for record in ('{"words": ["audit"], "options": {"a": NaN}}', '{"words": ["\\ud800"], "step": "audit"}'):
        (job / "job.json").write_text(record)
        assert studio.get("/api/steps")["jobs"][0]["state"] == "damaged"
    uploads = studio.folder / "data" / "uploads"
    if uploads.exists():
        uploads.rmdir()
    uploads.write_text("a file")
    reply = studio.post("/api/steps/uploads", {"name": "league"}, 422)
    assert "cannot be written" in reply["message"]
    uploads.unlink()
