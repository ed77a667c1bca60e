"""The backends that come with datavc, held to the contract, and what is special about each."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loopfs import MIB, loop_filesystem

from datavc.backends import folder as folder_module
from datavc.backends.base import Backend
from datavc.backends.counting import CountingBackend
from datavc.backends.folder import FolderBackend
from datavc.backends.memory import MemoryBackend
from datavc.backends.readonly import ReadOnlyBackend
from datavc.errors import NotFoundError, OutOfSpace, StorageError, StoredFileNotFound
from datavc.testing.backend_contract import NAME, BackendContract


class TestFolderBackend(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return FolderBackend(folder / "store", create=True)


class TestMemoryBackend(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return MemoryBackend()


class TestCountingBackend(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return CountingBackend(MemoryBackend())


def folder_backend(tmp_path: Path) -> FolderBackend:
    return FolderBackend(tmp_path / "store", create=True)


def test_a_folder_that_is_not_there_is_not_made_unasked(tmp_path):
    with pytest.raises(NotFoundError):
        FolderBackend(tmp_path / "store")


def test_a_folder_backend_pickles_as_its_place(tmp_path):
    backend = folder_backend(tmp_path)
    backend.write(NAME, b"x")
    assert pickle.loads(pickle.dumps(backend)).read(NAME) == b"x"


def test_files_and_folders_take_mode_and_group_of_the_top_folder(tmp_path):
    top = tmp_path / "store"
    top.mkdir()
    top.chmod(0o2770)
    FolderBackend(top).write(NAME, b"x")
    assert stat.S_IMODE((top / NAME).stat().st_mode) == 0o440
    assert stat.S_IMODE((top / NAME).parent.stat().st_mode) == 0o2770
    assert (top / NAME).stat().st_gid == top.stat().st_gid


def test_a_symbolic_link_in_the_place_of_a_file_is_not_followed(tmp_path):
    backend = folder_backend(tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    planted = tmp_path / "store" / NAME
    planted.parent.mkdir(parents=True)
    planted.symlink_to(secret)
    with pytest.raises(StoredFileNotFound):
        backend.read(NAME)
    with pytest.raises(StoredFileNotFound):
        backend.head(NAME)


def test_a_root_is_read_anew_after_it_was_replaced_by_somebody_else(tmp_path):
    backend = folder_backend(tmp_path)
    backend.replace("roots/r/one", b"old")
    assert backend.read("roots/r/one") == b"old"
    FolderBackend(tmp_path / "store").replace("roots/r/one", b"new")
    assert backend.read("roots/r/one") == b"new"


def test_scratch_is_gone_afterwards(tmp_path):
    backend = folder_backend(tmp_path)
    with backend.scratch() as folder:
        (folder / "half").write_bytes(b"half")
    assert list((tmp_path / "store/tmp").iterdir()) == []


def test_scratch_of_a_living_process_is_left_alone(tmp_path):
    backend = folder_backend(tmp_path)
    with backend.scratch() as folder, backend.scratch():
        assert folder.is_dir()


def _hold_scratch(root: Path, ready: Path) -> None:
    with FolderBackend(root).scratch() as folder:
        (folder / "half").write_bytes(b"half")
        ready.touch()
        time.sleep(60)


def test_scratch_of_a_killed_process_is_swept_by_the_next(tmp_path):
    backend = folder_backend(tmp_path)
    process = multiprocessing.get_context("spawn").Process(
        target=_hold_scratch, args=(tmp_path / "store", tmp_path / "ready")
    )
    process.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with backend.scratch() as mine:
        found = sorted(entry.name for entry in (tmp_path / "store/tmp").iterdir())
        assert found == [mine.name, f"{mine.name}.lock"]


def test_a_full_disk_is_said_to_be_full_and_leaves_nothing_under_the_name(tmp_path):
    with loop_filesystem("ext4", tmp_path, 16 * MIB) as place:
        backend = FolderBackend(place / "store", create=True)
        with pytest.raises(OutOfSpace, match="no space"):
            backend.write(NAME, os.urandom(32 * MIB))
        assert list(backend.list("packs/")) == []
        assert backend.write(NAME, b"small")


def test_a_read_only_backend_reads_and_refuses_all_else(tmp_path):
    inner = MemoryBackend()
    inner.write(NAME, b"x")
    backend = ReadOnlyBackend(inner)
    assert backend.read(NAME) == b"x"
    for attempt in (
        lambda: backend.write("a", b""),
        lambda: backend.write_file("a", tmp_path / "a"),
        lambda: backend.replace("a", b""),
        lambda: backend.delete(NAME),
    ):
        with pytest.raises(StorageError, match="read-only"):
            attempt()
    assert inner.read(NAME) == b"x"


def test_a_counting_backend_counts_requests_and_bytes():
    backend = CountingBackend(MemoryBackend())
    backend.write(NAME, b"12345")
    backend.read(NAME, 0, 2)
    backend.read(NAME)
    assert backend.requests == {"write": 1, "read": 2}
    assert (backend.written_bytes, backend.read_bytes) == (5, 7)


def test_scratch_of_a_process_that_died_is_swept_at_whatever_point_it_died(tmp_path):
    backend = FolderBackend(tmp_path)
    (tmp_path / "tmp/0123").mkdir(parents=True)
    (tmp_path / "tmp/4567").mkdir()
    (tmp_path / "tmp/4567/half a pack").write_bytes(b"abc")
    (tmp_path / "tmp/4567.lock").touch()
    (tmp_path / "tmp/89ab.lock").touch()

    with backend.scratch() as mine:
        assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == [mine.name, f"{mine.name}.lock"]

    assert list((tmp_path / "tmp").iterdir()) == []


def test_scratch_in_use_is_left_alone(tmp_path):
    first, second = FolderBackend(tmp_path), FolderBackend(tmp_path)
    with first.scratch() as mine:
        (mine / "file").write_bytes(b"abc")
        with second.scratch():
            assert (mine / "file").read_bytes() == b"abc"


def test_scratch_is_left_alone_when_its_lock_was_made_anew_while_it_was_swept(tmp_path, monkeypatch):
    # One sweep took the lock of a folder that was just being made; its owner makes another before a second sweep goes on.
    backend = FolderBackend(tmp_path)
    parent = tmp_path / "tmp"
    parent.mkdir()
    (parent / "0123.lock").touch()
    held: list[int] = []

    def made_anew_just_before(fd: int) -> str:
        if not held:
            (parent / "0123.lock").unlink()
            held.append(os.open(parent / "0123.lock", os.O_CREAT | os.O_RDWR))
            assert lock(held[0]) == "free"
            (parent / "0123").mkdir()
        return lock(fd)

    lock = folder_module.is_free
    monkeypatch.setattr(folder_module, "is_free", made_anew_just_before)
    with backend.scratch():
        assert (parent / "0123").is_dir()
    assert (parent / "0123.lock").exists()
    os.close(held[0])


@pytest.mark.parametrize("change", ["replace", "delete", "put_aside"])
def test_what_one_thread_changes_no_other_reads_as_it_was(tmp_path, change):
    backend = FolderBackend(tmp_path)
    backend.write(NAME, b"damaged")
    with ThreadPoolExecutor(1) as other:
        assert other.submit(backend.read, NAME).result() == b"damaged"
        if change == "replace":
            backend.replace(NAME, b"mended")
            assert other.submit(backend.read, NAME).result() == b"mended"
        else:
            getattr(backend, change)(NAME)
            with pytest.raises(StoredFileNotFound):
                other.submit(backend.read, NAME).result()
