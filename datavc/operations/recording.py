"""The recording of one run, whatever it is that runs: a command, or a part of this process.

Order: what killed runs left is put back; inputs, code and parameters are looked at; previous outputs are put aside; it
runs; then what it made is hashed, the record and its root are written, and last the outputs become datasets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from datavc.errors import ConflictError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show, show_some
from datavc.formats.pointer import MAX_COMMAND_LENGTH
from datavc.formats.record import Data
from datavc.lineage.redaction import Redactor
from datavc.operations.steps.runs.facts import Facts, Order
from datavc.operations.steps.runs.outputs import Aside, recover
from datavc.operations.steps.runs.recordmaking import look_before, make_record
from datavc.operations.steps.runs.rundata import Seen, look
from datavc.progress import Progress
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.workspace.safepath import refused_name


@dataclass(slots=True)
class RunResult:
    """What came of a run: the digest of its ``record``, the command's exit ``code``, and what ``git add`` should get.

    ``undeclared_inputs`` and ``undeclared_outputs`` were seen, and not named.
    """

    record: Digest
    status: str
    code: int
    outputs: list[Data] = field(default_factory=list)
    inputs: list[Data] = field(default_factory=list)
    reads: str = "none"
    blind: list[str] = field(default_factory=list)
    mutated: bool = False
    git_add: list[str] = field(default_factory=list)

    @property
    def undeclared_inputs(self) -> list[bytes]:
        """Data that was read, and not named as an input."""
        return [row.path for row in self.inputs if not row.declared]

    @property
    def undeclared_outputs(self) -> list[bytes]:
        """What was written, and not named as an output."""
        return [row.path for row in self.outputs if not row.declared]


class Recording:
    """One run from before its beginning to its record. Made, everything that the run may change was looked at.

    Then come :meth:`begin`, the run itself, and one of :meth:`finish` and :meth:`abandon`.

    Raises:
        UsageError: an output cannot become a dataset. NotFoundError: there is no such input or parameter.
        ConflictError: a killed run left something that must be judged.
    """

    def __init__(
        self, repo: Repo, order: Order, environment: Mapping[str, str], *, jobs: int, progress: Progress
    ) -> None:
        self._repo = repo
        self._order = order
        self._jobs = jobs
        self._progress = progress
        recover(repo, progress)
        self._outputs = [_output_path(repo, path) for path in order.made]
        _refuse_overlaps(self._outputs)
        self._redactor = Redactor(order.argv, environment)
        self._before = look_before(repo, order, self._redactor, self._outputs, jobs=jobs, progress=progress)
        self._aside = _aside(repo, order, jobs=jobs, progress=progress)

    def begin(self) -> None:
        """Put previous outputs aside. Raises StorageError: they are where they were."""
        try:
            self._aside.put_away()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Put everything back: what was to run did not even start."""
        self._aside.put_back()

    def finish(self, facts: Facts) -> RunResult:
        """Record it, and keep what it made.

        Raises:
            NotFoundError: it ended well, and did not make an output; it is recorded as failed.
            ConflictError: an output changed while it was recorded.
            StorageError, OutOfSpace: the cache could not be written; what it made is in its place.
        """
        try:
            return self._finish(facts)
        finally:
            self._aside.drop()

    def _finish(self, facts: Facts) -> RunResult:
        repo, ended = self._repo, facts.ended
        missing = [path for path in self._outputs if not os.path.lexists(repo.absolute(path))]
        if ended.status == "ok" and missing:
            facts.problem = f"{facts.what} ended well and did not make {show_some(missing)}"
        if facts.status != "ok":
            # What a failed run left in the place of an earlier output is in the record, and can be got back.
            self._save_failed()
        made = make_record(
            repo,
            facts,
            self._before,
            self._redactor,
            self._outputs,
            jobs=self._jobs,
            progress=self._progress,
        )
        result = RunResult(
            made.digest,
            facts.status,
            ended.exit_code,
            made.outputs,
            made.inputs,
            facts.observed.reads,
            facts.observed.blind,
            made.mutated,
        )
        if facts.status != "ok":
            self._aside.put_back()
            if ended.status == "ok":
                raise NotFoundError(facts.problem or "", f"datavc show {made.digest}")
        elif self._outputs:
            result.git_add = self._keep(made.digest, made.outputs)
        return result

    def _keep(self, record: Digest, rows: list[Data]) -> list[str]:
        from datavc.operations.add import add

        repo, order = self._repo, self._order
        command = " ".join(self._redactor.words(order.argv))[:MAX_COMMAND_LENGTH]
        made_by = {
            "record": str(record),
            **({"stage": order.name} if order.name else {}),
            "command": _printable(command),
        }
        paths = [repo.root_bytes + b"/" + path for path in self._outputs]
        added = add(repo, paths, force=True, made_by=made_by, jobs=self._jobs, progress=self._progress)
        expected = {row.path: str(row.digest) for row in rows}
        for row in added.datasets:
            if row.digest != expected.get(row.path):
                raise ConflictError(
                    f"{show(row.path)} changed after the run ended, so its record says something else",
                    "wait until nothing writes it any more, and run it again",
                )
        return added.git_add

    def _save_failed(self) -> None:
        for path in self._outputs:
            if self._aside.has(path) and os.path.lexists(self._repo.absolute(path)):
                seen = look(
                    self._repo,
                    path,
                    self._repo.read_pointer(path),
                    jobs=self._jobs,
                    progress=self._progress,
                )
                if seen is not None:
                    _save(self._repo, seen, jobs=self._jobs, progress=self._progress)


