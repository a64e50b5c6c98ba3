"""The page of an audit: its findings with pictures, in one file that fetches nothing."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import jinja2
import numpy as np
from joblib import cpu_count
from PIL import Image

from bball_pl.audit.audit import Audit, moves_confused, unsorted
from bball_pl.audit.checks import ABOUT, KINDS, Finding, Kind
from bball_pl.errors import PhotoError
from bball_pl.html_page import finished, page_environment, say, style_and_script
from bball_pl.moves import Definition, display_name, read_definitions
from bball_pl.photos.decode import decode

#: Long side, in pixels: the players of a scene are told apart, the ball is seen.
SIDE = 288
#: A picture may take so many bytes.
_BYTES = 14_000
_QUALITIES = (72, 55, 40, 25, 10)


@dataclass(frozen=True)
class Thumb:
    """A picture in a page.

    Attributes:
        uri: data URI; empty if the photo cannot be shown.
        width: in pixels.
        height: likewise.
        problem: why it cannot be shown; empty if it can.
    """

    uri: str
    width: int
    height: int
    problem: str = ""


def make_thumbs(paths: Mapping[int, Path], rows: Collection[int]) -> dict[int, Thumb]:
    """Return the pictures of some rows.

    Args:
        paths: of the files, by row.
        rows: those that are shown.
    """
    wanted = sorted(rows)
    with ThreadPoolExecutor(cpu_count()) as pool:
        return dict(zip(wanted, pool.map(lambda row: _thumb(paths[row]), wanted), strict=True))


def _thumb(path: Path) -> Thumb:
    try:
        pixels = decode(path)
    except PhotoError as error:
        return Thumb("", SIDE, SIDE * 2 // 3, str(error))
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    image, content = Image.fromarray(np.asarray(small)), b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=2)
        content = buffer.getvalue()
        if len(content) <= _BYTES:
            break
    return Thumb("data:image/webp;base64," + base64.b64encode(content).decode("ascii"), *size)


#: Most clusters in a section, photos in a cluster, doubtful labels in a list, photos of a kind, lines in a table. The
#: page of 10,000 photos stays below 10 MB; the table beside it has everything.
_CLUSTERS = 30
_TOGETHER = 4
_DOUBTS = 60
_PHOTOS = 24
_LINES = 40

#: Kinds that clusters are shown for.
_OF_CLUSTERS = frozenset({"leak_copy", "two_classes", "exact_duplicate", "near_duplicate"})
#: Where each kind is shown.
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


@dataclass(frozen=True)
class Card:
    """One photo of the page.

    Attributes:
        row: of the album.
        path: below the root.
        place: its split and class, for people.
        notes: what was found, in words.
        stays: whether it is the copy that stays.
        moved: whether a fix has moved it.
    """

    row: int
    path: str
    place: str
    notes: Sequence[str] = ()
    stays: bool = False
    moved: bool = False


@dataclass(frozen=True)
class Cluster:
    """Photos of one picture: the cards, and how many more there are."""

    cards: list[Card]
    more: int


@dataclass(frozen=True)
class DoubtCard:
    """A doubtful label: the photo, the two classes with the model's confidence in each."""

    card: Card
    given: str
    suggested: str
    confidence: float
    suggested_confidence: float


@dataclass(frozen=True)
class Listing:
    """A part of a list, and how many more there are."""

    items: Sequence = ()
    more: int = 0


@dataclass
class Content:
    """Everything that the page shows; see the template."""

    audit: Audit
    verdict: str
    tiles: list[tuple[str, str, str]]
    kinds: list[tuple[Kind, int, int]]
    leaks: Listing
    groups: Listing
    differing: Listing
    copies: Listing
    confused: Listing
    doubts: Listing
    unreadable: Listing
    poor: dict[str, Listing]
    class_table: tuple[list[str], list[tuple[str, list[int]]]]
    class_findings: list[Finding]
    licence_table: Listing
    licence_findings: list[tuple[str, Listing]]
    definitions: list[Definition] = field(default_factory=list)

    def rows(self) -> set[int]:
        """Return the rows whose pictures are shown."""
        cards = [card for part in (self.leaks, self.differing, self.copies) for own in part.items for card in own.cards]
        cards += [own.card for part in (self.confused, self.doubts) for own in part.items]
        cards += [card for part in self.poor.values() for card in part.items]
        return {card.row for card in cards}


