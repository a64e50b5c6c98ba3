"""One rule for the class of a photo, held by audit, split, studio, training and evaluation alike."""

from __future__ import annotations

import hashlib
import io
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bball_pl.audit.audit import Audit
from bball_pl.collect.local import Clips, Local
from bball_pl.collect.source import Candidate, LeftOut
from bball_pl.errors import DatasetError
from bball_pl.evaluate.evaluation import labelled_photos
from bball_pl.photos.dataset_layout import scan_dataset
from bball_pl.photos.journal import Journal
from bball_pl.photos.photos_csv import COLUMNS, AppendTable, read_photos_csv
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import PhotoTree
from bball_pl.predict.sources import find_sources
from bball_pl.project import ROOT
from bball_pl.split.write import SplitSettings, make_split
from bball_pl.studio.history import History
from bball_pl.studio.pictures import PhotoIds
from bball_pl.studio.sort.queue import SortQueue
from bball_pl.verify.proof import bound_photos

from helpers.audit_albums import run
from helpers.fit_runs import environment
from helpers.forked import run_python
from helpers.split_albums import noise

CLASSES = ["shoot", "dribble", "layup"]


def paint(root: Path, *names: str) -> Path:
    for name in names:
        noise(root / name, sum(map(ord, name)) * 1000 + len(name))
    return root


def in_studio(inbox: Path) -> dict[str, str]:
    """Return the class of each photo by its relative name, as the studio's queue has it."""
    history = History(inbox.parent, PhotoIds())
    queue = SortQueue(history, inbox, CLASSES)
    tracked = [history.photo_at(path, inbox) for path in sorted(inbox.rglob("*.jpg"))]
    history.close()
    return {photo.path.removeprefix(f"{inbox.name}/"): queue.state(photo.id) for photo in tracked}


def in_split(root: Path, out: Path, store: PhotoStore) -> dict[str, str]:
    """Return the class of each photo by its relative name, as split would place it."""
    made = make_split(SplitSettings(root, out, near_duplicates=False, class_names=CLASSES, dry_run=True), store)
    assert {why for _, why in made.plan.left_out} <= {"not sorted into a class"}
    placed = {photo.relative: name.split("/")[1] for photo, name in made.plan.names.items()}
    return placed | {name: "" for name, _ in made.plan.left_out}


def in_audit(root: Path, store: PhotoStore) -> dict[str, str]:
    audit = Audit.of(PhotoTree.scan(root, CLASSES), store, labels=False)
    return {photo.relative: photo.class_name for photo in audit.tree.photos}


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    names = [f"local/{name}/game/{name}{number}.jpg" for name in CLASSES for number in range(4)]
    return paint(tmp_path / "data/inbox", *names)


def split_by_script(inbox: Path, out: Path) -> dict[str, str]:
    done = run_python([ROOT / "scripts/split.py", inbox, "--out", out], env=environment())
    assert done.returncode == 0, done.stderr
    return {path.name: path.relative_to(out).parts[1] for path in out.rglob("*.jpg")}


def test_below_unsorted_no_folder_gives_a_class(inbox: Path, tmp_path: Path) -> None:
    paint(inbox, "local/unsorted/shoot/new.jpg")
    audited = run(inbox, "--no-labels", cache=tmp_path / "cache")
    assert "1 photos are in no class" in audited.stdout
    assert in_studio(inbox)["local/unsorted/shoot/new.jpg"] == ""
    out = tmp_path / "photos"
    placed = split_by_script(inbox, out)
    assert "new.jpg" not in placed
    assert len(placed) == 12
    assert "local/unsorted/shoot/new.jpg,not sorted into a class" in (out / "left_out.csv").read_text()
    assert len(scan_dataset(out).photos) == 12
    # The studio sorts it, and its album keeps the name of another class.
    history = History(inbox.parent, PhotoIds())
    queue = SortQueue(history, inbox, CLASSES)
    (photo,) = queue.next("a", (), 9)
    queue.decide(photo.id, "label", "layup", 0)
    history.close()
    assert (inbox / "local/layup/shoot/new.jpg").is_file()
    assert in_studio(inbox)["local/layup/shoot/new.jpg"] == "layup"
    assert split_by_script(inbox, out)["new.jpg"] == "layup"