def _output_path(repo: Repo, path: bytes) -> bytes:
    """The output relative to the root, if it may become a dataset. Raises UsageError, ConflictError."""
    relative = repo.relative(path)
    if not relative:
        raise UsageError("the whole repository cannot be an output", "name a file or folder in it: -o PATH")
    for part in relative.split(b"/"):
        reason = refused_name(part)
        if reason is not None:
            raise UsageError(f"{show(relative)} cannot be an output: {show(part)} {reason}")
    if relative.endswith(POINTER_SUFFIX):
        raise UsageError(f"{show(relative)} has the name of a pointer", "choose another name for the output")
    for dataset in repo.datasets():
        if dataset.path != relative and (
            is_inside(relative, dataset.path) or is_inside(dataset.path, relative)
        ):
            raise ConflictError(
                f"{show(relative)} and the dataset {show(dataset.path)} overlap, and one file cannot be in two datasets",
                f"-o {repo.typed(dataset.path)}",
            )
    return relative


def _refuse_overlaps(outputs: list[bytes]) -> None:
    for first in outputs:
        if outputs.count(first) > 1:
            raise UsageError(f"{show(first)} is named as an output more than once", "name each output once")
        for second in outputs:
            if first != second and is_inside(second, first):
                raise UsageError(
                    f"{show(second)} lies in {show(first)}, and one file cannot be in two datasets"
                )


def _aside(repo: Repo, order: Order, *, jobs: int, progress: Progress) -> Aside:
    """What is to be put aside; what of it is nowhere else is saved first, because a new output will replace it."""
    paths = [repo.relative(path) for path in order.outputs]
    there = [path for path in paths if os.path.lexists(repo.absolute(path))]
    for path in there:
        seen = look(repo, path, repo.read_pointer(path), jobs=jobs, progress=progress)
        if seen is not None and (seen.row.digest is None or repo.cache.root(seen.row.digest) is None):
            _save(repo, seen, jobs=jobs, progress=progress)
    return Aside(repo, repo.private / "runs" / os.urandom(8).hex(), there)


def _save(repo: Repo, seen: Seen, *, jobs: int, progress: Progress) -> None:
    # Imported here: what writes datasets takes 50 ms to import, and most runs have nothing to save.
    from datavc.operations.steps.delivering.switching import save

    save(repo, seen.view, jobs=jobs, progress=progress)


def _printable(text: str) -> str:
    """As TOML may have it."""
    return text.encode("utf-8", "replace").decode()


def now() -> str:
    """The time, as a record has it."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06}Z"
