"""Commands of `bball collect`, one for each source of photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bball_pl import project
from bball_pl.files import require_folder

if TYPE_CHECKING:
    from bball_pl.collect.client import Web
    from bball_pl.collect.source import Source


@dataclass(frozen=True)
class Collecting:
    """Options of every source.

    Attributes:
        out: folder for the photos (default: data/inbox/SOURCE).
        limit: maximum number of new photos.
        workers: number of threads that fetch and decode.
        dry_run: list what would be fetched; write nothing.
    """

    out: Path | None = None
    limit: int | None = None
    workers: int = 4
    dry_run: bool = False


@dataclass(frozen=True)
class Fetching:
    """Options of every source on the web.

    Attributes:
        contact: mail address or page under which a host can reach you; part of the User-Agent header.
        patience: longest wait in minutes that a host may ask for.
        refresh: check photos that were collected before, and fetch those that have changed.
    """

    contact: str = ""
    patience: float = 15.0
    refresh: bool = False


def facebook(
    *,
    page: str,
    albums: list[str] | None = None,
    licence: str = "",
    api_version: str = "v26.0",
    fetching: Fetching,
    collecting: Collecting,
) -> None:
    """Collect the albums of a Facebook page that you administer; the variable FACEBOOK_TOKEN holds the token.

    Args:
        page: name or number of the page.
        albums: names or numbers of albums (default: all, Timeline Photos included).
        licence: licence that the page's owner grants, as an SPDX identifier if there is one.
        api_version: version of the Graph API.
        fetching: options of the web.
        collecting: options of the inbox.
    """
    from bball_pl.collect import facebook as graph
    from bball_pl.collect.names import secret_from_environment

    token = secret_from_environment(graph.TOKEN, graph.INSTRUCTIONS)
    _from_web(lambda web: graph.Facebook(web, token, page, albums or (), licence, api_version), fetching, collecting)


def commons(
    *,
    category: list[str] | None = None,
    words: str = "",
    licences: list[str] | None = None,
    depth: int = 0,
    width: int = 1280,
    fetching: Fetching,
    collecting: Collecting,
) -> None:
    """Collect openly licensed photos of Wikimedia Commons, by category or by words; requires --contact.

    Args:
        category: names of categories.
        words: words to search for.
        licences: accepted licences: cc0 pdm by by-sa (default), by-nd by-nc by-nc-sa by-nc-nd.
        depth: levels of subcategories to include.
        width: width of the photos in pixels (960, 1280, 1920 …); 0 takes the originals.
        fetching: options of the web.
        collecting: options of the inbox.
    """
    from bball_pl.collect.open_collections import Commons
    from bball_pl.collect.source import OPEN_KINDS, CollectError

    if not fetching.contact:
        raise CollectError("Wikimedia asks for a contact in every request: pass --contact, a mail address or a page")
    _from_web(
        lambda web: Commons(web, category or (), words, licences or OPEN_KINDS, depth, width), fetching, collecting
    )


def openverse(*, words: str, licences: list[str] | None = None, fetching: Fetching, collecting: Collecting) -> None:
    """Collect openly licensed photos that Openverse finds by words.

    Args:
        words: words to search for.
        licences: accepted licences: cc0 pdm by by-sa (default), by-nd by-nc by-nc-sa by-nc-nd.
        fetching: options of the web.
        collecting: options of the inbox.
    """
    from bball_pl.collect.open_collections import Openverse
    from bball_pl.collect.source import OPEN_KINDS

    _from_web(lambda web: Openverse(web, words, licences or OPEN_KINDS), fetching, collecting)


def local(
    paths: list[Path],
    /,
    *,
    author: str = "",
    licence: str = "",
    group: Literal["folder", "day"] = "folder",
    zip_encoding: str = "auto",
    collecting: Collecting,
) -> None:
    """Collect photos of this computer; the copies do not keep the position where they were taken.

    Args:
        paths: folders, zip files and photos.
        author: name of the photographer.
        licence: licence that the author grants, as an SPDX identifier if there is one.
        group: photos that stay in one split: those of a folder, or those of a folder and a day.
        zip_encoding: encoding of the names in zip files that do not state it, such as big5; auto tells UTF-8, Big5, GBK
            and Shift JIS apart.
        collecting: options of the inbox.
    """
    from bball_pl.collect.client import Web
    from bball_pl.collect.local import Local

    _collect(lambda web: Local(paths, author, licence, group, zip_encoding=zip_encoding), Web(), collecting)


def video(
    paths: list[Path],
    /,
    *,
    per_second: float = 1.0,
    scenes: bool = False,
    author: str = "",
    licence: str = "",
    collecting: Collecting,
) -> None:
    """Collect frames of videos; the frames of one video are one group.

    Args:
        paths: videos, and folders of videos.
        per_second: frames to take per second.
        scenes: take the first frame of every scene instead.
        author: name of the videographer.
        licence: licence that the author grants, as an SPDX identifier if there is one.
        collecting: options of the inbox.
    """
    from bball_pl.collect.client import Web
    from bball_pl.collect.local import Clips

    _collect(lambda web: Clips(paths, per_second, scenes, author, licence), Web(), collecting)


def app(
    paths: list[Path],
    /,
    *,
    out: Path | None = None,
    author: str = "",
    licence: str = "",
    dry_run: bool = False,
) -> None:
    """Collect the checked photos that the app has exported, for training only, each with the class that it was given.

    A photo that came before gets the class that was given last; one that was relabelled at a computer keeps that.

    Args:
        paths: ZIP files of the app.
        out: folder for the photos: an inbox, or a dataset with a folder train (default: data/inbox/app).
        author: photographer of the photos whose ZIP file names none.
        licence: licence of the photos whose ZIP file names none, as an SPDX identifier if there is one.
        dry_run: say what would be collected; write nothing.
    """
    from bball_pl.collect.app import merge_corrections, merged_lines

    root = require_folder(out or project.ROOT / "data" / "inbox" / "app")
    for line in merged_lines(merge_corrections(paths, root, author, licence, dry_run), root, dry_run):
        print(line)


def _from_web(make: Callable[[Web], Source], fetching: Fetching, collecting: Collecting) -> None:
    from bball_pl.collect.client import Web

    web = Web(fetching.contact, patience=60 * fetching.patience)
    _collect(make, web, collecting, fetching.refresh)


def _collect(make: Callable[[Web], Source], web: Web, options: Collecting, refresh: bool = False) -> None:
    from bball_pl.collect.inbox import Inbox
    from bball_pl.collect.job import Bar, Job, summary_lines
    from bball_pl.collect.source import CollectError

    if options.workers < 1 or (options.limit is not None and options.limit < 1):
        raise CollectError(f"--workers is {options.workers} and --limit {options.limit}; expected 1 or more")
    with web:
        source = make(web)
        root = require_folder(options.out or project.ROOT / "data" / "inbox" / source.name)
        with Inbox(root, source.name, options.dry_run) as inbox, Bar(source, web) as bar:
            job = Job(source, inbox, web, options.workers, options.limit, refresh, options.dry_run, bar.show)
            summary = job.run()
    for line in summary_lines(summary, root, options.dry_run):
        print(line)
    if summary.problem is not None:
        raise summary.problem


class Sources(dict[str, Callable[..., None]]):
    """The sources by name."""

    about = "Collect photos into data/inbox/SOURCE, each with its origin and its licence."


SOURCES = Sources({function.__name__: function for function in (facebook, commons, openverse, local, video, app)})
