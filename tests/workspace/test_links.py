"""Cached files appear in a folder by each kind of link, on this file system and on others."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopfs import MIB, loop_filesystem

from datavc.durable import sync_filesystem
from datavc.errors import ConflictError, NotFoundError, OutOfSpace, StorageError
from datavc.workspace import links
from datavc.workspace.links import LINK_KINDS, copy_bytes, place, probe_links

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "blob"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0o444)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "workspace"
    path.mkdir()
    return path


@pytest.fixture
def folder_fd(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def _failing(number: int):
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("kind", LINK_KINDS)
def test_a_placed_file_has_the_content(kind: links.LinkKind, source: Path, folder: Path, folder_fd: int):
    became = place(kind, source, folder_fd, b"file\n\xff", executable=False)

    placed = os.path.join(os.fsencode(folder), b"file\n\xff")
    assert became == kind or (kind, became) == ("reflink", "copy")
    assert os.path.islink(placed) is (kind == "symlink")
    assert os.path.samefile(placed, source) is (kind in ("hardlink", "symlink"))
    with open(placed, "rb") as file:
        assert file.read() == CONTENT


@pytest.mark.parametrize("kind", ["reflink", "copy"])
@pytest.mark.parametrize(("executable", "mode"), [(False, 0o640), (True, 0o750)])
def test_a_file_of_its_own_has_the_modes_that_the_umask_leaves(
    kind: links.LinkKind, executable: bool, mode: int, source: Path, folder: Path, folder_fd: int
):
    links._umask.cache_clear()
    umask = os.umask(0o027)
    try:
        place(kind, source, folder_fd, b"file", executable=executable)
    finally:
        os.umask(umask)
        links._umask.cache_clear()

    assert stat.S_IMODE((folder / "file").stat().st_mode) == mode
    assert stat.S_IMODE(source.stat().st_mode) == 0o444


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_a_link_whose_exec_bit_would_be_wrong_becomes_a_copy(
    kind: links.LinkKind, source: Path, folder: Path, folder_fd: int
):
    assert place(kind, source, folder_fd, b"program", executable=True) == "copy"
    source.chmod(0o555)
    assert place(kind, source, folder_fd, b"data", executable=False) == "copy"
    assert place(kind, source, folder_fd, b"linked", executable=True) == kind

    assert os.access(folder / "program", os.X_OK)
    assert not (folder / "data").stat().st_mode & 0o111


@pytest.mark.parametrize("kind", LINK_KINDS)
@pytest.mark.parametrize("there", ["file", "folder", "symlink", "dangling symlink"])
def test_what_is_there_is_never_replaced_nor_followed(
    kind: links.LinkKind, there: str, source: Path, folder: Path, folder_fd: int
):
    outside = folder.parent / "outside"
    outside.write_text("mine")
    name = folder / "name"
    if there == "file":
        name.write_text("mine")
    elif there == "folder":
        name.mkdir()
    else:
        name.symlink_to(outside if there == "symlink" else folder.parent / "nothing")
    before = name.lstat()

    with pytest.raises(ConflictError, match="name is there already"):
        place(kind, source, folder_fd, b"name", executable=False)

    assert os.path.samestat(name.lstat(), before)
    assert outside.read_text() == "mine"
    assert not (folder.parent / "nothing").exists()


@pytest.mark.parametrize("kind", LINK_KINDS)
def test_a_source_that_is_no_regular_file_is_refused(
    kind: links.LinkKind, source: Path, folder: Path, folder_fd: int
):
    pipe, link = source.with_name("pipe"), source.with_name("link")
    os.mkfifo(pipe)
    link.symlink_to(source)

    for wrong in (pipe, link, source.parent):
        with pytest.raises(StorageError, match=wrong.name):
            place(kind, wrong, folder_fd, b"file", executable=False)
    with pytest.raises(NotFoundError, match="missing does not exist"):
        place(kind, source.with_name("missing"), folder_fd, b"file", executable=False)

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["reflink", "copy"])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OutOfSpace), (errno.EIO, StorageError)])
def test_a_copy_that_fails_leaves_nothing(
    kind: links.LinkKind,
    number: int,
    error: type[StorageError],
    source: Path,
    folder: Path,
    folder_fd: int,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(os, "copy_file_range", _failing(number), raising=False)
    monkeypatch.setattr(links, "clone_file", lambda *_: False)
    monkeypatch.setattr(links, "_clone_to_new_name", lambda *_: False)

    with pytest.raises(error):
        place(kind, source, folder_fd, b"file", executable=False)

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["EXDEV", "EOPNOTSUPP", "EPERM", "EMLINK", "ENOSYS"])
@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_a_link_that_cannot_be_made_becomes_a_copy(
    kind: links.LinkKind,
    name: str,
    source: Path,
    folder: Path,
    folder_fd: int,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(os, "link", _failing(getattr(errno, name)))
    monkeypatch.setattr(os, "symlink", _failing(getattr(errno, name)))

    assert place(kind, source, folder_fd, b"file", executable=False) == "copy"

    assert (folder / "file").read_bytes() == CONTENT
    assert not (folder / "file").samefile(source)


def test_a_source_replaced_while_it_is_linked_is_noticed(
    source: Path, folder: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
):
    real = os.link

    def replaced(path: Path, name: bytes, **options: object) -> None:
        other = path.with_name("other")
        other.write_text("evil")
        os.replace(other, path)
        real(path, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", replaced)
    with pytest.raises(StorageError, match="was replaced"):
        place("hardlink", source, folder_fd, b"file", executable=False)

    assert list(folder.iterdir()) == []


def test_links_have_no_limit_of_names(source: Path, folder: Path, folder_fd: int):
    became = {place("hardlink", source, folder_fd, b"%d" % number, executable=False) for number in range(50)}

    assert became == {"hardlink"}
    assert all((folder / str(number)).samefile(source) for number in range(50))


def _open_pair(tmp_path: Path, content: bytes) -> tuple[int, int]:
    (tmp_path / "source").write_bytes(content)
    source_fd = os.open(tmp_path / "source", os.O_RDONLY)
    return source_fd, os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT | os.O_EXCL)


@pytest.mark.parametrize("size", [0, 1, 4096, (16 << 20) + 3, 40 << 20])
def test_all_bytes_are_copied(size: int, tmp_path: Path):
    content = os.urandom(1 << 16) * (size >> 16) + os.urandom(size & 0xFFFF)
    source_fd, target_fd = _open_pair(tmp_path, content)

    assert copy_bytes(source_fd, target_fd) == size
    os.close(source_fd)
    os.close(target_fd)

    assert (tmp_path / "target").read_bytes() == content


@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("name", ["EXDEV", "EINVAL", "ENOSYS", "EOPNOTSUPP", "EPERM", "end of file"])
def test_what_the_kernel_does_not_copy_is_read_and_written(
    name: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done = 0

    def some(source: int, target: int, count: int, offset_src: int, offset_dst: int) -> int:
        nonlocal done
        done += 1
        if done > calls:
            if name == "end of file":
                return 0
            raise OSError(getattr(errno, name), name)
        return os.pwrite(target, os.pread(source, 1000, offset_src), offset_dst)

    monkeypatch.setattr(os, "copy_file_range", some, raising=False)
    source_fd, target_fd = _open_pair(tmp_path, CONTENT)

    assert copy_bytes(source_fd, target_fd) == len(CONTENT)
    os.close(source_fd)
    os.close(target_fd)

    assert (tmp_path / "target").read_bytes() == CONTENT


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.pwrite
    monkeypatch.setattr(os, "copy_file_range", _failing(errno.ENOSYS), raising=False)
    monkeypatch.setattr(os, "pwrite", lambda fd, piece, offset: real(fd, piece[:777], offset))
    source_fd, target_fd = _open_pair(tmp_path, CONTENT)

    copy_bytes(source_fd, target_fd)
    os.close(source_fd)
    os.close(target_fd)

    assert (tmp_path / "target").read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform != "linux", reason="FICLONE is Linux's")
def test_a_clone_that_came_out_short_is_no_clone(
    source: Path, folder: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
):
    import fcntl

    def half(target_fd: int, _: int, source_fd: int) -> int:
        os.write(target_fd, os.pread(source_fd, 5000, 0))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", half)

    assert place("reflink", source, folder_fd, b"file", executable=False) == "copy"
    assert (folder / "file").read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform != "linux", reason="FICLONE is Linux's")
def test_a_clone_that_fails_for_another_reason_is_an_error(
    source: Path, folder: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
):
    import fcntl

    monkeypatch.setattr(fcntl, "ioctl", _failing(errno.ENOSPC))

    with pytest.raises(OutOfSpace):
        place("reflink", source, folder_fd, b"file", executable=False)
    assert list(folder.iterdir()) == []


def test_probing_finds_what_works_here_and_leaves_nothing(source: Path, folder: Path):
    found = probe_links(source.parent, folder)

    assert found - {"reflink"} == {"hardlink", "symlink", "copy"}
    assert list(folder.iterdir()) == []
    assert list(source.parent.iterdir()) == [source]


def test_a_cache_that_cannot_be_written_to_is_copied_from(folder: Path, tmp_path: Path):
    assert probe_links(tmp_path / "missing", folder) == {"copy"}
    assert list(folder.iterdir()) == []


def test_a_workspace_that_cannot_be_written_to_is_an_error(source: Path, folder: Path, tmp_path: Path):
    with pytest.raises(StorageError, match="missing"):
        probe_links(source.parent, tmp_path / "missing")


def test_no_descriptor_is_left_open(source: Path, folder: Path, folder_fd: int):
    before = len(os.listdir("/dev/fd"))

    for number, kind in enumerate(LINK_KINDS):
        place(kind, source, folder_fd, b"%d" % number, executable=False)
        with pytest.raises(ConflictError):
            place(kind, source, folder_fd, b"%d" % number, executable=False)
    probe_links(source.parent, folder)

    assert len(os.listdir("/dev/fd")) == before


def _used(top: Path) -> int:
    fd = os.open(top, os.O_RDONLY)
    sync_filesystem(fd)
    seen = os.fstatvfs(fd)
    os.close(fd)
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_reflinks_share_their_blocks_on_a_file_system_that_has_them(kind: str, tmp_path: Path):
    with loop_filesystem(kind, tmp_path, 512 * MIB) as top:
        cache, workspace = top / "cache", top / "workspace"
        cache.mkdir()
        workspace.mkdir()
        content = os.urandom(MIB) * 40 + b"an end that is no whole block"
        (cache / "blob").write_bytes(content)
        (cache / "blob").chmod(0o444)
        used = _used(top)

        assert probe_links(cache, workspace) == set(LINK_KINDS)
        folder_fd = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in range(5):
                assert (
                    place("reflink", cache / "blob", folder_fd, b"%d" % number, executable=True) == "reflink"
                )
        finally:
            os.close(folder_fd)

        assert _used(top) - used < 4 * MIB
        assert all((workspace / str(number)).read_bytes() == content for number in range(5))
        with open(workspace / "0", "r+b") as file:
            file.write(b"changed")
        assert (cache / "blob").read_bytes() == content
        assert (workspace / "1").read_bytes() == content
        assert os.access(workspace / "0", os.X_OK)


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_small_and_empty_files_are_cloned_too(kind: str, tmp_path: Path):
    with loop_filesystem(kind, tmp_path) as top:
        folder_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for size in (0, 1, 100, 2047, 2048, 4095, 4096, 4097, 8192, 100_001):
                (top / f"blob-{size}").write_bytes(CONTENT[:1] * size)
                became = place(
                    "reflink", top / f"blob-{size}", folder_fd, b"file-%d" % size, executable=False
                )
                assert became in ("reflink", "copy")
                assert (top / f"file-{size}").read_bytes() == CONTENT[:1] * size
        finally:
            os.close(folder_fd)


@pytest.mark.parametrize("kind", ["ext4", "vfat"])
def test_a_file_system_without_reflinks_gets_copies(kind: str, tmp_path: Path):
    with loop_filesystem(kind, tmp_path) as top:
        (top / "blob").write_bytes(CONTENT)
        folder_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert place("reflink", top / "blob", folder_fd, b"file", executable=False) == "copy"
        finally:
            os.close(folder_fd)

        assert (top / "file").read_bytes() == CONTENT
        assert "reflink" not in probe_links(top, top)


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "ext4"])
def test_from_one_file_system_to_another_there_are_only_symlinks_and_copies(
    kind: str, source: Path, tmp_path: Path
):
    with loop_filesystem(kind, tmp_path) as top:
        folder_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number, wanted in enumerate(LINK_KINDS):
                became = place(wanted, source, folder_fd, b"%d" % number, executable=False)
                assert became == (wanted if wanted == "symlink" else "copy")
                assert (top / str(number)).read_bytes() == CONTENT
        finally:
            os.close(folder_fd)

        assert probe_links(source.parent, top) == {"symlink", "copy"}


def test_a_full_file_system_is_named_and_nothing_is_left(tmp_path: Path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(16 * MIB))
    with loop_filesystem("ext4", tmp_path, 8 * MIB) as top:
        folder_fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with pytest.raises(OutOfSpace, match="file"):
                place("copy", big, folder_fd, b"file", executable=False)
            assert "file" not in os.listdir(folder_fd)
        finally:
            os.close(folder_fd)
