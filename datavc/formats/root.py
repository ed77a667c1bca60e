"""The root: a stored note that all that is reachable from one digest is there, and which pack indexes say where.

When a root may be written, replaced or removed is the business of ``store``.
Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datavc.formats.digest import Digest
from datavc.formats.fields import KINDS, Fields
from datavc.formats.header import FORMAT
from datavc.formats.paths import to_text
from datavc.formats.sealed import seal, unsealed_fields

ROOT_FORMAT = FORMAT
MAX_ROOT_BYTES = 64 << 10
MAX_ROOT_INDEXES = 16
ROOT_KINDS = (*KINDS, "record")

_COMMIT = "[0-9a-f]{40}|[0-9a-f]{64}"
_NONCE = "[0-9a-f]{16,64}"


@dataclass(frozen=True, slots=True)
class Root:
    """What a root says.

    ``kind`` is the dataset's, or ``record``; ``size`` counts bytes. ``path`` is the dataset's, empty for a record
    that has none. ``repo`` is the id of the repo, ``commit`` the git commit that was checked out, ``when`` RFC 3339
    in UTC. ``nonce`` makes each writing of a root differ. ``indexes`` names 1 to 16 pack indexes. ``complete`` is
    false where a cache holds a part only; ``saved`` is true for unsaved work that ``--force`` put away. ``clone`` tells
    which clone wrote it, where that is known: 32 hex digits that say nothing else.
    """

    digest: Digest
    kind: str
    size: int
    files: int
    path: bytes
    repo: str
    commit: str | None
    who: str
    when: str
    nonce: str
    indexes: tuple[str, ...]
    complete: bool = True
    saved: bool = False
    client: str = "datavc"
    clone: str | None = None


def encode_root(root: Root) -> bytes:
    """``root`` as sealed text.

    Raises:
        UsageError: longer than 64 KiB, or a value that no reader would take.
    """
    fields: dict[str, Any] = {
        "format": ROOT_FORMAT,
        "digest": str(root.digest),
        "kind": root.kind,
        "size": root.size,
        "files": root.files,
        "path": to_text(root.path),
        "repo": root.repo,
        "commit": root.commit,
        "who": root.who,
        "when": root.when,
        "nonce": root.nonce,
        "indexes": list(root.indexes),
        "complete": root.complete,
        "saved": root.saved,
        "client": root.client,
    }
    if root.clone is not None:
        fields["clone"] = root.clone
    return seal(fields, "the root", MAX_ROOT_BYTES, _root)


def decode_root(data: bytes, where: str = "the root") -> Root:
    """Read a root; ``where`` is the printable name of its file, for messages.

    Raises:
        UnsupportedFormat: a format number or digest algorithm unknown to this version.
        MalformedError: anything else is wrong with it.
    """
    return _root(unsealed_fields(data, where, MAX_ROOT_BYTES))


def _root(fields: Fields) -> Root:
    kind = fields.choice("kind", ROOT_KINDS)
    indexes = fields.sealed_names("indexes", "pack indexes")
    if not 1 <= len(indexes) <= MAX_ROOT_INDEXES:
        raise fields.wrong("indexes", f"a list of 1 to {MAX_ROOT_INDEXES} names of pack indexes")
    return Root(
        digest=fields.digest("digest"),
        kind=kind,
        size=fields.count("size"),
        files=fields.count("files"),
        path=fields.path("path", or_empty=kind == "record"),
        repo=fields.repo_id("repo"),
        commit=fields.optional_text("commit", _COMMIT, "a commit id of git or null"),
        who=fields.text("who"),
        when=fields.time("when"),
        nonce=fields.text("nonce", _NONCE, "16 to 64 hex digits"),
        indexes=indexes,
        complete=fields.flag("complete"),
        saved=fields.flag("saved"),
        client=fields.text("client"),
        clone=fields.optional_text("clone", "[0-9a-f]{32}", "32 hex digits"),
    )
