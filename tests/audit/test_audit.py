"""The real script on small trees: what it finds, writes, moves and takes back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from bball_pl.audit import measure
from bball_pl.audit.labels import EXPECTED_SHARE, Doubt, Judgement
from bball_pl.audit.outputs import render_page
from bball_pl.court.demo_dataset import write_demo
from bball_pl.photos.audit_record import read_audit
from bball_pl.photos.journal import Journal
from bball_pl.photos.measurements import Measurements, measure_photo
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree
from bball_pl.project import audit_folder

from helpers.audit_albums import (
    MOVES,
    SCRIPT,
    dataset,
    found,
    listing,
    look_at,
    row,
    run,
    save,
    scene,
    table,
    write_table,
)
from helpers.forked import run_python
from planted_faults import plant


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests here: most look at the same scenes."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that makes a dataset with one fault of each kind that a file can have: painted once."""
    painted = paint_faulty(tmp_path_factory.mktemp("faulty") / "photos")
    return lambda root: Path(shutil.copytree(painted, root))


def paint_faulty(root: Path) -> Path:
    dataset(root, {"train": 2, "val": 1, "test": 2}, groups=2)
    own = scene(500)
    save(root / "train/shoot/new.jpg", own)
    save(root / "test/shoot/leak.jpg", np.ascontiguousarray(own[10:200, 20:300][:, ::-1]), quality=60)
    save(root / "train/layup/one.jpg", scene(501))
    shutil.copy(root / "train/layup/one.jpg", root / "train/layup/two.jpg")
    save(root / "val/layup/near.jpg", scene(502))
    save(root / "val/layup/small.jpg", scene(502)[::2, ::2])
    save(root / "train/dribble/either.jpg", scene(503))
    shutil.copy(root / "train/dribble/either.jpg", root / "train/shoot/or.jpg")
    save(root / "train/dribble/tiny.jpg", scene(504)[:100])
    save(root / "train/dribble/blurred.jpg", cv2.GaussianBlur(scene(505), (0, 0), 5))
    save(root / "train/dribble/dark.jpg", (scene(506) * 0.12).astype(np.uint8))
    (root / "train/dribble/cut.jpg").write_bytes((root / "train/dribble/000.jpg").read_bytes()[:3000])
    rows = table(root / "photos.csv")
    # Test photos are in the side with fewer of the game.
    rows = [own | {"group": "train-game-0"} if own["path"] == "test/layup/001.jpg" else own for own in rows]
    added = [f"{own}.jpg" for own in ("train/shoot/new", "train/layup/one", "val/layup/near", "train/dribble/either")]
    added += [f"train/dribble/{own}.jpg" for own in ("tiny", "blurred", "dark", "cut")]
    gaps = {"train/dribble/tiny.jpg": {"licence": ""}, "train/dribble/dark.jpg": {"licence": "CC-BY-NC-2.0"}}
    gaps |= {"train/dribble/blurred.jpg": {"author": ""}}
    rows += [row(path, path.split("/")[1]) | gaps.get(path, {}) for path in added]
    rows += [row(path, path.split("/")[1]) for path in ("test/shoot/leak.jpg", "train/layup/two.jpg")]
    rows += [row(path, path.split("/")[1]) for path in ("val/layup/small.jpg", "train/shoot/or.jpg")]
    write_table(root, rows)
    return root


EXPECTED = {
    "unreadable": {"train/dribble/cut.jpg"},
    "leak_copy": {"train/shoot/new.jpg"},
    "leak_group": {"test/layup/001.jpg"},
    "two_classes": {"train/dribble/either.jpg", "train/shoot/or.jpg"},
    "exact_duplicate": {"train/layup/two.jpg"},
    "near_duplicate": {"val/layup/small.jpg"},
    "tiny": {"train/dribble/tiny.jpg", "val/layup/small.jpg"},
    "blurred": {"train/dribble/blurred.jpg"},
    "dark": {"train/dribble/dark.jpg"},
    "no_licence": {"train/dribble/tiny.jpg"},
    "no_author": {"train/dribble/blurred.jpg"},
    "restricted_licence": {"train/dribble/dark.jpg"},
}


