"""Outputs of an audit: the table on the terminal, audit.csv, the record, and a page that fetches nothing."""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from joblib import cpu_count
from PIL import Image
from rich.markup import escape
from rich.table import Table

from bball_pl.audit.audit import Audit
from bball_pl.audit.checks import ABOUT, KINDS, Finding, Kind
from bball_pl.audit.labels import EXPECTED_SHARE, Doubt
from bball_pl.errors import DatasetError, PhotoError
from bball_pl.files import write_text
from bball_pl.html_page import finished, page_environment, say, style_and_script
from bball_pl.moves import display_name, read_definitions
from bball_pl.photos.audit_record import PAGE, RECORD, TABLE
from bball_pl.photos.decode import decode
from bball_pl.photos.photos_csv import printable
from bball_pl.photos.tree import Photo, unnamed_games
from bball_pl.wording import counted

#: Columns of audit.csv.
_COLUMNS = ("path", "kind", "severity", "with", "class", "suggested", "why", "action", "moved_to")
#: Long side, in pixels, of the pictures in the page: enough to tell the players of a scene apart and to see the ball.
SIDE = 288
#: Most bytes of a picture.
_BYTES = 14_000
_QUALITIES = (72, 55, 40, 25, 10)
#: Most clusters in a section, photos in a cluster, doubtful labels in a list, photos of a kind, lines in a table. The
#: page of 10,000 photos stays below 10 MB; the table beside it has everything.
_CLUSTERS = 30
_TOGETHER = 4
_DOUBTS = 60
_PHOTOS = 24
_LINES = 40

#: Kinds that are shown as clusters.
_OF_CLUSTERS = frozenset({"leak_copy", "two_classes", "exact_duplicate", "near_duplicate"})
#: Section of each kind.
SECTIONS: dict[Kind, str] = {
    "unreadable": "files",
    "leak_copy": "leaks",
    "leak_group": "leaks",
    "two_classes": "classes-differ",
    "exact_duplicate": "copies",
    "near_duplicate": "copies",
    "doubtful_label": "labels",
    "tiny": "files",
    "blurred": "files",
    "dark": "files",
    "empty_class": "classes",
    "imbalance": "classes",
    "no_licence": "licences",
    "no_author": "licences",
    "restricted_licence": "licences",
}
#: The two moves that are confused most.
_CONFUSED = {"layup", "shoot"}


@dataclass(frozen=True)
class Thumb:
    """A small picture of a photo.

    Attributes:
        uri: Data URI; empty if the photo cannot be shown.
        width: In pixels.
        height: In pixels.
        problem: Reason why it cannot be shown; empty if it can.
    """

    uri: str
    width: int
    height: int
    problem: str = ""


@dataclass(frozen=True)
class Card:
    """One photo of the page.

    Attributes:
        photo: The photo.
        notes: Its findings in words.
        stays: Whether it is the copy that stays.
        doubt: The doubt of its label, if it is shown for that.
    """

    photo: Photo
    notes: Sequence[str] = ()
    stays: bool = False
    doubt: Doubt | None = None


@dataclass(frozen=True)
class Listing:
    """The beginning of a list.

    Attributes:
        items: What is shown.
        more: Number of items that are not.
    """

    items: Sequence = ()
    more: int = 0


@dataclass
class _Content:
    """Sections of the page, and the photos that are shown in them."""

    audit: Audit
    shown: list[Photo] = field(default_factory=list)

    def cards(self, cards: Iterable[Card], most: int) -> Listing:
        listing = _first(cards, most)
        self.shown += [card.photo for card in listing.items]
        return listing

    def clusters(self, section: str) -> Listing:
        by_path: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.audit.findings:
            if finding.kind in _OF_CLUSTERS:
                by_path[finding.path].append(finding)
        found = []
        for photos in self.audit.copies.clusters:
            kinds = {finding.kind for photo in photos for finding in by_path[photo.relative]}
            # A contradiction of labels is what a person has to see first; a leak comes before a mere copy.
            kind = next((kind for kind in ("two_classes", "leak_copy") if kind in kinds), "copies")
            if kind != section or not kinds:
                continue
            cards = []
            for photo in photos:
                notes = list(dict.fromkeys(finding.why for finding in by_path[photo.relative]))
                cards.append(Card(photo, notes, stays=not notes and section != "two_classes"))
            found.append(sorted(cards, key=lambda card: not card.stays))
        return Listing([self.cards(cards, _TOGETHER) for cards in found[:_CLUSTERS]], max(0, len(found) - _CLUSTERS))

    def doubts(self, confused: bool) -> Listing:
        cards = (Card(doubt.photo, doubt=doubt) for doubt in self.audit.judgement.doubts)
        return self.cards([card for card in cards if _is_confused(card.doubt) == confused], _DOUBTS)

    def poor(self) -> dict[Kind, Listing]:
        photos = {photo.relative: photo for photo in self.audit.tree.photos}
        kinds: tuple[Kind, ...] = ("tiny", "blurred", "dark")
        found = {kind: self.audit.of_kind(kind) for kind in kinds}
        return {
            kind: self.cards([Card(photos[finding.path], [finding.why]) for finding in findings], _PHOTOS)
            for kind, findings in found.items()
            if findings
        }


