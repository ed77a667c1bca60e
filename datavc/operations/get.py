"""``get``: one version, by its digest, out of a store, where there is no repo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import xxhash

from datavc.backends.addresses import WEB, check_url, folder_of, scheme_of
from datavc.backends.base import Backend
from datavc.backends.opening import open_backend
from datavc.durable import fsync_folder, storage_errors
from datavc.errors import ConflictError, MalformedError, NotFoundError, UsageError
from datavc.formats.config import CONFIG_FORMAT, merge_config
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.paths import show
from datavc.formats.pointer import Pointer, format_pointer
from datavc.formats.root import Root
from datavc.operations.pull import pull
from datavc.operations.steps.naming.versions import is_digest
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, Traffic
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, PRIVATE_NAME, Repo
from datavc.store import layout
from datavc.store.note import check_note
from datavc.store.roots import read_root
from datavc.workspace.safepath import refused_name

_REMOTE = "source"


@dataclass(frozen=True, slots=True)
class GotVersion:
    """What was got, and where it is; ``size`` in bytes. ``dataset`` and ``repo`` are what its root says of its origin."""

    target: Path
    digest: Digest
    kind: str
    size: int
    files: int
    dataset: bytes
    repo: str
    traffic: Traffic


def get(
    url: str,
    digest: str,
    target: Path,
    *,
    settings: Mapping[str, str] | None = None,
    repo_id: str | None = None,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> GotVersion:
    """Make ``target`` the version whose digest begins with ``digest``, out of the store at ``url``.

    Everything is verified, and ``target`` appears when all of it is there. Interrupted, the same call goes on. ``repo_id``
    says whose version it is, which spares a listing; web servers need it, and then all of the digest.

    Raises:
        UsageError: the URL or the digest is none, or several versions begin so. ConflictError: ``target`` is there.
        NotFoundError: the store has no such version. Otherwise as :func:`datavc.operations.pull.pull`.
    """
    check_url(url)
    if not is_digest(digest) or digest.partition(":")[0] not in ALGORITHMS:
        raise UsageError(f"{digest!r} is no digest, which reads xxh128: and 8 or more hex digits")
    name = os.fsencode(target.name)
    if refused_name(name) is not None:
        raise UsageError(f"{show(name)} is no name for a dataset", "choose another: -o DIR")
    if os.path.lexists(target):
        raise ConflictError(f"{show(os.fsencode(target))} is there already", "choose another place: -o DIR")
    if scheme_of(url) in ("", "file"):
        url = str(folder_of(url).resolve())
    if scheme_of(url) in WEB and (repo_id is None or _whole(digest) is None):
        raise UsageError(
            f"{url} is a web server, whose files cannot be listed",
            "say whose version it is, --repo ID (the key repo in its datavc.toml), and type all of the digest",
        )
    backend = open_backend(url, settings, read_only=True)
    try:
        check_note(backend, create=False)
        root = _find_root(backend, digest, repo_id)
    finally:
        backend.close()
    scratch = _scratch(target, url, root.digest)
    repo = _repo_for(scratch, root, url, settings or {})
    pointer = Pointer(root.kind, root.digest, root.size, root.files)
    with storage_errors(scratch):
        repo.absolute(name + POINTER_SUFFIX).write_bytes(format_pointer(pointer))
    pulled = pull(repo, [], memory=memory, jobs=jobs, progress=progress)
    with storage_errors(target):
        if os.path.lexists(target):
            raise ConflictError(
                f"{show(os.fsencode(target))} has come to be meanwhile", "choose another place: -o DIR"
            )
        os.rename(repo.absolute(name), target)
        fsync_folder(target.parent)
        shutil.rmtree(scratch, ignore_errors=True)
    traffic = pulled.fetched.traffic
    return GotVersion(target, root.digest, root.kind, root.size, root.files, root.path, root.repo, traffic)


def _find_root(backend: Backend, digest: str, repo_id: str | None) -> Root:
    found: dict[Digest, Root] = {}
    for repo, wanted in _candidates(backend, digest, repo_id):
        root = read_root(backend, repo, wanted)
        if root is not None and root.complete and root.kind != "record":
            found.setdefault(root.digest, root)
    if not found:
        raise NotFoundError(f"no version {digest} is complete in {backend.describe()}")
    if len(found) > 1:
        raise UsageError(f"{digest} is ambiguous: {', '.join(map(str, found))}", "type more digits")
    return next(iter(found.values()))


def _candidates(backend: Backend, digest: str, repo_id: str | None) -> Iterator[tuple[str, Digest]]:
    """The repo ids and digests of the roots that may be meant."""
    whole = _whole(digest)
    if repo_id is not None and whole is not None:
        yield repo_id, whole
        return
    prefix = f"{layout.ROOTS}{repo_id}/" if repo_id is not None else layout.ROOTS
    for file in backend.list(prefix):
        repo, _, name = file.name.removeprefix(layout.ROOTS).partition("/")
        if name.startswith(digest.replace(":", "-")):
            try:
                yield repo, Digest.parse_file_name(name)
            except MalformedError:
                continue


def _whole(digest: str) -> Digest | None:
    try:
        return Digest.parse(digest)
    except MalformedError:
        return None


def _scratch(target: Path, url: str, digest: Digest) -> Path:
    """Where the version is put together, beside its place; of the same name each time, so that a second try goes on."""
    seed = f"{url}\0{digest}\0{target.name}".encode("utf-8", "surrogateescape")
    return target.parent / f".datavc-tmp-get-{xxhash.xxh3_64_hexdigest(seed)}"


def _repo_for(scratch: Path, root: Root, url: str, settings: Mapping[str, str]) -> Repo:
    """A repo without git, for this one version; the configuration of the user and the environment are not its own."""
    private = scratch / PRIVATE_NAME
    with storage_errors(private):
        private.mkdir(parents=True, exist_ok=True)
    repo = Repo(scratch, None, private, private)
    values = {"format": CONFIG_FORMAT, "repo": root.repo, "hash": root.digest.algorithm}
    remote = {f"remote.{_REMOTE}.{key}": value for key, value in {"url": url, **settings}.items()}
    repo.__dict__["config"] = merge_config([("local", {**values, **remote})])
    return repo
