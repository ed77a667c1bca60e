"""A record as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from datavc.cli.render import show_path
from datavc.formats.amounts import files_and_bytes, human_size

if TYPE_CHECKING:
    from datavc.formats.digest import Digest
    from datavc.formats.record import Data, Record


def record_lines(digest: Digest, record: Record) -> Iterator[str]:
    """The facts of one run, a line for each."""
    time, code, where = record.section("time"), record.section("code"), record.section("environment")
    yield f"record   {digest}"
    yield f"command  {show_path(' '.join(record.argv))}"
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
    for way, rows in (("read", record.inputs), ("made", record.outputs)):
        for row in rows:
            yield f"{way}     {_data(row)}"
    blind = record.section("observed").get("blind")
    if isinstance(blind, list) and blind:
        yield f"unseen   what {show_path(', '.join(map(str, blind)))} opened"
    yield f"kept     {show_path(', '.join(sorted(record.objects)))}"


def _joined(word: str, value: object) -> str:
    return f"{word} {value}" if value else ""


def _data(row: Data) -> str:
    digest = row.digest.short if row.digest is not None else "gone"
    maker = f", by record {row.record.short}" if row.record is not None else ""
    seen = "" if row.declared else ", not declared"
    return f"{show_path(row.path)}  {digest}, {files_and_bytes(row.files, row.size)}{maker}{seen}"