def collect(audit: Audit) -> Content:
    """Choose what is shown of an audit."""
    by_path: dict[str, list[Finding]] = {}
    for finding in audit.findings:
        by_path.setdefault(finding.path, []).append(finding)
    clusters = {kind: _clusters(audit, by_path, kind) for kind in ("leak_copy", "two_classes", "copies")}
    doubts = _doubts(audit, by_path)
    rows = {photo.relative: row for row, photo in enumerate(audit.album.photos)}
    counts = audit.counts
    moved = Counter(own.kind for own in audit.findings if own.path in audit.moved)
    return Content(
        audit=audit,
        verdict=_verdict(audit),
        tiles=_tiles(audit),
        kinds=[(kind, counts[kind], moved[kind]) for kind in KINDS if counts[kind]],
        leaks=clusters["leak_copy"],
        groups=_groups(audit),
        differing=clusters["two_classes"],
        copies=clusters["copies"],
        confused=_part([own for own, both in doubts if both], _DOUBTS),
        doubts=_part([own for own, both in doubts if not both], _DOUBTS),
        unreadable=_part(audit.of_kind("unreadable"), _LINES),
        poor={
            kind: _part([_card(audit, rows[own.path], [own.why]) for own in audit.of_kind(kind)], _PHOTOS)
            for kind in ("tiny", "blurred", "dark")
            if counts[kind]
        },
        class_table=_class_table(audit),
        class_findings=audit.of_kind("empty_class", "imbalance"),
        licence_table=_part(_licences(audit), _LINES),
        licence_findings=[
            (ABOUT[kind].title, _part(audit.of_kind(kind), _LINES))
            for kind in KINDS
            if SECTIONS[kind] == "licences" and counts[kind]
        ],
        definitions=read_definitions(),
    )