def test_of_class_folders_in_each_other_the_first_counts(inbox: Path, tmp_path: Path) -> None:
    name = "local/shoot/layup/x.jpg"
    paint(inbox, name)
    store, out = PhotoStore(tmp_path / "cache"), tmp_path / "photos"
    assert in_audit(inbox, store)[name] == "shoot"
    assert in_studio(inbox)[name] == "shoot"
    assert split_by_script(inbox, out)["x.jpg"] == "shoot"
    paint(out, "train/shoot/layup/y.jpg")
    assert {photo.path.name: photo.class_name for photo in scan_dataset(out).photos}["y.jpg"] == "shoot"
    assert in_audit(out, store)["train/shoot/layup/y.jpg"] == "shoot"
    store.close()


def test_photos_csv_beats_folders_and_the_journal_beats_both(inbox: Path, tmp_path: Path) -> None:
    names = [f"local/unsorted/album/{number}.jpg" for number in range(3)]
    paint(inbox, *names, "local/shoot/game/moved.jpg")
    table = AppendTable(inbox / "local/photos.csv", (*COLUMNS, "collected"))
    for name, class_name in zip(names, ("unsorted", "layup", "layup"), strict=True):
        table.add({"path": name.removeprefix("local/"), "class": class_name})
    # The row of a photo that was moved by hand since: the folder is newer.
    table.add({"path": "unsorted/album/moved.jpg", "class": "dribble", "group": "game 7"})
    table.close()
    with Journal(inbox.parent, "studio") as journal:
        journal.note(inbox / names[2], "label", "dribble")
    expected = dict(zip(names, ("", "layup", "dribble"), strict=True)) | {"local/shoot/game/moved.jpg": "shoot"}
    store = PhotoStore(tmp_path / "cache")
    for found in (in_audit(inbox, store), in_studio(inbox), in_split(inbox, tmp_path / "photos", store)):
        assert {name: found[name] for name in expected} == expected
    store.close()
    placed = split_by_script(inbox, tmp_path / "photos")
    assert placed["moved.jpg"] == "shoot"
    groups = {Path(row.path).name: row.group for row in read_photos_csv(tmp_path / "photos/photos.csv")}
    assert groups["moved.jpg"] == "local/game 7"


