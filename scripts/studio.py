"""Sort photos, try the model and mend its errors in a browser.

python scripts/studio.py                                       # data/inbox, the newest run
python scripts/studio.py --inbox data/inbox/facebook --run lightning_logs/moves/version_3
python scripts/studio.py --host 0.0.0.0                        # for a phone in the same network; wants the token

Every option: python scripts/studio.py --help
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli

from bball_pl import project
from bball_pl.errors import ConfigError, RunError, exit_on_error
from bball_pl.moves import MOVES
from bball_pl.studio.state import TOKEN_VARIABLE, Settings, is_loopback


def studio(
    inbox: Path | None = None,
    run: Path | None = None,
    ckpt: Path | None = None,
    logs: Path = project.ROOT / project.LOGS,
    data: Path = project.ROOT / "data",
    exports: Path = project.ROOT / "exports",
    host: str = "127.0.0.1",
    port: int = 8765,
    class_names: list[str] | None = None,
    language: Literal["auto", "en", "zh-Hant"] = "auto",
    suggest: bool = True,
    open: bool = False,
) -> None:
    """Sort photos, try the model and mend its errors in a browser; the address of the page is printed.

    Every change is a line in labels.csv before a file moves, and can be undone, also after a restart. The page is for
    this machine alone. With another host it is for whoever has the token, which is printed with the address unless it
    is given in the variable BBALL_STUDIO_TOKEN.

    Args:
        inbox: folder with photos to sort, <source>/unsorted/<album>/ or any other; data/inbox unless given.
        run: folder of a run, whose best checkpoint suggests and answers; the newest run, if there is one, unless given.
        ckpt: a checkpoint file instead.
        logs: folder of the runs.
        data: folder of the datasets.
        exports: folder of the exports, whose files can answer in Try.
        host: address to listen on; 0.0.0.0 lets other machines of the network in, with a token.
        port: to listen on; the next free one if it is taken, and any free one for 0.
        class_names: of the keys 1, 2, 3 ...; shoot, dribble and layup unless given.
        language: of the page; auto takes the browser's.
        suggest: look at all photos of the inbox with the model, in the background, for suggestions and similar photos.
        open: show the page in the browser.
    """
    from bball_pl.studio.guard import new_token
    from bball_pl.studio.server import serve

    if run is not None and ckpt is not None:
        raise ConfigError("--run and --ckpt are both given; pass one of them")
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port is {port}; expected 0 to 65535")
    given = os.environ.get(TOKEN_VARIABLE, "")
    settings = Settings(
        inbox=(inbox or data / "inbox").absolute(),
        logs=logs.absolute(),
        data=data.absolute(),
        exports=exports.absolute(),
        checkpoint=_checkpoint(run, ckpt, logs),
        host=host,
        port=port,
        token=given or ("" if is_loopback(host) else new_token()),
        language="" if language == "auto" else language,
        suggest=suggest,
        class_names=tuple(class_names or (move.name for move in MOVES)),
    )
    if inbox is not None and not inbox.is_dir():
        raise ConfigError(f"there is no folder {inbox}; pass --inbox with a folder of photos")
    serve(settings, open, show_token=not given)


def _checkpoint(run: Path | None, ckpt: Path | None, logs: Path) -> Path | None:
    if ckpt is not None:
        if not ckpt.is_file():
            raise RunError(f"there is no checkpoint {ckpt}; pass a .ckpt file of a run")
        return ckpt.absolute()
    if run is not None:
        return project.best_checkpoint(run).absolute()
    try:
        return project.best_checkpoint(project.newest_run(logs)).absolute()
    except RunError:
        return None  # sorting comes before the first run


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(studio, as_positional=False)
