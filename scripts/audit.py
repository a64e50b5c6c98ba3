"""Look at photos before training: bad files, copies, leaks, doubtful labels, licences; move the bad ones away.

python scripts/audit.py data/demo                    # a dataset, an inbox, or plain folders, one a class
python scripts/audit.py data/inbox/local --fix true  # move unreadable files and needless copies to quarantine
python scripts/audit.py data/inbox/local --undo true # and back

Every option: python scripts/audit.py --help
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console

from bball_pl.audit.checks import FIXED, IMBALANCE, MOVABLE
from bball_pl.errors import ConfigError, DatasetError, exit_on_error
from bball_pl.photos.audit_record import PAGE, TABLE, audit_folder
from bball_pl.photos.measurements import Limits
from bball_pl.project import ROOT


def audit(
    root: Path,
    class_names: list[str] | None = None,
    labels: bool = True,
    fix: bool = False,
    kinds: list[str] | None = None,
    undo: bool = False,
    limits: Limits | None = None,
    imbalance: float = IMBALANCE,
    seed: int = 0,
    out: Path | None = None,
    home: Path | None = None,
    cache_dir: Path = ROOT / "data" / ".cache",
) -> None:
    """Look at photos before training: bad files, copies, leaks, doubtful labels, licences; move the bad ones away.

    Args:
        root: a dataset with its splits, an inbox, or any tree of photos.
        class_names: names of the class folders; found out unless given.
        labels: judge the labels as well, which takes longer than all the rest the first time.
        fix: move what --kinds names to quarantine, and print how to undo it.
        kinds: what --fix moves: unreadable leak_copy exact_duplicate unless given; others are near_duplicate leak_group
            two_classes doubtful_label tiny blurred dark.
        undo: take the newest fix of this tree back, and do nothing else.
        limits: from where on a photo is told of.
        imbalance: so many times as many photos as another class has, from which on classes are of unequal size.
        seed: of the folds that labels are judged by.
        out: folder for report, table and record; data/audits/NAME, or audits/ beside the tree, unless given.
        home: folder of the journal labels.csv and of quarantine/; data/, or the one above the tree, unless given.
        cache_dir: folder where what is known of photos is kept.
    """
    from bball_pl.audit.audit import audit_tree, unsorted
    from bball_pl.audit.fix import check_kinds, confirmed_photos
    from bball_pl.audit.fix import fix as move_away
    from bball_pl.audit.outputs import audit_table, fix_lines, remarks, write_outputs
    from bball_pl.photos.journal import home_of
    from bball_pl.photos.store import PhotoStore

    if undo and fix:
        raise ConfigError("--fix and --undo were both given; pass one of them")
    chosen = kinds or list(FIXED)
    check_kinds(chosen)
    place = home if home is not None else home_of(root)
    if undo:
        _undo(root, place)
        return
    confirmed = confirmed_photos(place) if place.is_dir() else ()
    store = PhotoStore(cache_dir)
    try:
        found = audit_tree(root, store, class_names, labels, limits, imbalance, seed, Console(stderr=True), confirmed)
    finally:
        store.close()
    undo_command = _command("audit.py", root, *(["--home", home] if home is not None else []), "--undo", "true")
    try:
        moved = move_away(found, place, chosen) if fix else []
    except DatasetError as error:
        raise DatasetError(f"{error}\nWhat was moved before that is taken back with:\n  {undo_command}") from error
    if fix:
        print(*fix_lines(moved), sep="\n")
    if moved:
        print(f"undo:\n  {undo_command}", flush=True)
    commands = [("To look again:", _command("audit.py", root))]
    commands += [("To take the moves back:", undo_command)] if moved else []
    paths = write_outputs(out if out is not None else audit_folder(root), found, commands)
    Console().print(audit_table(found))
    for line in remarks(found):
        print(line)
    print(f"report: {paths[PAGE]}\ntable: {paths[TABLE]}")
    if unsorted(found) == len(found.album.photos):
        print(f"next: sort them by docs/moves.md, then audit again\n  {_command('studio.py', '--inbox', root)}")
    elif found.album.has_splits:
        print(f"next:\n  {_command('fit.py', '--data.root', root)}")
    else:
        print(f"next:\n  {_command('split.py', root, '--out', ROOT / 'data' / 'NAME')}")


def _undo(root: Path, home: Path) -> None:
    from bball_pl.audit.fix import undo
    from bball_pl.audit.outputs import undo_lines

    undone = undo(root, home)
    print(*undo_lines(undone), sep="\n")
    if undone.refused:
        raise DatasetError(f"{len(undone.refused)} moves were not taken back:\n  " + "\n  ".join(undone.refused))


def _command(script: str, *parts: object) -> str:
    return shlex.join([sys.executable, str(ROOT / "scripts" / script), *map(str, parts)])


def main() -> None:
    """Parse and call."""
    parser = ArgumentParser(description=(audit.__doc__ or "").partition("\n")[0])
    parser.add_argument("root", type=Path, help="a dataset with its splits, an inbox, or any tree of photos")
    parser.add_argument("--class_names", nargs="+", type=str, help="names of the class folders; found out unless given")
    parser.add_argument(
        "--kinds",
        nargs="+",
        type=str,
        help=f"what --fix moves: {' '.join(FIXED)} unless given; others are "
        + " ".join(kind for kind in MOVABLE if kind not in FIXED),
    )
    parser.add_function_arguments(audit, as_group=False, skip={"root", "class_names", "kinds"})
    audit(**parser.instantiate(parser.parse_args()).as_dict())


if __name__ == "__main__":
    with exit_on_error():
        main()
