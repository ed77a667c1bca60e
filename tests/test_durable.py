"""A file is written whole or not at all, errors of the system become ours, and a failed barrier is no success."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from datavc import durable
from datavc.durable import (
    fsync_folder,
    remove_durably,
    storage_errors,
    sync_filesystem,
    syncing,
    write_all,
    write_durably,
)
from datavc.errors import OutOfSpace, StorageError


def _fail(number: int, calls: list | None = None):
    def fail(*arguments: object, **_: object) -> None:
        if calls is not None:
            calls.append(arguments)
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_new_file_has_the_content_and_the_mode_that_the_umask_leaves(tmp_path: Path, umask: None):
    for name, mode, expected in (("public", 0o666, 0o640), ("private", 0o600, 0o600)):
        write_durably(tmp_path / name, b"content", mode)

        assert (tmp_path / name).read_bytes() == b"content"
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == expected


def test_a_file_that_was_there_keeps_its_mode_and_is_replaced_at_once(tmp_path: Path, umask: None):
    path = tmp_path / "file"
    path.write_bytes(b"a much longer old content")
    path.chmod(0o664)
    with open(path, "rb") as old:
        write_durably(path, b"new", 0o600)
        assert old.read() == b"a much longer old content"

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert os.listdir(tmp_path) == ["file"]


def test_content_is_durable_before_its_name_and_its_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done = []
    for module, name in ((durable, "write_all"), (durable, "fsync_file"), (os, "replace")):
        real = getattr(module, name)

        def noted(*arguments, real=real, name=name, **options):
            done.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, noted)
    write_durably(tmp_path / "file", b"x")

    assert done == ["write_all", "fsync_file", "replace", "fsync_file"]


@pytest.mark.parametrize("call", ["write_all", "fsync_file"])
@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, OutOfSpace), (errno.EDQUOT, OutOfSpace), (errno.EIO, StorageError)]
)
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[StorageError]
):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    calls: list = []
    monkeypatch.setattr(durable, call, _fail(number, calls))

    with pytest.raises(error, match=str(path)):
        write_durably(path, b"new")

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    # A barrier that failed once is not tried again: it would claim to have worked.
    assert len(calls) == 1


def test_a_rename_that_fails_and_an_interruption_leave_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for fail, expected in ((_fail(errno.EACCES), StorageError), (interrupt, KeyboardInterrupt)):
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(expected):
            write_durably(tmp_path / "file", b"new")
        assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_folder_nothing_is_made(tmp_path: Path):
    with pytest.raises(StorageError, match="nowhere"):
        write_durably(tmp_path / "nowhere" / "file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_removing_is_no_error_where_nothing_is(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    remove_durably(path)
    remove_durably(path)
    remove_durably(tmp_path / "nowhere" / "file")
    assert list(tmp_path.iterdir()) == []

    path.mkdir()
    with pytest.raises(StorageError, match="file"):
        remove_durably(path)


def test_short_writes_are_gone_on_with(monkeypatch: pytest.MonkeyPatch):
    written = []

    def write(_: int, data: memoryview) -> int:
        written.append(bytes(data[:3]))
        return min(3, len(data))

    monkeypatch.setattr(os, "write", write)
    write_all(99, b"0123456789")
    write_all(99, b"")

    assert b"".join(written) == b"0123456789"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_folder_that_cannot_be_synced_is_none_the_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    monkeypatch.setattr(durable, "fsync_file", _fail(number))
    before = len(os.listdir("/dev/fd"))
    fsync_folder(tmp_path)

    monkeypatch.setattr(durable, "fsync_file", _fail(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        fsync_folder(os.fsencode(tmp_path))
    assert len(os.listdir("/dev/fd")) == before


def test_the_error_says_where_by_the_systems_word_or_by_ours():
    def raised(number: int, *place: object) -> StorageError:
        with pytest.raises(StorageError) as caught, storage_errors("our place"):
            raise OSError(number, os.strerror(number), *place)
        assert isinstance(caught.value.__cause__, OSError)
        return caught.value

    assert raised(errno.EIO).message == "our place: Input/output error"
    assert raised(errno.EIO, "/x").message == "/x: Input/output error"
    assert raised(errno.EACCES, b"/\xff").message.startswith("/\udcff: ")
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
        assert "run the same command again" in (raised(number).hint or "")
    with pytest.raises(KeyError), storage_errors("our place"):
        raise KeyError
    with storage_errors("our place"):
        pass


def test_a_file_system_is_synced_by_any_of_its_descriptors(tmp_path: Path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        sync_filesystem(fd)
    finally:
        os.close(fd)


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's")
def test_a_failing_syncfs_is_an_error():
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_filesystem(10**6)


def test_where_there_is_no_syncfs_everything_is_synced(monkeypatch: pytest.MonkeyPatch):
    synced = []
    monkeypatch.setattr(durable, "_syncfs", lambda: None)
    monkeypatch.setattr(os, "sync", lambda: synced.append(True))
    sync_filesystem(10**6)

    assert synced == [True]


def test_what_a_block_writes_is_synced_meanwhile_and_at_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(durable, "_SYNC_EVERY_SECONDS", 0.001)
    synced: list[str] = []
    twice = threading.Event()

    def sync(_: int) -> None:
        synced.append(threading.current_thread().name)
        if len(synced) >= 2:
            twice.set()

    monkeypatch.setattr(durable, "sync_filesystem", sync)
    with syncing(5):
        assert twice.wait(10)

    assert synced[-1] == threading.current_thread().name
    assert synced[0] != synced[-1]


def test_a_sync_that_failed_meanwhile_is_an_error_though_the_last_one_worked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(durable, "_SYNC_EVERY_SECONDS", 0.001)
    failed = threading.Event()

    def sync(_: int) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError(errno.EIO, "the page was dropped")

    monkeypatch.setattr(durable, "sync_filesystem", sync)
    with pytest.raises(OSError, match="dropped"), syncing(5):
        assert failed.wait(10)


def test_an_error_in_the_block_comes_out_as_it_is_and_the_thread_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(durable, "sync_filesystem", _fail(errno.EIO))
    before = threading.active_count()

    with pytest.raises(KeyError, match="mine"), syncing(5):
        raise KeyError("mine")

    assert threading.active_count() == before
