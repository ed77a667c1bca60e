"""What every backend must keep, as tests: subclass :class:`BackendContract` and say how one is made.

class TestMyBackend(BackendContract):
    def make_backend(self, folder):
        return MyBackend(...)
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from datavc.backends.base import Backend
from datavc.errors import DatavcError, StorageError, StoredFileNotFound, UsageError

NAME = "packs/ab/xxh128-abcd"
BAD_NAMES = (
    "",
    "/",
    "/etc/passwd",
    "../up",
    "a/../b",
    "a/./b",
    "a//b",
    "a/",
    "a b",
    "a\0b",
    "é",
    "a\\b",
    ".",
    "..",
)


class BackendContract:
    """The contract in ``datavc.backends.base``, each sentence of it as a test."""

    def make_backend(self, folder: Path) -> Backend:
        """A new, empty backend, which may use ``folder``."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return self.make_backend(tmp_path)

    def test_what_was_written_is_read_back(self, backend: Backend) -> None:
        assert backend.write(NAME, b"some bytes")
        assert backend.read(NAME) == b"some bytes"

    def test_an_empty_file_is_a_file(self, backend: Backend) -> None:
        backend.write(NAME, b"")
        assert backend.read(NAME) == b""
        assert backend.head(NAME).size == 0

    def test_a_range_is_exactly_the_bytes_asked_for(self, backend: Backend) -> None:
        backend.write(NAME, bytes(range(256)))
        assert backend.read(NAME, 10, 5) == bytes(range(10, 15))
        assert backend.read(NAME, 250) == bytes(range(250, 256))
        assert backend.read(NAME, 7, 0) == b""

    def test_a_range_beyond_the_end_is_an_error_and_not_a_shorter_answer(self, backend: Backend) -> None:
        backend.write(NAME, b"0123456789")
        with pytest.raises(StorageError):
            backend.read(NAME, 5, 6)

    def test_reading_what_is_not_there_says_so(self, backend: Backend) -> None:
        with pytest.raises(StoredFileNotFound):
            backend.read(NAME)
        with pytest.raises(StoredFileNotFound):
            backend.head(NAME)

    def test_head_gives_the_length_and_a_time_by_the_backends_own_clock(self, backend: Backend) -> None:
        before = backend.now()
        backend.write(NAME, b"12345")
        found = backend.head(NAME)
        assert (found.name, found.size) == (NAME, 5)
        assert before - 2 <= found.modified <= backend.now() + 2
        # gc removes a root only where it is still the one that was listed.
        assert list(backend.list(NAME.rpartition("/")[0] + "/")) == [found]

    def test_a_file_that_is_there_is_kept_as_it_is(self, backend: Backend) -> None:
        backend.write(NAME, b"first")
        assert not backend.write(NAME, b"other")
        assert backend.read(NAME) == b"first"

    def test_another_length_under_the_same_name_is_put_aside(self, backend: Backend) -> None:
        backend.write(NAME, b"cut sho")
        assert backend.write(NAME, b"cut short no more")
        assert backend.read(NAME) == b"cut short no more"
        assert [file.size for file in backend.list("quarantine/")] == [7]

    def test_a_local_file_is_published_and_consumed(self, backend: Backend, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"from a file")
        assert backend.write_file(NAME, source)
        assert backend.read(NAME) == b"from a file"
        assert not source.exists()

    def test_publishing_a_local_file_twice_keeps_the_first(self, backend: Backend, tmp_path: Path) -> None:
        backend.write(NAME, b"first")
        source = tmp_path / "source"
        source.write_bytes(b"other")
        assert not backend.write_file(NAME, source)
        assert backend.read(NAME) == b"first"

    def test_a_listing_has_every_file_below_the_folder_and_no_other(self, backend: Backend) -> None:
        for name in ("packs/ab/one", "packs/cd/two", "packs/cd/three", "indexes/four"):
            backend.write(name, b"x" * len(name))
        found = {file.name: file.size for file in backend.list("packs/")}
        assert found == {"packs/ab/one": 12, "packs/cd/two": 12, "packs/cd/three": 14}

    def test_a_folder_that_is_not_there_is_empty(self, backend: Backend) -> None:
        assert list(backend.list("packs/")) == []

    def test_replace_makes_and_changes_a_file(self, backend: Backend) -> None:
        backend.replace("roots/r/one", b"old")
        assert backend.read("roots/r/one") == b"old"
        backend.replace("roots/r/one", b"new and longer")
        assert backend.read("roots/r/one") == b"new and longer"

    def test_delete_removes_a_file_and_may_be_repeated(self, backend: Backend) -> None:
        backend.write(NAME, b"x")
        backend.delete(NAME)
        backend.delete(NAME)
        with pytest.raises(StoredFileNotFound):
            backend.head(NAME)

    @pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
    def test_a_bad_name_is_refused_by_every_method(self, backend: Backend, name: str, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"x")
        for attempt in (
            lambda: backend.read(name),
            lambda: backend.head(name),
            lambda: backend.write(name, b"x"),
            lambda: backend.write_file(name, source),
            lambda: backend.replace(name, b"x"),
            lambda: backend.delete(name),
        ):
            with pytest.raises(UsageError):
                attempt()

    def test_eight_writers_of_one_name_leave_one_whole_file(self, backend: Backend) -> None:
        data = bytes(range(256)) * 4096
        failures: list[DatavcError] = []

        def write() -> None:
            try:
                backend.write(NAME, data)
            except DatavcError as error:
                failures.append(error)

        writers = [threading.Thread(target=write) for _ in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert not failures
        assert backend.read(NAME) == data

    def test_it_says_where_it_is(self, backend: Backend) -> None:
        assert backend.describe()
