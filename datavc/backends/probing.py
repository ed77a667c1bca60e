"""Finding out what a place can be relied on for, by trying it: some forty small requests, and nothing left behind.

What is found holds for the day it was found on. Nothing that datavc publishes depends on it for being right: names are made
of content, everything read is hashed, and roots are read back.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import get_args

from datavc.backends.base import Backend, StoredFile, is_there
from datavc.backends.findings import Findings
from datavc.backends.folder import FolderBackend
from datavc.backends.retrying import RetryingBackend
from datavc.backends.s3 import S3Backend
from datavc.backends.s3_client import Check
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import DatavcError, StorageError, StoredFileNotFound, TransientError

_SIZE = 70_001
_WRITERS = 8
_ROUNDS = 3
_LISTED = 7
_PAGE = 3
_TRIES = 2
_PATIENCE_SECONDS = 10


def probe(backend: Backend) -> Findings:
    """Try what a store asks of ``backend``: it is written to, below ``probe/``, and what was written is deleted again.

    Raises:
        StorageError: nothing can be written there at all, or the place cannot be reached: nothing was found out.
    """
    bare = _bare(backend)
    retrying = RetryingBackend(bare, patience=_PATIENCE_SECONDS, first_patience=_PATIENCE_SECONDS / 2)
    work = _Probe(retrying, bare)
    try:
        return work.run(backend.describe())
    finally:
        work.clean_up()
        if bare is not backend:
            bare.close()


def _bare(backend: Backend) -> Backend:
    """What is to be tried: without wrappers, and without relying on what an earlier probe found."""
    while isinstance(backend, WrappingBackend):
        backend = backend.inner
    return S3Backend(backend.place) if isinstance(backend, S3Backend) else backend


class _Probe:
    def __init__(self, backend: Backend, bare: Backend) -> None:
        self._backend = backend
        self._bare = bare
        self._folder = f"probe/{os.urandom(8).hex()}"
        self._names: dict[str, None] = {}

    def run(self, place: str) -> Findings:
        missing = self._missing_is_missing()
        data = os.urandom(_SIZE)
        first = self._name("first")
        # If this fails there is nothing to find out, and the error says why.
        self._backend.write(first, data)
        reads_whole = self._holds(
            lambda: self._backend.read(first) == data and self._backend.head(first).size == _SIZE
        )
        return Findings(
            place=place,
            when=time.time(),
            reads_whole=reads_whole and self._holds(self._keeps_empty_files),
            reads_ranges=self._holds(lambda: self._reads_ranges(first, data)),
            missing_is_missing=missing,
            refuses_overwrite=self._holds(lambda: self._refuses_overwrite(first, data)),
            racing_winners=self._racing_winners(),
            replaces_at_once=self._holds(self._replaces_at_once),
            lists_all=self._holds(self._lists_all),
            clock_difference=self._clock_difference(),
            is_bucket=isinstance(self._bare, S3Backend),
            checks=tuple(check for check in get_args(Check) if self._is_checked(check)),
            deletes=self._holds(lambda: self._deletes(first)),
            # By now something was deleted.
            keeps_deleted=self._bare.keeps_deleted(),
        )

    def clean_up(self) -> None:
        for name in self._names:
            with contextlib.suppress(DatavcError):
                self._backend.delete(name)
            if isinstance(self._bare, FolderBackend):
                _remove_empty(self._bare.root, name)

    def _name(self, word: str) -> str:
        name = f"{self._folder}/{word}"
        self._names[name] = None
        return name

    def _holds(self, claim: Callable[[], bool]) -> bool:
        """Whether it does. An error means that it does not, unless the place fails at everything else by now as well."""
        for _ in range(_TRIES):
            try:
                return claim()
            except TransientError:
                self._require_answer()
            except DatavcError:
                return False
        return False

    def _require_answer(self) -> None:
        """Raises TransientError where the place says nothing any more; whatever else it says will do."""
        try:
            self._backend.head(self._name("first"))
        except TransientError:
            raise
        except DatavcError:
            pass

    def _missing_is_missing(self) -> bool:
        name = self._name("never-written")
        attempts: tuple[Callable[[], object], ...] = (
            lambda: self._backend.head(name),
            lambda: self._backend.read(name),
            lambda: self._backend.read(name, 0, 1),
        )
        for attempt in attempts:
            try:
                attempt()
            except StoredFileNotFound:
                continue
            except TransientError:
                raise
            except StorageError:
                return False
            return False
        return True

    def _keeps_empty_files(self) -> bool:
        name = self._name("empty")
        self._backend.write(name, b"")
        return self._backend.head(name).size == 0 and self._backend.read(name) == b""

    def _reads_ranges(self, name: str, data: bytes) -> bool:
        ranges = (
            (0, 1),
            (1, 1),
            (0, _SIZE),
            (_SIZE - 1, 1),
            (_SIZE // 2, 1000),
            (10, 1),
            (2, 65_536),
            (_SIZE - 5, None),
        )
        for start, length in ranges:
            end = None if length is None else start + length
            if self._backend.read(name, start, length) != data[start:end]:
                return False
        for start in (_SIZE - 1, _SIZE):
            try:
                self._backend.read(name, start, 2)
            except TransientError:
                raise
            except StorageError:
                continue
            return False
        return True

    def _refuses_overwrite(self, name: str, data: bytes) -> bool:
        return not self._bare.write(name, bytes(len(data))) and self._backend.read(name) == data

    def _racing_winners(self) -> int:
        """How many were told that they won, in the worst of some rounds."""
        from concurrent.futures import ThreadPoolExecutor

        worst = 1
        with ThreadPoolExecutor(_WRITERS) as pool:
            for number in range(_ROUNDS):
                name = self._name(f"race-{number}")
                contents = [os.urandom(_SIZE) for _ in range(_WRITERS)]
                told = list(
                    pool.map(
                        lambda content, name=name: self._holds(lambda: self._bare.write(name, content)),
                        contents,
                    )
                )
                worst = max(worst, sum(told), key=lambda winners: abs(winners - 1))
        return worst

    def _replaces_at_once(self) -> bool:
        # Nothing but roots is ever replaced, and a backend may rely on that.
        name = f"roots/{self._folder.replace('/', '-')}/replaced"
        self._names[name] = None
        for _ in range(_ROUNDS):
            data = os.urandom(100)
            self._bare.replace(name, data)
            if self._backend.read(name) != data or self._backend.head(name).size != len(data):
                return False
        return True

    def _lists_all(self) -> bool:
        folder = f"{self._folder}/listed/"
        names = {self._name(f"listed/{number}/file.{number}") for number in range(_LISTED)}
        for name in names:
            self._backend.write(name, name.encode())
        # Other names that start alike are not in the folder.
        self._backend.write(self._name("listed-not"), b"")
        for files in self._listings(folder):
            found = [(file.name, file.size) for file in files]
            if sorted(found) != sorted((name, len(name)) for name in names):
                return False
        return not list(self._backend.list(f"{self._folder}/nothing/"))

    def _listings(self, folder: str) -> Iterator[Iterator[StoredFile]]:
        yield self._backend.list(folder)
        if isinstance(self._bare, S3Backend):
            yield self._bare.list_pages(folder, _PAGE)

    def _clock_difference(self) -> float:
        try:
            before = time.time()
            there = self._backend.now()
        except TransientError:
            raise
        except DatavcError:
            return 0.0
        return round(there - (before + time.time()) / 2, 1)

    def _is_checked(self, check: Check) -> bool:
        """Whether the server takes an upload that carries the check when it is right, and refuses it when it is wrong."""
        if not isinstance(self._bare, S3Backend):
            return False
        right, wrong = self._name(f"right-{check}"), self._name(f"wrong-{check}")
        data = os.urandom(_SIZE)
        checked = S3Backend(self._bare.place, check=check)
        try:
            taken = self._holds(lambda: checked.write(right, data) and checked.read(right) == data)
            return taken and self._holds(lambda: checked.refuses_damaged(wrong, data))
        finally:
            checked.close()

    def _deletes(self, name: str) -> bool:
        self._backend.delete(name)
        self._backend.delete(name)
        return not is_there(self._backend, name)


def _remove_empty(root: Path, name: str) -> None:
    """Remove the folders above a file that was deleted, as far as nothing else is in them."""
    for folder in list(PurePosixPath(name).parents)[:-1]:
        with contextlib.suppress(OSError):
            (root / folder).rmdir()