FOLDERS = st.sampled_from(["shoot", "dribble", "layup", "unsorted", "album", "league"])
#: Folders, the class in photos.csv, and the class in the journal.
FILES = st.lists(
    st.tuples(
        st.lists(FOLDERS, max_size=4),
        st.sampled_from([None, "unsorted", "shoot", "dribble", "layup", "dunk"]),
        st.sampled_from([None, None, "shoot", "layup"]),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PhotoStore:
    """A store that all examples share: the same few pictures are measured once."""
    return PhotoStore(tmp_path_factory.mktemp("cache"))


def expected_class(folders: list[str], in_table: str | None, in_journal: str | None) -> str:
    """Return the class by the words of data/README.md."""
    named = in_journal or (in_table if in_table != "unsorted" else None)
    if named is None:
        named = next((folder for folder in folders if folder in (*CLASSES, "unsorted")), "")
    return named if named in CLASSES else ""


@given(FILES)
@settings(max_examples=25, deadline=None)
def test_all_readers_of_an_inbox_agree(
    store: PhotoStore, files: list[tuple[list[str], str | None, str | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "data/inbox"
        table = AppendTable(inbox / "photos.csv", (*COLUMNS, "collected"))
        expected = {}
        for number, (folders, in_table, in_journal) in enumerate(files):
            name = "/".join([*folders, f"{number}.jpg"])
            noise(inbox / name, number)
            if in_table is not None:
                table.add({"path": name, "class": in_table})
            if in_journal is not None:
                with Journal(inbox.parent, "studio") as journal:
                    journal.note(inbox / name, "label", in_journal)
            expected[name] = expected_class(folders, in_table, in_journal)
        table.close()
        assert in_audit(inbox, store) == expected
        assert in_studio(inbox) == expected
        if any(expected.values()):
            assert in_split(inbox, Path(folder) / "photos", store) == expected


@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.lists(FOLDERS, max_size=3)), max_size=5))
@settings(max_examples=25, deadline=None)
def test_all_readers_of_a_dataset_agree(store: PhotoStore, files: list[tuple[str, list[str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        expected: dict[str, str] = {}
        for split_name in ("train", "val", "test"):
            for class_name in CLASSES:
                expected[f"{split_name}/{class_name}/a.jpg"] = class_name
        for number, (split_name, folders) in enumerate(files):
            class_name = CLASSES[number % 3]
            expected["/".join([split_name, class_name, *folders, f"{number}.jpg"])] = class_name
        for number, name in enumerate(expected):
            noise(root / name, number)
        assert {photo.relative: photo.class_name for photo in scan_dataset(root).photos} == expected
        assert in_audit(root, store) == expected
        assert in_split(root, Path(folder) / "photos", store) == expected
        evaluated: Mapping[str, str] = {
            photo.relative: photo.class_name
            for split_name in ("train", "val", "test")
            for photo in labelled_photos(split_name, CLASSES, root, None)
        }
        assert evaluated == expected


def test_unsorted_photos_of_a_dataset_are_named_and_no_class(tmp_path: Path) -> None:
    root = tmp_path / "data"
    names = [f"{split_name}/{class_name}/a.jpg" for split_name in ("train", "test") for class_name in CLASSES]
    paint(root, *names, "train/unsorted/shoot/b.jpg")
    dataset = scan_dataset(root)
    assert (dataset.class_names, dataset.ignored) == (CLASSES, ["train/unsorted/"])
    assert [photo.relative for photo in dataset.photos] == sorted(names)
    tree = PhotoTree.scan(root)
    assert tree.class_names == CLASSES
    assert [photo.relative for photo in tree.photos if not photo.class_name] == ["train/unsorted/shoot/b.jpg"]


LITTER = (
    *("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/a.jpg", "@__thumb/a.jpg", "$RECYCLE.BIN/a.jpg"),
    *("__MACOSX/._a.jpg", "__MACOSX/a.jpg", ".thumbnails/a.jpg", "._a.jpg", "System Volume Information/a.jpg"),
)


def test_litter_is_passed_over_everywhere(tmp_path: Path) -> None:
    root = tmp_path / "data"
    names = [f"{split_name}/{class_name}/a.jpg" for split_name in ("train", "test") for class_name in ("dunk", "pass")]
    paint(root, *names)
    for name in LITTER:
        paint(root, f"train/dunk/{name}", f"train/{name}", f"test/pass/{name}")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "ehthumbs.db", "Icon\r"):
        (root / "train/dunk" / name).write_bytes(b"litter")
    dataset = scan_dataset(root)
    assert [photo.relative for photo in dataset.photos] == sorted(names)
    assert (dataset.class_names, dataset.ignored) == (["dunk", "pass"], [])
    assert [photo.relative for photo in PhotoTree.scan(root).photos] == sorted(names)
    assert PhotoTree.scan(root, movable=True).photos == PhotoTree.scan(root).photos
    found = [item for item in Local([root]).items() if isinstance(item, Candidate)]
    assert len(found) == len(names)
    assert len(find_sources([str(root)], io.BytesIO()).sources) == len(names)
    assert len(find_sources([f"{root}/**"], io.BytesIO()).sources) == len(names)
    contents = [path.read_bytes() for path in root.rglob("*.jpg") if path.is_file()]
    digests = {hashlib.sha256(content).hexdigest() for content in contents}
    files = [{"path": "moved.jpg", "class": "dunk", "sha256": digest} for digest in sorted(digests)]
    proven = bound_photos({"photo_files": {"files": files}}, [root])
    assert {photo.path.relative_to(root).as_posix() for photo in proven} == set(names)
    for name in ("game.mp4", *LITTER):
        (root / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "clips" / name).with_suffix(".mp4").write_bytes(b"no video")
    clips = [item for item in Clips([root / "clips"]).items() if isinstance(item, LeftOut)]
    assert [item.title for item in clips] == ["game"]


def test_class_names_are_one_in_every_form_of_unicode(tmp_path: Path) -> None:
    root, name = tmp_path / "data", "ドリブル"
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    paint(root, f"train/{name}/1.jpg", f"test/{decomposed}/2.jpg", "train/pass/3.jpg", "test/pass/4.jpg")
    for given_names in (None, [name, "pass"], [decomposed, "pass"]):
        dataset = scan_dataset(root, given_names)
        assert [photo.class_name for photo in dataset.photos if "pass" not in photo.relative] == [name, name]
    tree = PhotoTree.scan(paint(tmp_path / "tree", f"{name}/1.jpg", f"{decomposed}/2.jpg", "pass/3.jpg"))
    assert tree.class_names == ["pass", name]
    assert {photo.class_name for photo in tree.photos} == {"pass", name}


def table_of_labels(root: Path) -> Path:
    """Photos in `images/` and their labels in a table beside it, as from Kaggle."""
    paint(root, "images/1.jpg", "images/2.jpg")
    (root / "labels.csv").write_text("id,label\n1.jpg,dunk\n2.jpg,block\n", encoding="utf-8")
    return root


def test_images_is_no_class_and_the_table_beside_it_is_named(tmp_path: Path) -> None:
    root = table_of_labels(tmp_path / "kaggle")
    tree = PhotoTree.scan(root)
    assert (tree.class_names, {photo.class_name for photo in tree.photos}) == ([], {""})
    assert tree.label_tables == ["labels.csv"]
    done = run(root, "--no-labels", "--out", tmp_path / "out", cache=tmp_path / "cache")
    assert f"{root / 'labels.csv'} looks like a table of labels" in done.stdout
    assert f"--labels {root / 'labels.csv'}" in done.stdout.splitlines()[-1]
    with pytest.raises(DatasetError, match=r"no photo that can go into a dataset.*--labels"):
        make_split(SplitSettings(root, tmp_path / "photos"), PhotoStore(None))


def test_classes_below_images_are_classes(tmp_path: Path) -> None:
    paint(tmp_path, "images/dunk/1.jpg", "images/block/2.jpg", "images/block/deep/3.jpg")
    tree = PhotoTree.scan(tmp_path)
    assert tree.class_names == ["block", "dunk"]
    assert [photo.class_name for photo in tree.photos] == ["block", "block", "dunk"]


def test_a_folder_like_images_beside_others_is_a_class(tmp_path: Path) -> None:
    paint(tmp_path, "photos/1.jpg", "drawings/2.jpg")
    assert PhotoTree.scan(tmp_path).class_names == ["drawings", "photos"]


def test_a_dataset_for_detection_has_no_classes(tmp_path: Path) -> None:
    paint(tmp_path, "train/images/1.jpg", "val/images/2.jpg")
    assert PhotoTree.scan(tmp_path).unsorted == 2
    with pytest.raises(DatasetError, match="has the folder images and no class folders"):
        scan_dataset(tmp_path)


@pytest.mark.parametrize("head", ["path,class,group", "number,time,by,action,path,to,was,class,why,undoes", "a,b", ""])
def test_other_tables_are_no_tables_of_labels(tmp_path: Path, head: str) -> None:
    paint(tmp_path, "a/1.jpg")
    name = "photos.csv" if head.startswith("path") else "labels.csv"
    rows = "a/1.jpg,a,\n" if head.startswith("path") else ""
    (tmp_path / name).write_text(f"{head}\n{rows}", encoding="utf-8")
    assert PhotoTree.scan(tmp_path).label_tables == []
