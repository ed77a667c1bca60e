"""The power is cut after ``add`` or ``checkout`` said 0: everything that they acknowledged is on the disk.

The image of a mounted ext4 is what its device holds at an instant. A copy of it, mounted, replays the journal as a machine
does that comes up again; what was never written to the device is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopfs import MIB, loop_filesystem
from projects import Project, environment_of


@contextlib.contextmanager
def after_power_cut(image: Path, top: Path, place: Path) -> Iterator[Path]:
    """A copy of the image as it is now, mounted at ``place``."""
    copy = image.with_suffix(f".{time.monotonic_ns()}.cut")
    subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", "-o", "loop", str(copy), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        copy.unlink()


@pytest.mark.parametrize(
    "wait", [0, pytest.param(8, marks=pytest.mark.slow)], ids=["at once", "8 seconds later"]
)
def test_what_add_and_checkout_acknowledged_survives_a_power_cut(tmp_path: Path, wait: int):
    home = tmp_path / "home"
    home.mkdir()
    with loop_filesystem("ext4", tmp_path, 96 * MIB) as top:
        project = Project(top / "project", environment_of(home))
        project.root.mkdir()
        project.git("init", "-q")
        project.run("init")
        project.write({f"data/{n % 5}/{n}": os.urandom(3000 + n) for n in range(100)})
        project.write({"data/large": os.urandom(3 * MIB)})
        os.sync()
        project.datavc("add", "data")
        added = project.tree("data")
        time.sleep(wait)
        with after_power_cut(tmp_path / "ext4.img", top, tmp_path / "cut") as cut:
            survivor = Project(cut / "project", project.environment)
            assert survivor.read("data.datavc") == project.read("data.datavc")
            survivor.datavc("fsck")
            shutil.rmtree(survivor.root / "data")
            survivor.datavc("checkout")
            assert survivor.tree("data") == added
        os.rename(project.root / "data", project.root / "away")
        project.datavc("checkout")
        time.sleep(wait)
        with after_power_cut(tmp_path / "ext4.img", top, tmp_path / "cut") as cut:
            survivor = Project(cut / "project", project.environment)
            assert survivor.tree("data") == added
            assert survivor.datavc("status", "--json").out.count('"missing"') == 0