def counted(number: int, what: str, many: str | None = None) -> str:
    """Return a number and what it counts: `1 photo`, `1,200 photos`."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def _verdict(audit: Audit) -> str:
    counts = Counter(own.kind for own in audit.findings if audit.stands(own))
    told = [
        counted(counts["unreadable"], "file cannot be read", "files cannot be read"),
        counted(counts["leak_copy"] + counts["leak_group"], "photo leaks", "photos leak") + " between splits",
        counted(counts["two_classes"], "copy has another label", "copies have different labels"),
        counted(counts["exact_duplicate"] + counts["near_duplicate"], "copy is too many", "copies are too many"),
        counted(counts["doubtful_label"], "label is doubtful", "labels are doubtful"),
        counted(counts["empty_class"], "class is empty", "classes are empty"),
    ]
    told = [text for text in told if not text.startswith("0 ")]
    if not told:
        sorted_out = bool(audit.album.class_names)
        return "Nothing stands in the way of training." if sorted_out else "Nothing is wrong with the files."
    text = ", ".join(told[:-1]) + (" and " if told[1:] else "") + told[-1]
    return f"{text}."


def _tiles(audit: Audit) -> list[tuple[str, str, str]]:
    photos, judgement = audit.album.photos, audit.judgement
    bytes_known = len(set(audit.seen.sha256s) - {""})
    groups = len({photo.group for photo in photos if photo.group})
    named = sum(bool(photo.row.get("licence")) for photo in photos)
    tiles = [
        ("photos", f"{len(photos):,}", f"{bytes_known:,} different files, {counted(groups, 'group')}"),
        ("different pictures", f"{_pictures(audit):,}", "copies of one picture counted once"),
        ("with a licence", f"{named:,}", f"of {counted(len(photos), 'photo')}"),
    ]
    if judgement.judged:
        agreed = f"{100 * judgement.accuracy:.1f} %"
        tiles.append(("labels judged", f"{judgement.judged:,}", f"a plain model agrees with {agreed} of them"))
    if audit.moved:
        tiles.append(("moved to quarantine", f"{len(audit.moved):,}", "by this audit; it can be undone"))
    return tiles


def _pictures(audit: Audit) -> int:
    usable = set(audit.seen.usable)
    together = [len(usable & set(cluster)) for cluster in audit.copies.clusters]
    return len(usable) - sum(max(0, count - 1) for count in together)


def _card(audit: Audit, row: int, notes: Sequence[str] = (), stays: bool = False) -> Card:
    photo = audit.album.photos[row]
    place = " · ".join(part for part in (photo.split, display_name(photo.class_name) or "not sorted") if part)
    return Card(row, photo.relative, place, notes, stays, photo.relative in audit.moved)


def _clusters(audit: Audit, by_path: dict[str, list[Finding]], section: str) -> Listing:
    found = []
    for rows in audit.copies.clusters:
        paths = [audit.album.photos[row].relative for row in rows]
        kinds = {own.kind for path in paths for own in by_path.get(path, [])}
        # A contradiction of labels is what a person has to see first; a leak comes before a mere copy.
        kind = next((kind for kind in ("two_classes", "leak_copy") if kind in kinds), "copies")
        if kind != section or not kinds & _OF_CLUSTERS:
            continue
        cards = []
        for row, path in zip(rows, paths, strict=True):
            own = [finding for finding in by_path.get(path, []) if finding.kind in _OF_CLUSTERS]
            notes = list(dict.fromkeys(finding.why for finding in own))
            stays = not own and section != "two_classes"
            cards.append(_card(audit, row, notes, stays))
        cards.sort(key=lambda card: not card.stays)
        found.append(Cluster(cards[:_TOGETHER], max(0, len(cards) - _TOGETHER)))
    return _part(found, _CLUSTERS)


def _doubts(audit: Audit, by_path: dict[str, list[Finding]]) -> list[tuple[DoubtCard, bool]]:
    found = []
    for doubt in audit.judgement.doubts:
        card = _card(audit, doubt.row)
        own = next(finding for finding in by_path[card.path] if finding.kind == "doubtful_label")
        shown = DoubtCard(card, doubt.given, doubt.suggested, doubt.confidence, doubt.suggested_confidence)
        found.append((shown, moves_confused(own)))
    return found


def _groups(audit: Audit) -> Listing:
    told = Counter(own.why for own in audit.of_kind("leak_group"))
    return _part(list(told), _LINES)


def _class_table(audit: Audit) -> tuple[list[str], list[tuple[str, list[int]]]]:
    splits: list[str] = list(audit.album.splits) or [""]
    names = [*audit.album.class_names, *([""] if any(not own.class_name for own in audit.album.photos) else [])]
    usable = [audit.album.photos[row] for row in audit.seen.usable]
    counts = Counter((own.split, own.class_name) for own in usable)
    return splits, [(name, [counts[split, name] for split in splits]) for name in names]


def _licences(audit: Audit) -> list[tuple[str, str, int]]:
    counts = Counter((own.row.get("licence", ""), own.row.get("source", "")) for own in audit.album.photos)
    return [(licence, source, count) for (licence, source), count in counts.most_common()]


def _part(items: Iterable, most: int) -> Listing:
    items = list(items)
    return Listing(items[:most], max(0, len(items) - most))


_FOLDER = Path(__file__).parent


def render_page(audit: Audit, commands: Sequence[tuple[str, str]] = ()) -> str:
    """Return the page.

    Args:
        audit: what was found; photos that a fix has moved are shown from where they are now.
        commands: what each does and how it reads, in their order.
    """
    content = collect(audit)
    paths = {row: audit.place(photo.relative, photo.path) for row, photo in enumerate(audit.album.photos)}
    page = _template().render(
        content=content,
        audit=audit,
        album=audit.album,
        about=ABOUT,
        places=SECTIONS,
        thumbs=make_thumbs(paths, content.rows()),
        unsorted=unsorted(audit),
        commands=commands,
        **style_and_script(_FOLDER, "audit"),
    )
    return finished(page)


@cache
def _template() -> jinja2.Template:
    environment = page_environment(_FOLDER)
    environment.filters["named"] = lambda name: say(display_name(name) or "not sorted")
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda share: f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    environment.globals["counted"] = counted
    return environment.get_template("audit.html.jinja")
