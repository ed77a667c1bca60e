"""The repo: where things are, and what is recorded about each dataset. It has no verbs.

In a git repository the cache and the local config lie in git's common folder, shared by linked worktrees; the workspace
state and the stat cache in git's own folder of this worktree. Without git everything lies in ``.datavc/``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from datavc.durable import storage_errors, write_durably
from datavc.errors import (
    ConflictError,
    DatavcError,
    MalformedError,
    RepoNotFound,
    UnsupportedFormat,
    UsageError,
)
from datavc.formats.config import Config, environment_config, merge_config, read_config
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, seen_from, shell_word, show
from datavc.formats.pointer import Pointer, parse_pointer
from datavc.formats.state import WorkspaceState, decode_state, encode_state
from datavc.git.places import find_git
from datavc.git.program import Git
from datavc.locking import note_holder, take
from datavc.store.cache import Cache
from datavc.workspace.safepath import refused_name
from datavc.workspace.statcache import StatCache

if TYPE_CHECKING:
    from datavc.formats.remotes import RemoteSettings

CONFIG_NAME = "datavc.toml"
PRIVATE_NAME = ".datavc"
POINTER_SUFFIX = b".datavc"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset by its path relative to the repo's root, and the pointer that stands for it."""

    path: bytes
    pointer: Pointer

    @property
    def digest(self) -> Digest:
        """What the pointer names."""
        return self.pointer.digest


