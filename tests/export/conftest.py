"""One small run and its export, for all tests of exports in all processes."""

from __future__ import annotations

import pytest

from helpers.export_files import Exported, exported_run
from helpers.made_once import made_once


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return made_once(tmp_path_factory, "exported", exported_run)
