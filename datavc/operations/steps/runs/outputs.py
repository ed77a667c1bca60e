"""Outputs of a run that were there before it: put aside while it runs, put back when it fails.

They lie in ``<git dir>/datavc/runs/<id>/``, with a note of where they belong that is written before they go. What a killed
run left there is put back by the next one.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

from datavc.durable import fsync_folder, storage_errors, write_durably
from datavc.errors import ConflictError
from datavc.formats.paths import show
from datavc.locking import is_free
from datavc.progress import Progress
from datavc.repo import Repo

_NOTE = "note.json"


class Aside:
    """Previous outputs of one run, in the folder ``place``."""

    def __init__(self, repo: Repo, place: Path, paths: list[bytes]) -> None:
        self._repo = repo
        self._place = place
        self._paths = paths
        self._held: int | None = None

    def put_away(self) -> None:
        """Move what is there out of the way. Raises StorageError; what was moved can be put back."""
        if not self._paths:
            return
        with storage_errors(self._place):
            self._place.mkdir(parents=True, exist_ok=True)
        note = {"paths": [os.fsdecode(path) for path in self._paths]}
        # Held until the end, so that nobody takes the run for a dead one; the system lets go of it for a killed process.
        self._held = _hold(self._place)
        write_durably(self._place / _NOTE, json.dumps(note).encode() + b"\n")
        for number, path in enumerate(self._paths):
            source = self._repo.absolute(path)
            if os.path.lexists(source):
                _move(source, self._place / str(number))

    def put_back(self) -> None:
        """Move everything to where it was; what stands there now goes. Raises StorageError."""
        for number, path in enumerate(self._paths):
            kept, target = self._place / str(number), self._repo.absolute(path)
            if os.path.lexists(kept):
                with storage_errors(target):
                    _remove(target)
                    target.parent.mkdir(parents=True, exist_ok=True)
                _move(kept, target)
        self.drop()

    def has(self, path: bytes) -> bool:
        """Whether there was anything at ``path``."""
        return path in self._paths and os.path.lexists(self._place / str(self._paths.index(path)))

    def drop(self) -> None:
        """Let go of what was put away: the new outputs stand."""
        shutil.rmtree(self._place, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def recover(repo: Repo, progress: Progress) -> None:
    """Put back what killed runs had put away, and say so.

    Raises:
        ConflictError: something else stands in its place now, which is for the user to judge.
    """
    folder = repo.private / "runs"
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        held = _hold(place)
        if held is None:
            continue
        try:
            note = json.loads((place / _NOTE).read_bytes())
            _put_back_carefully(repo, place, [os.fsencode(path) for path in note["paths"]], progress)
        except FileNotFoundError:
            # Killed before anything was moved.
            shutil.rmtree(place, ignore_errors=True)
        finally:
            os.close(held)


def _put_back_carefully(repo: Repo, place: Path, paths: list[bytes], progress: Progress) -> None:
    for number, path in enumerate(paths):
        kept, target = place / str(number), repo.absolute(path)
        if not os.path.lexists(kept):
            continue
        if os.path.lexists(target):
            raise ConflictError(
                f"a run was killed: what {show(path)} was before lies in {kept}, and what the run left in its place",
                f"remove one of them: rm -r {repo.typed(path)}, or rm -r {place}",
            )
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        _move(kept, target)
        progress.note(f"{show(path)} is back, as it was before a run that was killed")
    shutil.rmtree(place, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    with storage_errors(target):
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, target)
        fsync_folder(target.parent)
        fsync_folder(source.parent)


def _copy(source: Path, target: Path) -> None:
    """To another file system: wholly there before anything goes here."""
    from datavc.durable import sync_filesystem

    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
    fd = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_filesystem(fd)
    finally:
        os.close(fd)
    _remove(source)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _hold(place: Path) -> int | None:
    """A lock on the folder of one run, or None where its run is still at work. Raises StorageError.

    On a file system without locks whoever asks is the only one.
    """
    with storage_errors(place):
        fd = os.open(place / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            found = is_free(fd)
        except OSError:
            os.close(fd)
            raise
    if found == "held":
        os.close(fd)
        return None
    return fd
