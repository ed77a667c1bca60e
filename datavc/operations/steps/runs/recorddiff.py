"""Two records side by side, and of each part only what differs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datavc.errors import DatavcError
from datavc.formats.amounts import files_and_bytes
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.record import Data, Record
from datavc.formats.tree import FOLDER
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.repo import POINTER_SUFFIX, Repo

SECTIONS = ("command", "data", "inputs", "outputs", "code", "environment", "params", "metrics", "status")
IGNORE_FILE = b".gitignore"
_NAMED = 40
"""Files that are named one by one where inputs, outputs or code differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is ``old`` in the one and ``new`` in the other record; None where it is not there at all."""

    section: str
    name: str
    old: str | None
    new: str | None


def record_differences(repo: Repo, old: Record, new: Record) -> list[Difference]:
    """What differs between two records, by section. Times, hosts and users are no differences."""
    found: list[Difference] = []
    for section, before, after in (("inputs", old.inputs, new.inputs), ("outputs", old.outputs, new.outputs)):
        found += data_differences(repo, section, before, after)
    found += _code(repo, old, new)
    return [*run_differences(repo, old, new), *found]


def run_differences(repo: Repo, old: Record, new: Record) -> list[Difference]:
    """As :func:`record_differences`, but for data and code."""
    found = list(_flat("command", dict(old.section("command")), dict(new.section("command"))))
    found += _flat("environment", _environment(repo, old), _environment(repo, new))
    found += _flat("params", _params(old), _params(new))
    found += _flat("metrics", dict(old.section("metrics")), dict(new.section("metrics")))
    found += _flat("status", {"status": old.status}, {"status": new.status})
    return found


def _flat(section: str, old: Any, new: Any, name: str = "") -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            inner = f"{name}.{key}" if name else str(key)
            yield from _flat(section, old.get(key), new.get(key), inner)
        return
    yield Difference(section, name, _value(old), _value(new))


def _value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _params(record: Record) -> dict[str, Any]:
    params = record.section("params")
    found: dict[str, Any] = {"seed": params.get("seed"), **(params.get("values") or {})}
    for row in params.get("files", ()):
        if isinstance(row, dict):
            found[f"{row.get('path')}" + (f":{row['key']}" if row.get("key") else "")] = row.get("values")
    return found


def _environment(repo: Repo, record: Record) -> dict[str, Any]:
    """With all distributions by version, and lock files by path, so that each difference has a name."""
    found = {key: value for key, value in record.section("environment").items() if key != "locks"}
    found["locks"] = {
        str(row.get("path")): row.get("digest")
        for row in record.section("environment").get("locks", ())
        if isinstance(row, dict)
    }
    python = dict(found.get("python") or {})
    python.pop("imported", None)
    found["python"] = python
    listed = _object(repo, record, "distributions")
    if isinstance(listed, dict):
        found["distributions"] = {
            name: row.get("version") if isinstance(row, dict) else None for name, row in listed.items()
        }
    return found


def _object(repo: Repo, record: Record, name: str) -> Any:
    kept = record.objects.get(name)
    if kept is None:
        return None
    try:
        return json.loads(b"".join(repo.cache.reader(kept.digest).stream(kept.digest.raw)))
    except (DatavcError, ValueError):
        return None


def data_differences(
    repo: Repo, section: str, old: Iterable[Data], new: Iterable[Data]
) -> Iterator[Difference]:
    """The data that differs, path by path, and of folders their files."""
    before, after = {row.path: row for row in old}, {row.path: row for row in new}
    for path in sorted({*before, *after}):
        was, is_ = before.get(path), after.get(path)
        if was is not None and is_ is not None and was.digest == is_.digest:
            continue
        yield Difference(section, show(path), _shown(was), _shown(is_))
        if (
            was is not None
            and is_ is not None
            and was.digest
            and is_.digest
            and was.kind == is_.kind == "folder"
        ):
            yield from _files(repo, section, show(path), was.digest, is_.digest)


def _shown(row: Data | None) -> str | None:
    if row is None:
        return None
    return (
        f"{row.digest.short if row.digest is not None else 'unknown'}, {files_and_bytes(row.files, row.size)}"
    )


def _code(repo: Repo, old: Record, new: Record) -> Iterator[Difference]:
    made = {row.path for row in (*old.outputs, *new.outputs)}
    found = list(code_differences(code_of_record(repo, old), code_of_record(repo, new), made))
    if found:
        yield from _flat(
            "code",
            {"commit": old.section("code").get("commit")},
            {"commit": new.section("code").get("commit")},
        )
    yield from found
    for name in ("mutated", "stale"):
        yield from _flat("code", {name: old.section("code").get(name)}, {name: new.section("code").get(name)})
    was, is_ = old.objects.get("cells"), new.objects.get("cells")
    if was is not None and is_ is not None and was.digest != is_.digest:
        yield Difference("code", "cells of the notebook", was.digest.short, is_.digest.short)


def code_of_record(repo: Repo, record: Record) -> dict[bytes, str]:
    """The files of the code at the start, each with its short digest; none where its trees are not here."""
    kept = record.objects.get("code")
    try:
        return _listed(repo, kept.digest) if kept is not None else {}
    except DatavcError:
        return {}


def code_differences(
    old: Mapping[bytes, str], new: Mapping[bytes, str], made: Collection[bytes]
) -> Iterator[Difference]:
    """The files that differ; not those that runs ``made``, nor pointers and ignore lines, which tell of data."""
    changed = sorted(
        path
        for path in {*old, *new}
        if old.get(path) != new.get(path)
        and path not in made
        and not path.endswith(POINTER_SUFFIX)
        and path.rpartition(b"/")[2] != IGNORE_FILE
    )
    yield from _named("code", "", changed, old, new)


def _files(repo: Repo, section: str, top: str, old: Digest, new: Digest) -> Iterator[Difference]:
    """The files in which two folders differ, as far as their trees are here."""
    try:
        before, after = (_listed(repo, digest) for digest in (old, new))
    except DatavcError:
        return
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    yield from _named(section, f"{top}/" if top else "", changed, before, after)


def _named(
    section: str, prefix: str, changed: list[bytes], old: Mapping[bytes, str], new: Mapping[bytes, str]
) -> Iterator[Difference]:
    for path in changed[:_NAMED]:
        yield Difference(section, prefix + show(path), old.get(path), new.get(path))
    if len(changed) > _NAMED:
        yield Difference(section, f"{prefix}... and {len(changed) - _NAMED} more files", None, None)


def _listed(repo: Repo, folder: Digest) -> dict[bytes, str]:
    trees = TreeSource(repo.cache, repo.stat_cache, folder, "folder", obtain=repo.obtain_trees)
    found = {}
    for path, tree in trees.walk():
        prefix = path + b"/" if path else b""
        for entry in entries(tree):
            if entry.kind != FOLDER:
                found[prefix + entry.name] = Digest(folder.algorithm, entry.digest).short
    return found
