"""``run``: execute a command, see what it reads and writes, and keep a record of it, however it ends.

Order: what killed runs left is put back; inputs, code and parameters are looked at; previous outputs are put aside; the
command runs; then what it made is hashed, the record and its root are written, and last the outputs become datasets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from datavc.errors import ConflictError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show, show_some
from datavc.formats.pointer import MAX_COMMAND_LENGTH
from datavc.formats.record import Data
from datavc.lineage.child import Output, run_child
from datavc.lineage.observed import Observed, hook_environment, read_log
from datavc.lineage.redaction import Redactor
from datavc.lineage.tracing import read_trace, traced
from datavc.operations.add import add
from datavc.operations.steps.delivering.switching import save
from datavc.operations.steps.runs.outputs import Aside, recover
from datavc.operations.steps.runs.recordmaking import Before, Facts, Order, look_before, make_record
from datavc.operations.steps.runs.rundata import look
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.workspace.safepath import refused_name

Show = Callable[[bytes], None]


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


def run(
    repo: Repo,
    order: Order,
    *,
    environment: Mapping[str, str] | None = None,
    show_out: Show = lambda piece: None,
    show_err: Show = lambda piece: None,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> RunResult:
    """Run a command and record it. Its output goes to ``show_out`` and ``show_err`` as it comes.

    A command that fails or is killed is recorded as well, and previous outputs are put back then.

    Raises:
        UsageError: an output cannot become a dataset. NotFoundError: there is no such program, input or parameter.
        ConflictError: outputs changed while they were recorded; a killed run left something that must be judged.
        StorageError, OutOfSpace: the cache could not be written; what the command made is in its place.
    """
    if not order.argv:
        raise UsageError("no command was given", "datavc run [OPTION]... COMMAND...")
    outside = dict(os.environ if environment is None else environment)
    recover(repo, progress)
    outputs = [_output_path(repo, path) for path in order.made]
    _refuse_overlaps(outputs)
    redactor = Redactor(order.argv, outside)
    before = look_before(repo, order, redactor, outputs, jobs=jobs, progress=progress)
    aside = _aside(repo, order, jobs=jobs, progress=progress)
    run_ = _Run(repo, order, redactor, before, aside, jobs=jobs, progress=progress)
    try:
        aside.put_away()
        facts = run_.execute(outside, show_out, show_err)
    except BaseException:
        aside.put_back()
        raise
    try:
        return run_.finish(facts, outputs)
    finally:
        aside.drop()


class _Run:
    def __init__(
        self,
        repo: Repo,
        order: Order,
        redactor: Redactor,
        before: Before,
        aside: Aside,
        *,
        jobs: int,
        progress: Progress,
    ) -> None:
        self._repo = repo
        self._order = order
        self._redactor = redactor
        self._before = before
        self._aside = aside
        self._jobs = jobs
        self._progress = progress

    def execute(self, outside: dict[str, str], show_out: Show, show_err: Show) -> Facts:
        """The command itself."""
        order = self._order
        out, err = Output(show_out), Output(show_err)
        argv = ["/bin/sh", "-c", " ".join(order.argv)] if order.shell else list(order.argv)
        self._progress.end()
        with self._repo.cache.scratch() as scratch:
            log = scratch / "observed"
            log.mkdir()
            start = _now()
            trace = scratch / "trace"
            words = traced(argv, trace) if order.trace == "full" else argv
            given = outside if order.trace == "off" else hook_environment(outside, log, order.seed)
            ended = run_child(words, order.folder, given, out, err)
            observed = Observed() if order.trace == "off" else read_log(log)
            if order.trace == "full":
                observed = read_trace(trace, order.folder, observed)
        return Facts(order, start, _now(), ended, observed, out.kept(), err.kept(), argv)

    def finish(self, facts: Facts, outputs: list[bytes]) -> RunResult:
        """Record it, and keep what it made."""
        repo, ended = self._repo, facts.ended
        missing = [path for path in outputs if not os.path.lexists(repo.absolute(path))]
        if ended.status == "ok" and missing:
            facts.problem = f"the command ended well and did not make {show_some(missing)}"
        if ended.status != "ok" or missing:
            # What a failed command left in the place of an earlier output is in the record, and can be got back.
            self._save_failed(outputs)
        made = make_record(
            repo, facts, self._before, self._redactor, outputs, jobs=self._jobs, progress=self._progress
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
            if facts.problem:
                raise NotFoundError(facts.problem, f"datavc show {made.digest}")
            return result
        if outputs:
            result.git_add = self._keep(made.digest, made.outputs, outputs)
        return result

    def _keep(self, record: Digest, rows: list[Data], outputs: list[bytes]) -> list[str]:
        repo, order = self._repo, self._order
        command = " ".join(self._redactor.words(order.argv))[:MAX_COMMAND_LENGTH]
        made_by = {
            "record": str(record),
            **({"stage": order.name} if order.name else {}),
            "command": _printable(command),
        }
        paths = [repo.root_bytes + b"/" + path for path in outputs]
        added = add(repo, paths, force=True, made_by=made_by, jobs=self._jobs, progress=self._progress)
        expected = {row.path: str(row.digest) for row in rows}
        for row in added.datasets:
            if row.digest != expected.get(row.path):
                raise ConflictError(
                    f"{show(row.path)} changed after the command ended, so its record says something else",
                    "wait until nothing writes it any more, and run the command again",
                )
        return added.git_add

    def _save_failed(self, outputs: list[bytes]) -> None:
        for path in outputs:
            if self._aside.has(path) and os.path.lexists(self._repo.absolute(path)):
                seen = look(
                    self._repo,
                    path,
                    self._repo.read_pointer(path),
                    jobs=self._jobs,
                    progress=self._progress,
                )
                if seen is not None:
                    save(self._repo, seen.view, jobs=self._jobs, progress=self._progress)


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
            save(repo, seen.view, jobs=jobs, progress=progress)
    return Aside(repo, repo.private / "runs" / os.urandom(8).hex(), there)


def _printable(text: str) -> str:
    """As TOML may have it."""
    return text.encode("utf-8", "replace").decode()


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06}Z"
