"""``compare``: two runs, two revisions, or one of each side by side, and of each part only what differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from datavc.errors import NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.record import Data, Record
from datavc.git.history import files_at
from datavc.operations.steps.naming.revisions import Revision, at_path
from datavc.operations.steps.runs.recorddiff import (
    SECTIONS,
    Difference,
    code_differences,
    code_of_record,
    data_differences,
    record_differences,
    run_differences,
)
from datavc.operations.steps.runs.recordstore import find_record, has_record, read_record
from datavc.repo import Dataset, Repo

__all__ = ["SECTIONS", "Difference", "Side", "compare", "side_of"]


@dataclass(frozen=True)
class Side:
    """One of two things that are compared: the ``record`` of a run, or else the ``datasets`` of a revision or the workspace.

    ``commit`` is where the code of the latter is.
    """

    repo: Repo
    record: Digest | None = None
    datasets: list[Dataset] = field(default_factory=list)
    commit: str | None = None

    @cached_property
    def values(self) -> Record | None:
        """What the record says."""
        return read_record(self.repo, self.record) if self.record is not None else None

    @cached_property
    def data(self) -> dict[bytes, Data]:
        """What it has, by path."""
        if self.values is not None:
            return {row.path: row for row in (*self.values.inputs, *self.values.outputs)}
        found = {}
        for dataset in self.datasets:
            pointer = dataset.pointer
            found[dataset.path] = Data(
                dataset.path, pointer.kind, pointer.digest, pointer.size, pointer.files, declared=True
            )
        return found

    def code(self) -> dict[bytes, str] | None:
        """Its files, each with its short digest; None where no code belongs to it."""
        if self.values is not None:
            return code_of_record(self.repo, self.values)
        if self.commit is None or self.repo.git is None:
            return None
        found = files_at(self.repo.git, self.commit)
        return {path: Digest.of(self.repo.algorithm, content).short for path, content in found}

    def maker(self, path: bytes) -> Record | None:
        """What made the dataset at ``path``, where that record is here."""
        if self.values is not None:
            return self.values if any(row.path == path for row in self.values.outputs) else None
        dataset = next((found for found in self.datasets if found.path == path), None)
        record = _record_of(self.repo, dataset) if dataset is not None else None
        return read_record(self.repo, record) if record is not None else None


def side_of(repo: Repo, word: str, revision: Revision | None, path: bytes) -> Side:
    """What ``word`` names: a record, or else what lies at the absolute ``path``, now or in the ``revision``.

    A dataset stands for the run that made it, where its pointer names one that is here.

    Raises:
        NotFoundError: there is no such dataset.
    """
    record = find_record(repo, word)
    if record is not None:
        return Side(repo, record)
    datasets = revision.meant if revision is not None else repo.datasets()
    commit = revision.commit if revision is not None else None
    relative = repo.relative(path)
    if not relative:
        return Side(repo, None, datasets, commit)
    dataset = at_path(Revision("", None, datasets), relative.removesuffix(b".datavc"))
    if dataset is None:
        raise NotFoundError(
            f"{word} is no record, no revision and no dataset", "datavc runs, or datavc status"
        )
    return Side(repo, _record_of(repo, dataset), [dataset])


def compare(repo: Repo, old: Side, new: Side) -> list[Difference]:
    """What differs, by section. Of revisions: their datasets, their code, and what the runs that made these differ in."""
    if old.values is not None and new.values is not None:
        return record_differences(repo, old.values, new.values)
    paths = _compared(old, new)
    found = list(
        data_differences(
            repo,
            "data",
            [row for path, row in old.data.items() if path in paths],
            [row for path, row in new.data.items() if path in paths],
        )
    )
    before, after = old.code(), new.code()
    if before is not None and after is not None:
        left_out = paths.union(*(_unclean(side) | _made(side) for side in (old, new)))
        found += code_differences(before, after, left_out)
    return [*_of_runs(repo, old, new, paths), *found]


def _compared(old: Side, new: Side) -> set[bytes]:
    """Of a record, what it read and made that the other side could have; of revisions everything."""
    if old.values is not None or new.values is not None:
        named = old.data if old.values is not None else new.data
        other = new.data if old.values is not None else old.data
        return {path for path, row in named.items() if path in other or (row.declared and not row.metrics)}
    return {*old.data, *new.data}


def _unclean(side: Side) -> set[bytes]:
    """What cannot be compared with git's files, because secrets were taken out of it."""
    names = side.values.section("code").get("redacted", ()) if side.values is not None else ()
    return {str(name).encode() for name in names}


def _made(side: Side) -> set[bytes]:
    """What its runs made: metrics are in git, and no code."""
    makers = [side.values] if side.values is not None else map(side.maker, side.data)
    return {row.path for record in makers if record is not None for row in record.outputs}


def _of_runs(repo: Repo, old: Side, new: Side, paths: Iterable[bytes]) -> Iterator[Difference]:
    """What the runs differ in that made the same datasets; each said once, though several share an environment."""
    said: set[Difference] = set()
    pairs = [(path, old.maker(path), new.maker(path)) for path in sorted(paths)]
    found = [
        (path, was, is_) for path, was, is_ in pairs if was is not None and is_ is not None and was != is_
    ]
    for path, was, is_ in found:
        for row in run_differences(repo, was, is_):
            is_shared = row.section == "environment" or len(found) == 1
            named = row if is_shared else replace(row, name=f"{show(path)}: {row.name}")
            if named not in said:
                said.add(named)
                yield named


def _record_of(repo: Repo, dataset: Dataset) -> Digest | None:
    run = dataset.pointer.run
    record = Digest.parse(str(run["record"])) if run is not None else None
    return record if record is not None and has_record(repo, record) else None
