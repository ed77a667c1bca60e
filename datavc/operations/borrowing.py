"""Reading a repository where it is: a folder of this machine, or a git URL, of which a bare copy is kept for the user."""

from __future__ import annotations

import os
import re
from pathlib import Path

import xxhash

from datavc.durable import storage_errors
from datavc.errors import DatavcError, RepoNotFound, UsageError
from datavc.formats.config import environment_config, merge_config, read_config
from datavc.formats.secrets import carries_secret, redact
from datavc.operations.reading import Snapshot
from datavc.repo import CONFIG_NAME, Repo, user_config_path

# As git tells them apart: with a scheme, or HOST:PATH without a slash before the colon.
_GIT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/:]+:(?!:)")
# What was opened last, so that whoever opens file by file, as pandas does, asks a remote once where things are.
_opened: dict[tuple[Path, str | None, int, int], Snapshot] = {}
_MOST_OPENED = 8


def is_git_url(place: str) -> bool:
    """Whether ``place`` is the URL of a git repository rather than a folder."""
    return _GIT_URL.match(place) is not None and not os.path.exists(place)


def require_no_secret(place: str) -> None:
    """Raises UsageError: a URL that is handed on to other processes, and into logs, has no password or token in it."""
    if carries_secret(place):
        raise UsageError(
            f"the address {redact(place)} has a secret in it",
            "leave it out: git asks its credential helper (git help credentials)",
        )


def snapshot_of(place: str, rev: str | None, *, remote: str | None, disk_bytes: int) -> Snapshot:
    """The datasets of the repository at ``place`` at ``rev``; of a git URL, which has no workspace, those of its HEAD.

    Raises:
        RepoNotFound: there is none, or datavc is not set up in it. DatavcError: git cannot get it.
        UsageError: it has no such revision.
    """
    if is_git_url(place):
        rev = rev or "HEAD"
        repo = _repo_at(place, rev)
    else:
        repo = Repo.find(Path(place))
    snapshot = Snapshot(repo, rev, remote=remote, disk_bytes=disk_bytes)
    key = (repo.root, remote, disk_bytes, os.getpid())
    known = _opened.get(key)
    if known is not None and _settings(known.repo) == _settings(repo):
        snapshot.share(known)
    else:
        if len(_opened) >= _MOST_OPENED:
            _opened.clear()
        _opened[key] = snapshot
    return snapshot


def _settings(repo: Repo) -> list[tuple[str, str, object]]:
    """The whole configuration. Raises UsageError."""
    config = repo.config
    return [(name, config.origin(name), config.get(name)) for name in config.names()]


def _repo_at(url: str, rev: str) -> Repo:
    """The repo behind a git URL, with the configuration that its HEAD, or else ``rev``, has."""
    from datavc.git.cloning import mirror

    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "datavc" / "repos" / xxhash.xxh3_128_hexdigest(os.fsencode(url))
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    git = mirror(url, folder, rev)
    repo = Repo(git.toplevel, git, folder / "datavc", folder / "datavc")
    for commit in ("HEAD", rev):
        try:
            committed = git.run("cat-file", "blob", f"{commit}:{CONFIG_NAME}")
            break
        except DatavcError:
            continue
    else:
        raise RepoNotFound(f"datavc is not set up in {redact(url)}", "in a clone of it: datavc init")
    layers = [("repo", read_config(committed, f"{CONFIG_NAME} of {redact(url)}", committed=True))]
    user = user_config_path()
    if user.is_file():
        with storage_errors(user):
            layers.append(("user", read_config(user.read_bytes(), str(user), committed=False)))
    layers.append(("environment", environment_config(os.environ)))
    repo.__dict__["config"] = merge_config(layers)
    return repo
