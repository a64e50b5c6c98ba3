"""Collect from a Graph API on this machine: python collect_program.py API_PORT PHOTOS_PORT FOLDER, to be killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bball_pl.collect.client import Web
from bball_pl.collect.facebook import Facebook
from bball_pl.collect.inbox import Inbox
from bball_pl.collect.job import Job
from bball_pl.collect.names import secret_from_environment

if __name__ == "__main__":
    api, photos, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    # A kill takes nothing from the kernel, so the disk need not be waited for 5,000 times; a power cut is not tested.
    os.fsync = lambda fd: None
    with Web(private=[("127.0.0.1", api), ("127.0.0.1", photos)]) as web:
        token = secret_from_environment("FACEBOOK_TOKEN", "")
        source = Facebook(web, token, "league", host=f"http://127.0.0.1:{api}")
        with Inbox(folder, source.name) as inbox:
            summary = Job(source, inbox, web, workers=4).run()
    print(summary.new, summary.known, summary.problem)
