"""What tests of the hook and of the preload library open."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the files ``a``, ``b`` and ``inner/a``."""
    (tmp_path / "inner").mkdir()
    for name in ("a", "b", "inner/a"):
        (tmp_path / name).write_text(name)
    return tmp_path