def test_every_fault_is_found_moved_and_taken_back(faulty: Callable[[Path], Path], tmp_path: Path, cache: Path) -> None:
    root = faulty(tmp_path / "photos")
    before = listing(root)
    first = run(root, "--no-labels", cache=cache, process=True)
    assert listing(root) == before, "looking changes nothing"
    assert not (tmp_path / "labels.csv").exists()
    out = audit_folder(root)
    assert out == tmp_path / "audits" / "photos"
    rows = table(out / "audit.csv")
    by_kind = {kind: {own["path"] for own in rows if own["kind"] == kind} for kind in {own["kind"] for own in rows}}
    assert by_kind == EXPECTED
    leak = next(own for own in rows if own["kind"] == "leak_copy")
    assert leak["with"] == "test/shoot/leak.jpg"
    assert "mirrored" in leak["why"]
    assert leak["class"] == "shoot"
    record = read_audit(root)
    assert record is not None
    assert record.counts == {kind: len(paths) for kind, paths in EXPECTED.items()}
    assert "next:" in first.stdout
    assert "fit.py --data.root" in first.stdout

    fixed = run(root, "--no-labels", "--fix", cache=cache)
    gone = EXPECTED["unreadable"] | EXPECTED["leak_copy"] | EXPECTED["exact_duplicate"]
    quarantine = tmp_path / "quarantine" / "photos"
    assert {name for name in before if not (root / name).exists()} == gone
    assert {own for own in listing(quarantine) if not own.endswith("photos.csv")} == gone
    assert not gone & {own["path"] for own in table(root / "photos.csv")}
    assert {own["path"] for own in table(quarantine / "photos.csv")} == gone
    assert "moved 3 photos" in fixed.stdout
    assert "--undo" in fixed.stdout
    moved = {own["path"]: own for own in table(out / "audit.csv") if own["action"] == "moved"}
    assert set(moved) == gone
    assert moved["train/layup/two.jpg"]["moved_to"] == "quarantine/photos/train/layup/two.jpg"
    after = read_audit(root)
    assert after is not None
    assert after.photos == record.photos - 3
    assert not {"unreadable", "leak_copy", "exact_duplicate"} & set(after.counts)

    again = run(root, "--no-labels", "--fix", cache=cache)
    assert "nothing to move" in again.stdout
    still = read_audit(root)
    assert still is not None
    assert (still.counts, still.fingerprint) == (after.counts, after.fingerprint)

    back = run(root, "--undo", process=True)
    assert "took back 3 moves" in back.stdout
    assert listing(root) == before
    assert "nothing to take back" in run(root, "--undo").stdout


def test_a_fix_of_chosen_kinds_and_two_undos(faulty: Callable[[Path], Path], tmp_path: Path, cache: Path) -> None:
    root = faulty(tmp_path / "photos")
    before = listing(root)
    kinds = ("--kinds", "near_duplicate", "two_classes", "dark")
    run(root, "--no-labels", "--fix", *kinds, cache=cache)
    gone = EXPECTED["near_duplicate"] | EXPECTED["two_classes"] | EXPECTED["dark"]
    assert {name for name in before if not (root / name).exists()} == gone
    run(root, "--no-labels", "--fix", cache=cache)
    assert "took back 3 moves" in run(root, "--undo").stdout
    assert {name for name in before if not (root / name).exists()} == gone
    assert "took back 4 moves" in run(root, "--undo").stdout
    assert listing(root) == before


def test_an_undo_refuses_what_has_changed_since(faulty: Callable[[Path], Path], tmp_path: Path, cache: Path) -> None:
    root = faulty(tmp_path / "photos")
    run(root, "--no-labels", "--fix", cache=cache)
    quarantine = tmp_path / "quarantine" / "photos"
    (quarantine / "train/shoot/new.jpg").unlink()
    save(root / "train/layup/two.jpg", scene(900))
    refused = run(root, "--undo", check=False)
    assert refused.returncode == 2
    assert "took back 1 moves" in refused.stdout
    assert "2 moves were not taken back" in refused.stderr
    assert "no longer there" in refused.stderr
    assert "taken by another photo" in refused.stderr
    assert (quarantine / "train/layup/two.jpg").exists()
    assert (root / "train/dribble/cut.jpg").exists()


def test_somebody_elses_labels_csv_stops_moves_and_not_looks(
    faulty: Callable[[Path], Path], tmp_path: Path, cache: Path
) -> None:
    root = faulty(tmp_path / "photos")
    (tmp_path / "labels.csv").write_text("photo,label\na,b\n")
    run(root, "--no-labels", cache=cache)
    refused = run(root, "--no-labels", "--fix", cache=cache, check=False)
    assert refused.returncode == 2
    assert "another kind of table" in refused.stderr
    assert (tmp_path / "labels.csv").read_text() == "photo,label\na,b\n"
    assert not (tmp_path / "quarantine").exists()


def test_another_trees_fix_is_not_taken_back(faulty: Callable[[Path], Path], tmp_path: Path, cache: Path) -> None:
    one, other = (faulty(tmp_path / name) for name in ("one", "one more"))
    run(one, "--no-labels", "--fix", cache=cache)
    run(other, "--no-labels", "--fix", cache=cache)
    assert "took back 3 moves" in run(one, "--undo").stdout
    assert not (other / "train/layup/two.jpg").exists()


def test_an_inbox_that_nobody_has_sorted(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "inbox" / "local"
    for number in range(6):
        save(root / "unsorted" / "game" / f"{number}.jpg", scene(number))
    save(root / "unsorted" / "game" / "copy.jpg", scene(0)[::2, ::2])
    names = [f"unsorted/game/{own}.jpg" for own in (*range(6), "copy")]
    write_table(root, [row(name, "unsorted", "game", validator="", collected="2026-01-01") for name in names])
    done = run(root, cache=cache)
    assert "no photo is sorted into a class yet: doubtful labels and imbalance are left out" in done.stdout
    assert f"studio.py {root}" in done.stdout
    out = tmp_path / "audits" / "inbox" / "local"
    assert {(own["kind"], own["path"]) for own in table(out / "audit.csv")} == {
        ("near_duplicate", "unsorted/game/copy.jpg"),
        ("tiny", "unsorted/game/copy.jpg"),
    }
    page = (out / "audit.html").read_text(encoding="utf-8")
    assert "No photo is sorted into a class yet" in page
    run(root, "--fix", "--kinds", "near_duplicate", cache=cache)
    assert (tmp_path / "quarantine/inbox/local/unsorted/game/copy.jpg").exists()
    assert len(table(root / "photos.csv")) == 7, "the table of an inbox is the collector's"


def test_errors_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, told in (
        ([tmp_path / "nowhere"], "there is no folder"),
        ([tmp_path / "empty"], "has no photos"),
        ([tmp_path / "empty", "--fix", "--undo"], "pass one of them"),
        ([tmp_path / "empty", "--kinds", "imbalance"], "expected some of"),
    ):
        done = run(*arguments, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


def test_a_damaged_table_stops_it_before_anything_is_written(tmp_path: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 1, "test": 1})
    (root / "photos.csv").write_bytes(b"path,class\n\xff\xfe,shoot\n")
    done = run(root, check=False)
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr
    assert not (tmp_path / "audits").exists()


def test_a_place_that_cannot_be_written(faulty: Callable[[Path], Path], tmp_path: Path, cache: Path) -> None:
    root = faulty(tmp_path / "photos")
    before = sorted(root.rglob("*"))
    (tmp_path / "out").write_text("a file where the folder should be")
    done = run(root, "--no-labels", "--fix", "--out", tmp_path / "out", cache=cache, check=False)
    assert done.returncode == 2
    assert "is a file; pass a folder" in done.stderr
    assert sorted(root.rglob("*")) == before, "refused before anything is moved"
    assert read_audit(root) is None


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_hostile_names(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "<b>tree"
    names = ["<script>alert(1)<", "quote\"'&amp;", "line\nend", "運球 photo", "=cmd|' '!A0", "{{ 7 * 7 }}", "[red]x[/]"]
    for number, name in enumerate(names):
        save(root / "shoot" / f"{name}.jpg", scene(number))
        save(root / "shoot" / f"{name}-2.jpg", scene(number)[::2, ::2])
    save(root / "shoot" / "x.jpg", scene(50)).rename(root / "shoot" / os.fsdecode(b"\xff\xfe.jpg"))
    shutil.copy(root / "shoot" / os.fsdecode(b"\xff\xfe.jpg"), root / "shoot" / "y.jpg")
    (root / "=formula.jpg").write_bytes(b"no photo")
    save(root / "layup" / "1.jpg", scene(99))
    done = run(root, "--no-labels", "--fix", cache=cache)
    assert "Traceback" not in done.stderr
    out = tmp_path / "audits" / "<b>tree"
    page = (out / "audit.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<b>tree" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert "{{ 7 * 7 }}" in page
    paths = {own["path"] for own in table(out / "audit.csv")}
    assert "shoot/line\nend-2.jpg" in paths
    assert "./=formula.jpg" in paths
    assert "shoot/運球 photo-2.jpg" in paths
    moved = sorted(path.name for path in (tmp_path / "quarantine").rglob("*.jpg"))
    assert moved == ["=formula.jpg", "y.jpg"] or moved == ["=formula.jpg", os.fsdecode(b"\xff\xfe.jpg")]
    assert "took back 2 moves" in run(root, "--undo").stdout
    assert read_audit(root) is not None


def test_wrong_labels_end_to_end(tmp_path: Path, cache: Path) -> None:
    # A class of its own colour: whatever network there is can tell.
    root = tmp_path / "tree"
    for place, (class_name, tint) in enumerate(zip(MOVES, ((90, 0, 0), (0, 90, 0), (0, 0, 90)), strict=True)):
        for number in range(8):
            pixels = np.clip(scene(100 * place + number, (96, 64)) * 0.4 + tint, 0, 255).astype(np.uint8)
            save(root / class_name / f"{number}.jpg", pixels)
    (root / "shoot" / "0.jpg").rename(root / "layup" / "wrong.jpg")
    done = run(root, "--min-side", 16, cache=cache)
    rows = [own for own in table(audit_folder(root) / "audit.csv") if own["kind"] == "doubtful_label"]
    assert [(own["path"], own["class"], own["suggested"]) for own in rows] == [("layup/wrong.jpg", "layup", "shoot")]
    page = (audit_folder(root) / "audit.html").read_text(encoding="utf-8")
    assert "Layup or shoot?" in page
    assert "Take-off is from one foot" in page
    record = read_audit(root)
    assert record is not None
    assert record.labels
    assert "label in doubt" in done.stdout
    assert "split.py" in done.stdout
    # A person has looked at it, in the studio.
    with Journal(tmp_path, "studio") as journal:
        confirmed = journal.note(root / "layup" / "wrong.jpg", "confirm", "layup")
    done = run(root, "--min-side", 16, cache=cache)
    assert "a person has confirmed the label: 1" in done.stdout
    assert not [own for own in table(audit_folder(root) / "audit.csv") if own["kind"] == "doubtful_label"]
    with Journal(tmp_path, "studio") as journal:
        journal.undo(confirmed.number)
    assert "label in doubt" in run(root, "--min-side", 16, cache=cache).stdout


#: Ends the script by Ctrl-C once the store has kept the first photos.
_INTERRUPTED = """
import os, runpy, signal, sys
from bball_pl.photos.measurements import Measurements, measure_photo
from bball_pl.photos.store import PhotoStore
keep = PhotoStore.keep
def interrupted(self, **kept):
    keep(self, **kept)
    os.kill(os.getpid(), signal.SIGINT)
PhotoStore.keep = interrupted
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_an_interrupted_audit_leaves_nothing_half_written_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, own = dataset(tmp_path / "d", {"train": 9, "test": 3}), tmp_path / "cache"
    words = ["-c", _INTERRUPTED, SCRIPT, root, "--no-labels", "--cache_dir", own]
    ended = run_python(words, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ended.returncode == 130
    assert ended.stderr.strip().endswith("interrupted")
    assert not (tmp_path / "audits").exists()
    measured = []

    def counted(content: bytes) -> tuple[Measurements, np.ndarray | None]:
        measured.append(content)
        return measure_photo(content)

    monkeypatch.setattr(measure, "measure_photo", counted)
    run(root, "--no-labels", cache=own)
    assert 0 < len(measured) < 36, "photos that are known are not measured again"
    assert sorted(path.name for path in audit_folder(root).iterdir()) == ["audit.csv", "audit.html", "audit.json"]


def test_a_fix_that_was_killed_is_finished_by_the_next(
    faulty: Callable[[Path], Path], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bball_pl.audit import fix as fixing
    from bball_pl.photos.journal import Journal
    from bball_pl.photos.labels_csv import Entry

    root = faulty(tmp_path / "photos")
    before = listing(root)
    store = PhotoStore(cache)
    move, calls = Journal.move, 0

    def killed(self: Journal, *arguments: object, **named: object) -> Entry:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return move(self, *arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "move", killed)
        with pytest.raises(KeyboardInterrupt):
            fixing.apply_fix(look_at(root, store))
    assert len(fixing.apply_fix(look_at(root, store))) == 2
    store.close()
    assert [len(fixing.undo_fix(PhotoTree.at(root)).back) for _ in range(3)] == [2, 1, 0]
    assert listing(root) == before


def test_what_is_said_beside_the_findings(tmp_path: Path) -> None:
    dataset(tmp_path / "without", {"train": 1})
    remarks = look_at(tmp_path / "without").remarks
    assert any("0 of 3 photos name a game; each is counted singly" in remark for remark in remarks)
    dataset(tmp_path / "with", {"train": 1}, groups=1)
    audit = look_at(tmp_path / "with")
    assert not any("game" in remark for remark in audit.remarks)
    assert not any(EXPECTED_SHARE in remark for remark in audit.remarks)
    audit.judgement = Judgement([Doubt(audit.tree.photos[0], "shoot", 0.1, 0.8)], 3)
    assert any(EXPECTED_SHARE in remark for remark in audit.remarks)
    page = render_page(audit)
    assert "How many of them are right depends on how many labels are wrong" in page


def test_planted_faults_in_rendered_games(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", 30, 9, 5, 1)
    planted = plant(tmp_path / "demo", tmp_path / "planted", seed=1, copies=11, leaks=4, strays=2, labels=0)
    audit = look_at(planted.root)
    expected = {frozenset(pair) for pair in (*planted.copies.items(), *planted.leaks.items())}
    clusters = {frozenset(photo.relative for photo in cluster) for cluster in audit.copies.clusters}
    assert clusters == expected
    assert found(audit, "leak_copy") == set(planted.leaks.values())
    assert found(audit, "near_duplicate") == set(planted.copies)
    assert found(audit, "leak_group") == planted.strays


def test_the_record_knows_what_has_changed(tmp_path: Path, cache: Path) -> None:
    root = dataset(tmp_path / "d", {"train": 2, "test": 1})
    run(root, "--no-labels", cache=cache)
    record = read_audit(root)
    assert record is not None

    def photos() -> list[tuple[str, str, str]]:
        return [(photo.class_name, photo.relative, photo.sha256) for photo in look_at(root).tree.photos]

    assert record.changed(photos()) == []
    assert record.changed(photos()[::-1]) == []
    save(root / "train/shoot/new.jpg", scene(77))
    (root / "train/layup/000.jpg").rename(root / "train/layup/renamed.jpg")
    assert record.changed(photos()) == ["layup", "shoot"]
    assert record.changed(own for own in photos() if own[0] == "dribble") == [], "a part of the classes may be used"
    assert json.loads((audit_folder(root) / "audit.json").read_text())["fingerprint"] == record.fingerprint
