"""The comparison of reliability runs, with datavc alone; the other tools' results are nobody's business here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).with_name("compare.py"))
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mkfs.ext4") is None,
    reason="mounting needs Linux and root",
)


def compare(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the comparison, in a folder that it removes again."""
    command = [sys.executable, str(SCRIPT), "--folder", str(tmp_path / "made"), *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize(
    "cases",
    ["checkout", pytest.param("power,damage,pull", marks=pytest.mark.slow)],
    ids=["a part", "the rest"],
)
def test_datavc_loses_nothing_in_the_comparison(tmp_path: Path, cases: str):
    done = compare(tmp_path, "--tools", "datavc", "--times", "1", "--cases", cases)

    if "mount:" in done.stderr:
        pytest.skip("images cannot be mounted here")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ") and "| datavc |" not in line]
    assert len(rows) >= 3, done.stdout
    for row in rows:
        figure = row.split("|")[2].strip()
        assert figure.startswith("0 ") or figure == "keeps packs", row
    assert "not measured" not in done.stdout
    assert not (tmp_path / "made").exists()


def test_a_tool_that_is_not_there_is_skipped_with_a_note(tmp_path: Path):
    path = os.path.dirname(sys.executable) + ":/nowhere:/usr/sbin:/sbin"

    done = compare(tmp_path, "--tools", "dvc,oxen", "--cases", "checkout", PATH=path)

    assert done.returncode == 0, done.stderr
    assert "dvc is not on PATH" in done.stdout or shutil.which("dvc", path=os.path.dirname(sys.executable))
