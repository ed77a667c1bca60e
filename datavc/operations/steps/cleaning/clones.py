"""The clones that use a cache, by the notes that they left in it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from datavc.errors import StoredFileNotFound
from datavc.formats.paths import show
from datavc.repo import PRIVATE_NAME, Repo
from datavc.store import layout

STANDINGS = ("this", "there", "gone", "elsewhere", "unreadable")


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone that uses the cache: its ``place`` is the private folder on ``host``, empty where the note cannot be read.

    ``standing`` is one of STANDINGS: this very clone, there on this machine, not there any more, on another machine.
    ``since`` is RFC 3339 in UTC.
    """

    id: str
    standing: str
    place: str = ""
    host: str = ""
    repo: str = ""
    user: str = ""
    since: str = ""

    @property
    def folder(self) -> str:
        """Where a user finds it: the folder around ``.git`` or ``.datavc``."""
        place = Path(self.place)
        if place.name == PRIVATE_NAME:
            return str(place.parent)
        return str(place.parent.parent) if place.parent.name == ".git" else self.place

    def __str__(self) -> str:
        if self.standing == "unreadable":
            return f"a clone of which {layout.CLONES}{self.id} does not say where it is"
        return f"{show(os.fsencode(self.folder))} on {self.host}"


def clones_of(repo: Repo) -> list[Clone]:
    """Every clone that uses the repo's cache, this one first. Raises StorageError."""
    found = []
    for file in repo.cache.backend.list(layout.CLONES):
        try:
            data = repo.cache.backend.read(file.name)
        except StoredFileNotFound:
            continue
        found.append(_read(repo, file.name.removeprefix(layout.CLONES), data))
    return sorted(found, key=lambda clone: (STANDINGS.index(clone.standing), clone.host, clone.place))


def _read(repo: Repo, id_: str, data: bytes) -> Clone:
    try:
        note = json.loads(data)
        place, host, repo_id = str(note["path"]), str(note["host"]), str(note["repo"])
        user, since = str(note.get("user", "")), str(note.get("since", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Clone(id_, "unreadable")
    return Clone(id_, _standing(repo, place, host), place, host, repo_id, user, since)


def _standing(repo: Repo, place: str, host: str) -> str:
    if host != os.uname().nodename:
        return "elsewhere"
    if place == str(repo.shared):
        return "this"
    return "there" if os.path.lexists(place) else "gone"


def is_own_past(repo: Repo, clone: Clone) -> bool:
    """Whether that is where this clone itself was, before it was moved: nothing is there, and the cache is its own."""
    return clone.standing == "gone" and repo.cache_folder == repo.shared / "cache"
