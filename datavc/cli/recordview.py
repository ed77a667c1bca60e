"""A record as lines of text, and what came of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from datavc.cli.render import from_here, show_path
from datavc.formats.amounts import files_and_bytes, human_size
from datavc.formats.paths import show_some

if TYPE_CHECKING:
    from datavc.formats.digest import Digest
    from datavc.formats.record import Data, Record
    from datavc.operations.recording import RunResult
    from datavc.repo import Repo

_LONGEST_VALUE = 200


def outcome(repo: Repo, result: RunResult) -> Iterator[str]:
    """One line on what came of a run, one on what was not declared, one on what to type next."""
    made = [from_here(repo.root, row.path) for row in result.outputs if row.declared and not row.metrics]
    what = f"made {show_some(made)}" if made and result.status == "ok" else result.status
    yield f"{what}; record {result.record.short}"
    notes = []
    for verb, paths in (("read", result.undeclared_inputs), ("wrote", result.undeclared_outputs)):
        if paths:
            notes.append(f"also {verb} {show_some([from_here(repo.root, path) for path in paths])}")
    if result.blind:
        notes.append(f"did not see what {', '.join(result.blind[:5])} opened")
    if result.mutated:
        notes.append("the code changed while it ran")
    if notes:
        yield f"seen: {'; '.join(notes)}"
    if result.git_add:
        yield f"next: git add {repo.typed(*result.git_add)}"
    elif not made:
        yield f"next: datavc show {result.record.short}"


def record_lines(digest: Digest, record: Record) -> Iterator[str]:
    """The facts of one run, a line for each."""
    time, code, where = record.section("time"), record.section("code"), record.section("environment")
    yield f"record   {digest}"
    yield f"command  {show_path(' '.join(record.argv))}"
    inside = record.section("inside")
    if inside:
        yield f"inside   {show_path(_place(inside))}"
    if record.stage:
        yield f"name     {show_path(record.stage)}"
    seconds = int(time.get("wall_ms") or 0) / 1000
    memory = human_size(int(time.get("peak_memory") or 0))
    yield f"status   {record.status}, {record.start[:19].replace('T', ' ')} UTC, {seconds:.1f} s, {memory}"
    commit = str(code.get("commit") or "")[:12] or "not in git"
    notes = [
        str(word) for word in (code.get("branch"), "with changes" if code.get("dirty") else None) if word
    ]
    notes += ["changed while it ran"] if code.get("mutated") else []
    yield f"code     {show_path(', '.join([commit, *notes]))}"
    python, system, params = where.get("python") or {}, where.get("os") or {}, record.section("params")
    machine = [_joined("Python", python.get("version")), str(system.get("name") or "")]
    yield f"ran on   {show_path(', '.join(filter(None, machine)))}"
    if params.get("seed") is not None:
        yield f"seed     {params['seed']}"
    yield from _values("param", params.get("values"))
    for row in params.get("files") or ():
        key = f":{row['key']}" if row.get("key") else ""
        yield f"params   {show_path(str(row.get('path')) + key)}  {_short(row.get('values'))}"
    yield from _values("metric", record.section("metrics"))
    for way, rows in (("read", record.inputs), ("made", record.outputs)):
        for row in rows:
            yield f"{way}     {_data(row)}"
    blind = record.section("observed").get("blind")
    if isinstance(blind, list) and blind:
        yield f"unseen   what {show_path(', '.join(map(str, blind)))} opened"
    yield f"kept     {show_path(', '.join(sorted(record.objects)))}"


def _place(inside: Mapping[str, Any]) -> str:
    """Which part of a process ran."""
    file, line = inside.get("file"), inside.get("line")
    where = inside.get("notebook") or (f"{file}:{line}" if file else "")
    cell = f"cell {inside['cell']}" if inside.get("cell") else ""
    kind = "a cell" if inside.get("kind") == "cell" else f"a {inside.get('kind')}"
    return ", ".join(str(word) for word in (inside.get("name") or kind, where, cell) if word)


def _values(word: str, values: object) -> Iterator[str]:
    for name, value in values.items() if isinstance(values, dict) else ():
        yield f"{word:<9}{show_path(name)}  {_short(value)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return show_path(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}...")


def _joined(word: str, value: object) -> str:
    return f"{word} {value}" if value else ""


def _data(row: Data) -> str:
    digest = row.digest.short if row.digest is not None else "gone"
    maker = f", by record {row.record.short}" if row.record is not None else ""
    seen = "" if row.declared else ", not declared"
    return f"{show_path(row.path)}  {digest}, {files_and_bytes(row.files, row.size)}{maker}{seen}"
