"""Every test of the store that asks for ``backend`` runs over the reference in memory and over a real folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from datavc.backends.base import Backend
from datavc.backends.folder import FolderBackend
from datavc.backends.memory import MemoryBackend


@pytest.fixture(params=["memory", "folder"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return MemoryBackend() if request.param == "memory" else FolderBackend(tmp_path / "store", create=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder
