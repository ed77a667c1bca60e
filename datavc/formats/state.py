"""Workspace state: what one dataset in the workspace was last made from. Where it is kept is not known here.

Unlike the stat cache it cannot be derived from anything else: without it nobody could tell an edit from an
older version. Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datavc.formats.digest import Digest
from datavc.formats.fields import KINDS, Fields
from datavc.formats.header import FORMAT
from datavc.formats.paths import to_text
from datavc.formats.sealed import seal, unsealed_fields

STATE_FORMAT = FORMAT
MAX_STATE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout under way to ``target`` of ``kind``, of the whole dataset or of some sub-``paths`` of it.

    ``since`` is when it began, RFC 3339 in UTC; ``paths`` are relative to the dataset, None stands for all.
    """

    target: Digest
    kind: str
    paths: tuple[bytes, ...] | None
    since: str


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """The dataset at ``path`` was last made from, or recorded as, ``base`` of ``kind``; both None before.

    ``partial`` lists the sub-paths that were checked out, relative to the dataset; None stands for all of it.
    ``checkout`` is the one under way, None in rest.
    """

    path: bytes
    base: Digest | None = None
    kind: str | None = None
    partial: tuple[bytes, ...] | None = None
    checkout: Checkout | None = None


def encode_state(state: WorkspaceState) -> bytes:
    """``state`` as sealed text.

    Raises:
        UsageError: longer than 1 MiB (very many sub-paths), or a value that no reader would take.
    """
    checkout = state.checkout
    fields: dict[str, Any] = {
        "format": STATE_FORMAT,
        "path": to_text(state.path),
        "base": None if state.base is None else str(state.base),
        "kind": state.kind,
        "partial": _texts(state.partial),
        "checkout": None
        if checkout is None
        else {
            "target": str(checkout.target),
            "kind": checkout.kind,
            "paths": _texts(checkout.paths),
            "since": checkout.since,
        },
    }
    return seal(fields, "the workspace state", MAX_STATE_BYTES, _state)


def decode_state(data: bytes, where: str) -> WorkspaceState:
    """Read a workspace state; ``where`` is its printable path, for messages.

    Raises:
        UnsupportedFormat: a format number or digest algorithm unknown to this version.
        MalformedError: anything else is wrong with it.
    """
    return _state(unsealed_fields(data, where, MAX_STATE_BYTES))


def _state(fields: Fields) -> WorkspaceState:
    has_base = fields.optional_text("base") is not None
    state = WorkspaceState(
        path=fields.path("path"),
        base=fields.digest("base") if has_base else None,
        kind=fields.choice("kind", KINDS) if has_base else None,
        partial=fields.optional_paths("partial"),
        checkout=_checkout(fields.optional_fields("checkout")),
    )
    if not has_base and fields.optional_text("kind") is not None:
        raise fields.wrong("kind", "null where there is no base")
    return state


def _checkout(fields: Fields | None) -> Checkout | None:
    if fields is None:
        return None
    return Checkout(
        target=fields.digest("target"),
        kind=fields.choice("kind", KINDS),
        paths=fields.optional_paths("paths"),
        since=fields.time("since"),
    )


def _texts(paths: tuple[bytes, ...] | None) -> list[str] | None:
    return None if paths is None else list(map(to_text, paths))