class Repo:
    """A repository at ``root``; ``git`` is None where it has none. ``here`` is the folder that its user works in."""

    def __init__(self, root: Path, git: Git | None, private: Path, shared: Path) -> None:
        self.root = root
        self.root_bytes = os.fsencode(root)
        self.git = git
        self.private = private
        self.shared = shared
        self.here = self.root_bytes
        self.known_pointers: list[bytes] | None = None
        # Fetches the trees of a version that is not here, while a command may ask remotes; whether that went well.
        self.obtain_trees: Callable[[Digest], bool] | None = None

    @classmethod
    def find(cls, folder: Path) -> Repo:
        """The repository that holds ``folder``.

        Raises:
            RepoNotFound: there is none at or above it, or datavc was never set up in it.
        """
        repo = cls._find(folder)
        repo.here = os.fsencode(folder)
        return repo

    @classmethod
    def _find(cls, folder: Path) -> Repo:
        for place in (folder, *folder.parents):
            if (place / PRIVATE_NAME).is_dir() and (place / CONFIG_NAME).is_file():
                return cls(place, None, place / PRIVATE_NAME, place / PRIVATE_NAME)
            if (place / ".git").exists():
                break
        places = find_git(folder)
        if places is None:
            raise RepoNotFound(f"{folder} is in no datavc repository", "datavc init")
        if not (places.toplevel / CONFIG_NAME).is_file():
            raise RepoNotFound(
                f"datavc is not set up in {places.toplevel}",
                f"datavc -C {shell_word(os.fsencode(places.toplevel))} init",
            )
        return cls(
            places.toplevel, Git(places.toplevel), places.git_dir / "datavc", places.common_dir / "datavc"
        )

    # Configuration

    @cached_property
    def config(self) -> Config:
        """Flag, environment, local, user and repo configuration, merged."""
        layers = [
            ("repo", self.root / CONFIG_NAME),
            ("user", user_config_path()),
            ("local", self.shared / "config.toml"),
        ]
        read = []
        for origin, path in layers:
            if path.is_file():
                with storage_errors(path):
                    read.append(
                        (origin, read_config(path.read_bytes(), str(path), committed=origin == "repo"))
                    )
        read.append(("environment", environment_config(os.environ)))
        return merge_config(read)

    @property
    def algorithm(self) -> str:
        """The digest algorithm of this repo."""
        return self.config.hash

    def remotes(self) -> list[RemoteSettings]:
        """Every remote of the configuration, the default one first. Raises UsageError."""
        from datavc.formats.remotes import remotes_of

        return remotes_of(self.config)

    def remote(self, name: str | None = None) -> RemoteSettings:
        """The remote called ``name``, or the default one. Raises UsageError where there is none."""
        from datavc.formats.remotes import default_remote

        chosen = name or default_remote(self.config)
        found = [remote for remote in self.remotes() if remote.name == chosen]
        if found:
            return found[0]
        if chosen is None and self.remotes():
            raise UsageError(
                "there is no default remote", "datavc config remote.default NAME, or say -r NAME"
            )
        raise UsageError(
            f"there is no remote {chosen}" if chosen else "there is no remote",
            f"datavc remote add {chosen or 'NAME'} URL",
        )

    @cached_property
    def cache(self) -> Cache:
        """The cache of this clone, made when it is first needed."""
        folder = self.cache_folder
        cache = Cache(folder, self.config.repo_id, self.algorithm, create=True)
        cache.register_clone(self.shared)
        return cache

    @property
    def cache_folder(self) -> Path:
        """Where the cache lies."""
        chosen = self.config.cache_dir
        return (self.root / chosen).resolve() if chosen else self.shared / "cache"

    @cached_property
    def stat_cache(self) -> StatCache:
        """The stat cache of this worktree."""
        with storage_errors(self.private):
            self.private.mkdir(parents=True, exist_ok=True)
        return StatCache(self.private / "stat.db", self.algorithm)

    # Paths

    def relative(self, path: bytes) -> bytes:
        """An absolute path relative to the repo's root.

        Raises:
            UsageError: it lies outside.
        """
        if path == self.root_bytes:
            return b""
        if not path.startswith(self.root_bytes + b"/"):
            raise UsageError(f"{show(path)} is outside of the repository {self.root}")
        return path[len(self.root_bytes) + 1 :]

    def absolute(self, path: bytes) -> Path:
        """The inverse of :meth:`relative`."""
        return Path(os.fsdecode(self.root_bytes + b"/" + path if path else self.root_bytes))

    def typed(self, *paths: bytes | str) -> str:
        """Paths relative to the root, as words of a command that is typed in the folder that the user works in."""
        return " ".join(
            shell_word(seen_from(self.here, self.root_bytes, os.fsencode(path))) for path in paths
        )

    # Pointers and workspace state

    def pointer_paths(self) -> list[bytes]:
        """The paths of all pointers, relative to the root, that git knows or would; without git, all there are."""
        if self.known_pointers is not None:
            return self.known_pointers
        if self.git is not None:
            from datavc.git.pointers import list_pointers

            return [found.path for found in list_pointers(self.git)]
        return sorted(self._walk_pointers())

    def read_pointer(self, path: bytes) -> Pointer | None:
        """The pointer of dataset ``path``, or None. Raises MalformedError, ConflictError by the pointer's name.

        A pointer is untrusted, its own name too: one that stands for ``.git`` or lies in it is malformed.
        """
        name = path + POINTER_SUFFIX
        try:
            data = self.absolute(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise MalformedError(f"the pointer {show(name)} cannot be read: {error.strerror}") from error
        for part in path.split(b"/"):
            reason = refused_name(part)
            if reason is not None:
                raise MalformedError(
                    f"the pointer {show(name)} stands for what no dataset may be: {show(part)} {reason}"
                )
        try:
            pointer = parse_pointer(data, show(name))
        except ConflictError:
            # Again, for the hint: quoting the path of every pointer would cost each command its share.
            pointer = parse_pointer(data, show(name), self.typed(name))
        except MalformedError as error:
            if self.git is not None and not isinstance(error, UnsupportedFormat):
                error.hint = f"git checkout HEAD -- {self.typed(name)}"
            raise
        if pointer.digest.algorithm != self.algorithm:
            raise MalformedError(
                f"the pointer {show(name)} is of {pointer.digest.algorithm}, this repo's hash is {self.algorithm}"
            )
        return pointer

    def datasets(self, unreadable: dict[bytes, DatavcError] | None = None) -> list[Dataset]:
        """Every dataset whose pointer is in the workspace, by path.

        Why a pointer cannot be read goes into ``unreadable``, by the dataset's path.

        Raises:
            MalformedError, ConflictError: a pointer cannot be read, without ``unreadable``.
        """
        found = []
        for name in self.pointer_paths():
            path = name.removesuffix(POINTER_SUFFIX)
            try:
                pointer = self.read_pointer(path)
            except DatavcError as error:
                if unreadable is None:
                    raise
                unreadable[path] = error
                continue
            if pointer is not None:
                found.append(Dataset(path, pointer))
        return sorted(found, key=lambda dataset: dataset.path)

    def read_state(self, path: bytes) -> WorkspaceState:
        """What the dataset at ``path`` was last made from; an empty state where nothing is recorded."""
        file = self._state_path(path)
        try:
            state = decode_state(file.read_bytes(), str(file))
        except FileNotFoundError:
            return WorkspaceState(path)
        if state.path != path:
            raise MalformedError(f"{file} is the workspace state of another dataset, {show(state.path)}")
        return state

    def pointer_is_newer(self, path: bytes) -> bool:
        """Whether the pointer was written after it was recorded what the workspace is, as when git moves it."""
        try:
            recorded = self._state_path(path).stat().st_mtime_ns
            return self.absolute(path + POINTER_SUFFIX).stat().st_mtime_ns >= recorded
        except OSError:
            return False

    def states(self) -> list[WorkspaceState]:
        """What is recorded of every dataset in this worktree. Raises MalformedError."""
        folder = self.private / "state"
        if not folder.is_dir():
            return []
        with storage_errors(folder):
            files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
            return [decode_state(file.read_bytes(), str(file)) for file in files]

    def write_state(self, state: WorkspaceState) -> None:
        """Record what a dataset was made from, durably."""
        file = self._state_path(state.path)
        with storage_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, encode_state(state))

    def drop_state(self, path: bytes) -> None:
        """Forget the dataset at ``path``. Raises StorageError."""
        file = self._state_path(path)
        with storage_errors(file):
            file.unlink(missing_ok=True)

    def ignore(self, path: bytes) -> None:
        """Make git ignore the files of the dataset at ``path``; without git there is nothing to do. Raises StorageError."""
        if self.git is not None:
            from datavc.git.ignorefile import ignore_names

            folder, _, name = path.rpartition(b"/")
            ignore_names(self.absolute(folder), [name])

    def unignore(self, path: bytes) -> None:
        """Take back what :meth:`ignore` did. Raises StorageError."""
        if self.git is not None:
            from datavc.git.ignorefile import unignore_names

            folder, _, name = path.rpartition(b"/")
            unignore_names(self.absolute(folder), [name])

    def owner(self, path: bytes, datasets: list[Dataset]) -> Dataset | None:
        """The dataset that ``path`` is, or lies in."""
        return next((dataset for dataset in datasets if is_inside(path, dataset.path)), None)

    @contextlib.contextmanager
    def lock(self, command: str, *, needed: bool = False) -> Iterator[None]:
        """Keep other writing commands out of this worktree. With ``needed`` a file system without locks is refused.

        Raises:
            Locked: another one is still at work, once patience is over. StorageError: there is no lock to have.
        """
        with storage_errors(self.private):
            self.private.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.private / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            take(fd, self.root, needed=needed)
            note_holder(fd, command)
            yield
        finally:
            os.close(fd)

    def _state_path(self, path: bytes) -> Path:
        return self.private / "state" / xxhash.xxh3_128_hexdigest(path)

    def _walk_pointers(self) -> Iterator[bytes]:
        for folder, names, files in os.walk(self.root_bytes):
            pointers = {name for name in files if name.endswith(POINTER_SUFFIX) and name != POINTER_SUFFIX}
            for name in pointers:
                yield self.relative(folder + b"/" + name)
            # A dataset's own files are data, whatever they are called.
            names[:] = [
                name
                for name in names
                if name != os.fsencode(PRIVATE_NAME)
                and name + POINTER_SUFFIX not in pointers
                and name != b".git"
            ]


def user_config_path() -> Path:
    """The user's own configuration file."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "datavc" / "config.toml"
