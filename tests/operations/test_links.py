"""Files shared between cache and workspace by reflink, on real file systems that have it, through the command line."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopfs import MIB, loop_filesystem
from projects import Project, environment_of

from datavc.operations.steps.delivering import deliver
from datavc.operations.steps.storing import units

_FIEMAP = 0xC020_660B
_SYNC_FIRST, _SHARED = 1, 0x2000


def extents(path: Path) -> list[tuple[int, int, int]]:
    """Where the bytes of a file lie on the device: offset there, length, flags of each extent."""
    head, row, most = struct.Struct("=QQIIII"), struct.Struct("=QQQQQIIII"), 500
    request = bytearray(head.size + most * row.size)
    head.pack_into(request, 0, 0, 2**64 - 1, _SYNC_FIRST, 0, most, 0)
    with open(path, "rb") as file:
        fcntl.ioctl(file.fileno(), _FIEMAP, request)
    count = head.unpack_from(request)[3]
    rows = (row.unpack_from(request, head.size + number * row.size) for number in range(count))
    return [(found[1], found[2], found[5]) for found in rows]


def shares_all(one: Path, other: Path) -> bool:
    """Whether two files are the same blocks of the device, and the file system knows that they are shared."""
    places = extents(one)
    return (
        bool(places)
        and [place[:2] for place in places] == [place[:2] for place in extents(other)]
        and all(flags & _SHARED for _, _, flags in places)
    )


def used(top: Path) -> int:
    os.sync()
    seen = os.statvfs(top)
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize


def blobs(project: Project) -> list[Path]:
    return [path for path in (project.root / ".git/datavc/cache/blobs").rglob("*") if path.is_file()]


@contextlib.contextmanager
def project_on(top: Path, home: Path) -> Iterator[Project]:
    """A project in the folder ``top``, of whose files this process keeps none open in the end."""
    home.mkdir()
    project = Project(top / "project", environment_of(home))
    project.root.mkdir()
    project.git("init", "--quiet")
    project.run("init")
    try:
        yield project
    finally:
        for kept in (deliver._open_reader, units._open_store, units._open_claims):
            kept.cache_clear()
        gc.collect()


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_with_reflinks_cache_and_workspace_share_blocks_and_no_edit_reaches_the_cache(
    kind: str, tmp_path: Path
):
    with loop_filesystem(kind, tmp_path, 512 * MIB) as top, project_on(top, tmp_path / "home") as project:
        content = os.urandom(24 * MIB)
        project.write({"data/large": content, "data/small": "packed", "data/tool": os.urandom(2 * MIB)})
        (project.root / "data/tool").chmod(0o755)
        before = used(top)
        project.run("add", "data")
        project.commit("one")

        # What is shared costs nothing; small files go into packs.
        assert used(top) - before < 6 * MIB
        assert len(blobs(project)) == 2
        large = next(path for path in blobs(project) if path.stat().st_size == len(content))
        assert shares_all(project.root / "data/large", large)
        added = project.tree("data")

        shutil.rmtree(project.root / "data")
        project.run("checkout")
        assert project.tree("data") == added
        assert shares_all(project.root / "data/large", large)
        assert used(top) - before < 6 * MIB
        assert (
            project.run("status").out.strip().startswith("clean")
            or "modified" not in project.run("status").out
        )

        # A file of one's own: writable, and the cache does not see what is written.
        with open(project.root / "data/large", "r+b") as file:
            file.seek(5 * MIB)
            file.write(b"an edit in place")
        assert large.read_bytes() == content
        assert "modified" in project.run("status").out
        project.run("fsck")
        project.run("add", "data")
        project.commit("two")
        edited = project.tree("data")
        assert len(blobs(project)) == 3

        project.git("checkout", "--quiet", "HEAD~1")
        project.run("checkout")
        assert project.tree("data") == added
        assert shares_all(project.root / "data/large", large)
        project.git("checkout", "--quiet", "main")
        project.run("checkout")
        assert project.tree("data") == edited
        project.run("fsck")


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_damaged_blob_is_not_cloned_into_the_workspace(kind: str, tmp_path: Path):
    with loop_filesystem(kind, tmp_path, 400 * MIB) as top, project_on(top, tmp_path / "home") as project:
        project.write({"file": os.urandom(3 * MIB)})
        project.run("add", "file")
        (blob,) = blobs(project)
        blob.chmod(0o644)
        with open(blob, "r+b") as file:
            file.seek(MIB)
            file.write(b"a bad block")
        (project.root / "file").unlink()

        assert "damaged" in project.run("checkout", code=12).err
        assert not (project.root / "file").exists()
        project.run("fsck", code=12)


def test_from_another_file_system_than_the_cache_files_are_copied(tmp_path: Path):
    with loop_filesystem("xfs", tmp_path) as top, project_on(tmp_path, tmp_path / "home") as project:
        project.run("config", "--local", "cache.dir", str(top / "cache"))
        project.write({"file": os.urandom(3 * MIB)})
        project.run("add", "file")
        content = project.read("file")
        (project.root / "file").unlink()
        project.run("checkout")

        assert project.read("file") == content
        assert not blobs(project)
        project.run("fsck")
