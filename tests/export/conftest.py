"""One small run and its export, for all tests of exports in a process."""

from __future__ import annotations

import pytest

from helpers.export_files import Exported, exported_run


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported_run(tmp_path_factory.mktemp("export"))
