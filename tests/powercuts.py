"""Power cuts: what the device of a mounted ext4 holds at an instant is all that a machine finds that comes up again.

The device is an image file on an XFS, which can copy a file in no time (a reflink). Such a copy, mounted, replays its
journal; what was written by nobody but the kernel's own memory is gone. A command runs in a child that takes a copy
before each of its changes. Nothing in the kernel's memory is ever helped on its way, or else, in a second copy, the
journal alone is: by an fsync of a file that has nothing to do with it. That is the harsher disk for a program that
forgets a barrier: names are there, and what they name is not.

The disk itself is one without a cache of its own that lies: what it confirmed is on it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from loopfs import MIB, loop_filesystem, mounted
from projects import Project, environment_of, let_go
from sweeps import run_watched

_FICLONE = 0x40049409
_SIZE = 96 * MIB


class Cut(NamedTuple):
    """The device before the ``point``-th change of a command, or after its end; ``journal``: it was committed first."""

    image: Path
    point: int
    journal: bool
    ended: bool


@dataclass
class Disk:
    """An ext4 with a project on it; it is mounted while ``on`` runs, and each of its cuts in the same place."""

    image: Path
    top: Path
    options: str
    environment: dict[str, str]
    cuts: int = 0

    @property
    def project(self) -> Project:
        return Project(self.top / "project", self.environment)

    @contextlib.contextmanager
    def on(self, image: Path | None = None) -> Iterator[Project]:
        """The project, while the disk, or a copy of it, is mounted."""
        with mounted(image or self.image, self.top, self.options):
            try:
                yield self.project
            finally:
                let_go()

    @contextlib.contextmanager
    def after(self, cut: Cut) -> Iterator[Project]:
        """The project as it is found when the power is back; the copy is gone at the end."""
        with self.on(cut.image) as project:
            yield project
        ended = subprocess.run(["e2fsck", "-fn", str(cut.image)], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout
        cut.image.unlink()

    def cut(self, *, journal: bool = False) -> Cut:
        """What the device holds now, as after a command's end."""
        self.cuts += 1
        return self._cut_now(1_000_000 + self.cuts, journal=journal, ended=True)

    def run(self, project: Project, arguments: Sequence[str], stride: int = 1) -> list[Cut]:
        """Run a command to its end, and cut the power before every ``stride``-th change, and when it said 0."""
        found: list[Cut] = []

        def at_change(point: int) -> None:
            if point % stride == 0:
                self._cut(point)

        points = run_watched(project, list(arguments), at_change)
        for journal in (False, True):
            found.append(self._cut_now(points + 1, journal=journal, ended=True))
        for point in range(stride, points + 1, stride):
            found += [Cut(self._image(point, journal), point, journal, False) for journal in (False, True)]
        self.cuts += len(found)
        return found

    def _cut(self, point: int) -> None:
        for journal in (False, True):
            self._cut_now(point, journal=journal, ended=False)

    def _cut_now(self, point: int, *, journal: bool, ended: bool) -> Cut:
        if journal:
            bystander = os.open(self.top / "bystander", os.O_WRONLY | os.O_CREAT)
            os.write(bystander, b"x")
            os.fsync(bystander)
            os.close(bystander)
        cut = Cut(self._image(point, journal), point, journal, ended)
        copy_in_no_time(self.image, cut.image)
        return cut

    def _image(self, point: int, journal: bool) -> Path:
        return self.image.with_name(f"ext4.{point}.{'journal' if journal else 'cut'}")


def copy_in_no_time(source: Path, target: Path) -> None:
    """A reflink. Raises OSError where the file system has none."""
    import fcntl

    with open(source, "rb") as old, open(target, "wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())


@contextlib.contextmanager
def disk(tmp_path: Path, options: str = "") -> Iterator[Disk]:
    """An ext4 with an empty folder ``project``. Skips the test where file systems cannot be mounted."""
    home, top = tmp_path / "home", tmp_path / "disk"
    home.mkdir()
    top.mkdir()
    # The copies share all but what changed.
    with loop_filesystem("xfs", tmp_path, 600 * MIB) as outer:
        image = outer / "ext4.img"
        with open(image, "wb") as file:
            file.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        made = Disk(image, top, options, environment_of(home))
        with made.on():
            made.project.root.mkdir()
        yield made
