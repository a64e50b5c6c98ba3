"""Collect photos into data/inbox/SOURCE, each with where it came from and under which licence.

python scripts/collect.py facebook --page my.league --dry-run
python scripts/collect.py commons --category 'Jump shots (basketball)' Lay-ups --contact me@example.org
python scripts/collect.py openverse --words 'basketball layup' --limit 200
python scripts/collect.py local ~/albums phone.zip --author 'Ann Lee' --licence CC-BY-4.0
python scripts/collect.py video game.mp4 --scenes

The same command again goes on where the last one ended. Every option: python scripts/collect.py SOURCE --help
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from docstring_parser import parse
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from bball_pl.collect.client import Web
from bball_pl.collect.facebook import INSTRUCTIONS, TOKEN, Facebook
from bball_pl.collect.inbox import Inbox
from bball_pl.collect.job import Bar, Job, summary_lines
from bball_pl.collect.local import Clips, Local
from bball_pl.collect.names import secret_from_environment
from bball_pl.collect.open_collections import Commons, Openverse
from bball_pl.collect.source import OPEN_KINDS, CollectError, Source
from bball_pl.errors import exit_on_error
from bball_pl.project import ROOT


def facebook(
    page: str, albums: list[str] | None = None, licence: str = "", api_version: str = "v26.0", **settings: Any
) -> None:
    """Collect the albums of a Facebook page that you administer; the token is in the variable FACEBOOK_TOKEN.

    Args:
        page: name or number of the page.
        albums: names or numbers of albums; all unless given, Timeline Photos included.
        licence: what the page's owner allows, as it should stand in photos.csv.
        api_version: of the Graph API.
        **settings: see `_from_web`.
    """
    token = secret_from_environment(TOKEN, INSTRUCTIONS)
    _from_web(lambda web: Facebook(web, token, page, albums or (), licence, api_version), **settings)


def commons(
    category: list[str] | None = None,
    words: str = "",
    licences: list[str] | None = None,
    depth: int = 0,
    width: int = 1280,
    **settings: Any,
) -> None:
    """Collect openly licensed photos of Wikimedia Commons, by category or by words; it requires --contact.

    Args:
        category: names of categories.
        words: search for these.
        licences: kinds of licence that are taken: cc0 pdm by by-sa unless given; others are by-nd by-nc by-nc-sa
            by-nc-nd.
        depth: levels of subcategories to go into.
        width: of the photos in pixels (960, 1280, 1920 ...); 0 takes the originals.
        **settings: see `_from_web`.
    """
    if not settings.get("contact"):
        raise CollectError("Wikimedia wants to know whom to write to: pass --contact, your mail address or page.")
    kinds = licences or OPEN_KINDS
    _from_web(lambda web: Commons(web, category or (), words, kinds, depth, width), **settings)


def openverse(words: str, licences: list[str] | None = None, **settings: Any) -> None:
    """Collect openly licensed photos that Openverse finds by words.

    Args:
        words: search for these.
        licences: kinds of licence that are taken: cc0 pdm by by-sa unless given; others are by-nd by-nc by-nc-sa
            by-nc-nd.
        **settings: see `_from_web`.
    """
    _from_web(lambda web: Openverse(web, words, licences or OPEN_KINDS), **settings)


def local(
    paths: list[Path], author: str = "", licence: str = "", group: Literal["folder", "day"] = "folder", **settings: Any
) -> None:
    """Collect photos that are here already; they are copied without their position.

    Args:
        paths: folders, zip files, photos.
        author: who took them.
        licence: what the author allows, as an SPDX identifier if there is one.
        group: what belongs together: the photos of a folder, or those of a folder and a day.
        **settings: see `_run`.
    """
    _run(lambda web: Local(paths, author, licence, group), Web(), **settings)


def video(
    paths: list[Path],
    per_second: float = 1.0,
    scenes: bool = False,
    author: str = "",
    licence: str = "",
    **settings: Any,
) -> None:
    """Collect frames of videos; one clip is one group.

    Args:
        paths: videos, folders.
        per_second: frames taken per second.
        scenes: takes the first frame of every scene instead.
        author: who filmed.
        licence: what the author allows, as an SPDX identifier if there is one.
        **settings: see `_run`.
    """
    _run(lambda web: Clips(paths, per_second, scenes, author, licence), Web(), **settings)


def _from_web(
    make: Callable[[Web], Source], contact: str = "", patience: float = 15.0, refresh: bool = False, **settings: Any
) -> None:
    """Collect from the web.

    Args:
        make: makes the source.
        contact: mail address or page under which the hosts can reach you; goes into the User-Agent.
        patience: minutes that one wait may last when a host asks for it.
        refresh: asks for the photos that are there as well, and fetches those that have changed.
        **settings: see `_run`.
    """
    _run(make, Web(contact, patience=60 * patience), refresh=refresh, **settings)


def _run(
    make: Callable[[Web], Source],
    web: Web,
    out: Path | None = None,
    limit: int | None = None,
    workers: int = 4,
    dry_run: bool = False,
    refresh: bool = False,
) -> None:
    """Collect what a source finds.

    Args:
        make: makes the source.
        web: the client.
        out: folder for the photos; data/inbox/SOURCE unless given.
        limit: stops after so many new photos.
        workers: number of threads that fetch and decode.
        dry_run: says what would be fetched, and fetches and writes nothing.
        refresh: asks for the photos that are there as well.
    """
    if workers < 1 or (limit is not None and limit < 1):
        raise CollectError(f"--workers is {workers} and --limit {limit}; expected 1 or more.")
    with web:
        source = make(web)
        root = out or ROOT / "data" / "inbox" / source.name
        with Inbox(root, source.name, dry_run) as inbox, Bar(source, web) as bar:
            summary = Job(source, inbox, web, workers, limit, refresh, dry_run, bar.show).run()
    for line in summary_lines(summary, root, dry_run):
        print(line)
    if summary.problem is not None:
        raise summary.problem


#: The commands, each with the functions whose options it has as well.
_COMMANDS: dict[Callable[..., None], tuple[Callable[..., None], ...]] = {
    facebook: (_from_web, _run),
    commons: (_from_web, _run),
    openverse: (_from_web, _run),
    local: (_run,),
    video: (_run,),
}


class _Help(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


def _command(function: Callable[..., None]) -> ArgumentParser:
    """Return the parser of one source: lists as words, switches without a value, the rest as the types say."""
    text = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    parser = ArgumentParser(description=text, formatter_class=_Help)
    done: set[str | int] = {"make", "web"}
    for documented in (function, *_COMMANDS[function]):
        helps = {entry.arg_name: entry.description for entry in parse(documented.__doc__ or "").params}
        for name, parameter in inspect.signature(documented, eval_str=True).parameters.items():
            is_switch, is_list = parameter.annotation is bool, str(parameter.annotation).startswith("list[")
            if name in done or not (is_switch or is_list):
                continue
            done.add(name)
            if is_switch:
                # Nothing on this machine changes behind one's back in a way that asking again would show.
                if name != "refresh" or _from_web in _COMMANDS[function]:
                    names = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
                    parser.add_argument(*names, action="store_true", help=helps[name])
            elif parameter.default is inspect.Parameter.empty:
                parser.add_argument(name, nargs="+", type=Path, help=helps[name])
            else:
                parser.add_argument(f"--{name}", nargs="+", type=str, help=helps[name])
    parser.add_function_arguments(function, as_group=False, skip=done)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments, or else the command line, name."""
    # Not auto_cli: it knows lists only in brackets and switches only with a value.
    parser = ArgumentParser(description=__doc__, formatter_class=_Help)
    sources = parser.add_subcommands(dest="source")
    for function in _COMMANDS:
        help_line = (function.__doc__ or "").partition("\n")[0]
        sources.add_subcommand(function.__name__, _command(function), help=help_line)
    chosen = parser.parse_args(arguments)
    command = next(function for function in _COMMANDS if function.__name__ == chosen.source)
    command(**chosen[chosen.source].as_dict())


if __name__ == "__main__":
    with exit_on_error():
        main()
