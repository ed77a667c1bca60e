"""``datavc show``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json, Offline
from datavc.cli.recordview import record_lines
from datavc.cli.render import plain, print_json, show_from_here, show_path, styled
from datavc.cli.revisions import past_path
from datavc.cli.session import current
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.formats.digest import Digest
    from datavc.formats.record import Record
    from datavc.operations.show import Shown
    from datavc.repo import Repo


_What = Annotated[
    str,
    typer.Argument(
        metavar="[REV:]PATH|RECORD",
        show_default=False,
        help="A dataset or a path in it, now or in a revision; or a record of a run",
    ),
]
_Part = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="NAME",
        show_default=False,
        help="Print an object of the record: stdout, stderr, files",
    ),
]


def show(path: _What, part: _Part = None, offline: Offline = False, json: Json = False) -> None:
    """Tell what is known of a dataset, of a path in it, or of a run

    Of a dataset: digest and size, the commit that made this version, its tags, whether the cache has it, and the record of
    the run that made it. Of a record: the whole of it with --json, what the command wrote with --part stdout.

    Examples:
      datavc show data/train
      datavc show v1.0:data/train/labels.csv
      datavc show HEAD~3:
      datavc show model --part stdout
      datavc show xxh128:99aa06d3

    Exit codes: 0 done, 1 there is no such thing, 2 usage, 10 no repository, 12 damaged.
    """
    from datavc.operations.runs import the_record, write_output
    from datavc.operations.show import show as tell
    from datavc.operations.steps.runs.recordstore import find_record
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    is_record = find_record(repo, path) is not None
    if is_record or part is not None:
        digest, record = the_record(repo, path, None if is_record else session.absolute(path))
        if part is not None:
            write_output(repo, record, part, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif json:
            print_json(_plain_record(digest, record))
        else:
            print("\n".join(record_lines(digest, record)))
        return
    revision, place = past_path(repo, path, "show")
    _print(repo, tell(repo, place, revision=revision, offline=offline, progress=session.progress), json=json)


def _print(repo: Repo, rows: list[Shown], *, json: bool) -> None:
    if json:
        print_json([_plain_row(repo, row) for row in rows])
        return
    for row in rows:
        print(styled(show_from_here(repo.root, row.path), "bold"))
        for label, value in _facts(repo, row):
            print(f"  {label:<10}{value}")
        record = _record_of(repo, row)
        for line in record_lines(*record) if record is not None else ():
            print(f"  {line}")


def _plain_row(repo: Repo, row: Shown) -> dict[str, object]:
    values = plain(row)
    assert isinstance(values, dict)
    record = _record_of(repo, row)
    return {**values, "record": _plain_record(*record) if record is not None else None}


def _plain_record(digest: Digest, record: Record) -> dict[str, object]:
    return {"record": str(digest), **record.values}


def _record_of(repo: Repo, row: Shown) -> tuple[Digest, Record] | None:
    """The record that the pointer names, where it is here."""
    from datavc.errors import NotFoundError
    from datavc.formats.digest import Digest
    from datavc.operations.steps.runs.recordstore import read_record

    if row.run is None:
        return None
    digest = Digest.parse(row.run["record"])
    try:
        return digest, read_record(repo, digest)
    except NotFoundError:
        return None


def _facts(repo: Repo, row: Shown) -> Iterator[tuple[str, str]]:
    yield "kind", row.kind
    yield "digest", str(row.digest)
    yield "size", f"{human_size(row.size)} ({row.size:,} bytes), {count(row.files, 'file')}"
    if row.path != row.dataset:
        yield "dataset", f"{show_from_here(repo.root, row.dataset)} {row.version}"
    if row.made is not None:
        made = row.made
        yield (
            "commit",
            f"{made.commit[:12]} {made.date[:10]} {show_path(made.author)}: {show_path(made.message)}",
        )
    if row.tags:
        yield "tags", ", ".join(map(show_path, row.tags))
    if row.run is not None and _record_of(repo, row) is None:
        stage = f"stage {row.run['stage']}: " if row.run.get("stage") else ""
        yield "made by", stage + show_path(row.run.get("command", ""))
        yield "record", f"{row.run['record']}, which is not here"
    if row.imported is not None:
        yield "from", " ".join(f"{key} {show_path(value)}" for key, value in row.imported.items())
    yield "cache", "complete" if row.in_cache else "not complete: datavc fetch"
