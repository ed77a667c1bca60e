"""Being the only gc that deletes from a remote, where there are no locks: a file beside the tombstone that says so."""

from __future__ import annotations

import os
import time

from datavc.backends.base import Backend
from datavc.errors import Locked, StorageError
from datavc.formats.times import utc_text
from datavc.store import layout
from datavc.store.tombstones import CLAIM, CLAIM_SECONDS
from datavc.store.who import who_am_i


class Claim:
    """That this process alone deletes what a tombstone on a remote names; said again and again while it does."""

    def __init__(self, backend: Backend, id_: str) -> None:
        self._backend = backend
        self._prefix = f"{layout.TRASH}{id_}{CLAIM}"
        self.name = self._prefix + os.urandom(8).hex()
        self._said = time.time()
        backend.replace(self.name, f"{who_am_i()} {utc_text()}\n".encode())
        now = backend.now()
        others = [
            file
            for file in backend.list(layout.TRASH)
            if file.name.startswith(self._prefix) and file.name != self.name
        ]
        if any(now - file.modified < CLAIM_SECONDS for file in others):
            backend.delete(self.name)
            raise Locked(
                f"another datavc gc is deleting from {backend.describe()}",
                "wait until it is done; if it was killed, run the same command again in an hour",
            )
        for file in others:
            backend.delete(file.name)

    def hold(self) -> None:
        """To be called before each deletion. Raises StorageError where it cannot be known any more that one is alone."""
        elapsed = abs(time.time() - self._said)
        if elapsed > CLAIM_SECONDS / 2:
            raise StorageError(
                f"deleting from {self._backend.describe()} was interrupted for {int(elapsed // 60)} minutes",
                "run the same command again",
            )
        if elapsed > CLAIM_SECONDS / 6:
            self._backend.replace(self.name, f"{who_am_i()} {utc_text()}\n".encode())
            self._said = time.time()

    def release(self) -> None:
        """Let others. Raises StorageError."""
        self._backend.delete(self.name)
