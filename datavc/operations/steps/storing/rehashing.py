"""What ``add --rehash`` does besides hashing every file: it reads what the cache has of them, and mends what is damaged."""

from __future__ import annotations

from datavc.operations.steps.examining.examine import View
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store.mending import Mender


class Rehash:
    """The cache as far as some datasets depend on it; made only where ``--rehash`` asks for it."""

    def __init__(self, repo: Repo, progress: Progress) -> None:
        self._mender = Mender(repo.cache, progress.note)

    def check(self, view: View) -> None:
        """Read every stored file that something of this dataset may be taken from; damaged ones are put aside."""
        scan = view.scan
        wanted = {
            digest for folder in (scan.top, *scan.folders.values()) for digest in folder.digests if digest
        }
        _, trees = scan.seal()
        self._mender.mend(wanted | trees.keys())

    def finish(self) -> None:
        """After all was stored: what was proved before, and is here, is proved again."""
        self._mender.finish()