def audit_table(audit: Audit) -> Table:
    """Return a table with a row for each kind of finding."""
    counts = audit.counts
    moved = Counter(finding.kind for finding in audit.findings if finding.path in audit.moved)
    table = Table(title=f"{len(audit.tree.photos):,} photos in {escape(printable(str(audit.tree.root)))}")
    table.add_column("found")
    table.add_column("photos", justify="right")
    if audit.moved:
        table.add_column("moved", justify="right")
    table.add_column("the worst")
    for kind in KINDS:
        if counts[kind]:
            worst = audit.of_kind(kind)[0]
            example = ": ".join(part for part in (printable(worst.path), printable(worst.why)) if part)
            row = [ABOUT[kind].title, f"{counts[kind]:,}"] + ([f"{moved[kind]:,}"] if audit.moved else [])
            table.add_row(*row, escape(example))
    if not table.row_count:
        table.add_row("nothing", "0", "")
    return table


def write_outputs(folder: Path, audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> dict[str, Path]:
    """Write table, page and record; each is whole or as it was, and the record comes last.

    Args:
        folder: Folder of the outputs; is created.
        audit: The audit, after its fix.
        commands: Pairs of a description and a command, for the page.

    Returns:
        The paths by the files' names.

    Raises:
        DatasetError: If the folder cannot be written.
    """
    # A name that is not UTF-8 is shown with its odd bytes as \udcXX: the table has to be readable everywhere.
    texts = {TABLE: findings_csv(audit).encode("utf-8", "backslashreplace").decode()}
    # The record comes last: it says that the other files are complete.
    texts |= {PAGE: render_page(audit, commands), RECORD: audit.record.json}
    try:
        for name, text in texts.items():
            write_text(folder / name, text)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written ({error.strerror}). Make room, or pass --out DIR.") from error
    return {name: folder / name for name in texts}


def findings_csv(audit: Audit) -> str:
    """Return the table of findings, in their order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for finding in audit.findings:
        action = "moved" if finding.path in audit.moved else finding.action or ABOUT[finding.kind].advice
        writer.writerow(
            [
                _no_formula(finding.path, "./"),
                finding.kind,
                f"{finding.severity:.3f}",
                _no_formula(finding.counterpart, "./"),
                *(_no_formula(printable(cell)) for cell in (finding.class_name, finding.suggested, finding.why)),
                action,
                _no_formula(audit.moved.get(finding.path, ""), "./"),
            ]
        )
    return text.getvalue()


def _no_formula(cell: str, before: str = " ") -> str:
    # A spreadsheet takes such a cell for a formula; a path with ./ is the same file.
    return f"{before}{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def render_page(audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> str:
    """Return the page.

    Args:
        audit: Photos that a fix has moved are shown from where they are now.
        commands: Pairs of a description and a command.
    """
    content, counts = _Content(audit), audit.counts
    moved = Counter(finding.kind for finding in audit.findings if finding.path in audit.moved)
    licences = Counter((photo.row.get("licence", ""), photo.row.get("source", "")) for photo in audit.tree.photos)
    sections: dict[str, Any] = {
        "verdict": _verdict(audit),
        "tiles": _tiles(audit),
        "kinds": [(kind, counts[kind], moved[kind]) for kind in KINDS if counts[kind]],
        "leaks": content.clusters("leak_copy"),
        "groups": _first(dict.fromkeys(finding.why for finding in audit.of_kind("leak_group")), _LINES),
        "differing": content.clusters("two_classes"),
        "copies": content.clusters("copies"),
        "confused": content.doubts(confused=True),
        "doubts": content.doubts(confused=False),
        "unreadable": _first(audit.of_kind("unreadable"), _LINES),
        "poor": content.poor(),
        "class_table": _class_table(audit),
        "class_findings": audit.of_kind("empty_class", "imbalance"),
        "licence_table": _first([(*key, count) for key, count in licences.most_common()], _LINES),
        "licence_findings": [
            (ABOUT[kind].title, _first(audit.of_kind(kind), _LINES))
            for kind in KINDS
            if SECTIONS[kind] == "licences" and counts[kind]
        ],
        "definitions": read_definitions(),
    }
    photos = list(dict.fromkeys(content.shown))
    with ThreadPoolExecutor(cpu_count()) as pool:
        thumbs = dict(zip(photos, pool.map(_thumb, map(audit.path_of, photos)), strict=True))
    page = _template().render(
        content=sections,
        audit=audit,
        tree=audit.tree,
        about=ABOUT,
        anchors=SECTIONS,
        thumbs=thumbs,
        commands=commands,
        **style_and_script(Path(__file__).parent, "audit"),
    )
    return finished(page)


def _thumb(path: Path) -> Thumb:
    try:
        pixels = decode(path)
    except PhotoError as error:
        return Thumb("", SIDE, SIDE * 2 // 3, str(error))
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)))
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=2)
        if buffer.tell() <= _BYTES:
            break
    return Thumb("data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), *size)


def _verdict(audit: Audit) -> str:
    counts = Counter(finding.kind for finding in audit.findings if audit.stands(finding))
    faults = [
        counted(counts["unreadable"], "file cannot be read", "files cannot be read"),
        counted(counts["leak_copy"] + counts["leak_group"], "photo leaks", "photos leak") + " between splits",
        counted(counts["two_classes"], "copy has another label", "copies have different labels"),
        counted(counts["exact_duplicate"] + counts["near_duplicate"], "copy is too many", "copies are too many"),
        counted(counts["doubtful_label"], "label is doubtful", "labels are doubtful"),
        counted(counts["empty_class"], "class is empty", "classes are empty"),
    ]
    faults = [text for text in faults if not text.startswith("0 ")]
    if not faults:
        is_sorted = bool(audit.tree.class_names)
        return "Nothing stands in the way of training." if is_sorted else "Nothing is wrong with the files."
    return ", ".join(faults[:-1]) + (" and " if faults[1:] else "") + faults[-1] + "."


def _tiles(audit: Audit) -> list[tuple[str, str, str]]:
    photos, judgement, usable = audit.tree.photos, audit.judgement, audit.usable
    files = len({photo.sha256 for photo in photos} - {""})
    groups = len({photo.group for photo in photos if photo.group})
    games = unnamed_games(photos)
    licensed = sum(bool(photo.row.get("licence")) for photo in photos)
    copies = sum(max(0, sum(photo.usable for photo in cluster) - 1) for cluster in audit.copies.clusters)
    tiles = [
        ("photos", f"{len(photos):,}", f"{files:,} different files, {counted(groups, 'group')}" if groups else games),
        ("different pictures", f"{len(usable) - copies:,}", "copies of one picture counted once"),
        ("with a licence", f"{licensed:,}", f"of {counted(len(photos), 'photo')}"),
    ]
    if judgement.judged:
        agreed = f"{100 * judgement.accuracy:.1f} %"
        tiles.append(("labels judged", f"{judgement.judged:,}", f"a plain model agrees with {agreed} of them"))
    if audit.moved:
        tiles.append(("moved to quarantine", f"{len(audit.moved):,}", "by this audit; it can be undone"))
    return tiles


def _is_confused(doubt: Doubt | None) -> bool:
    return doubt is not None and {doubt.photo.class_name, doubt.suggested} == _CONFUSED


def _class_table(audit: Audit) -> tuple[list[str], list[tuple[str, list[int]]]]:
    splits = audit.tree.splits or [""]
    names = [*audit.tree.class_names, *([""] if audit.tree.unsorted else [])]
    counts = Counter((photo.split, photo.class_name) for photo in audit.usable)
    return splits, [(name, [counts[split, name] for split in splits]) for name in names]


def _first(items: Iterable, most: int) -> Listing:
    items = list(items)
    return Listing(items[:most], max(0, len(items) - most))


@cache
def _template() -> jinja2.Template:
    environment = page_environment(Path(__file__).parent)
    environment.filters["named"] = lambda name: say(display_name(name) or "not sorted")
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda share: f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    environment.globals |= {"counted": counted, "expected": EXPECTED_SHARE}
    return environment.get_template("audit.html.jinja")
