"""``run``: execute a command, see what it reads and writes, and keep a record of it, however it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from datavc.errors import UsageError
from datavc.lineage.child import Output, run_child
from datavc.lineage.observed import Observed, hook_environment, read_log, seed_environment
from datavc.lineage.preload import library_for
from datavc.operations.recording import Recording, RunResult, now
from datavc.operations.steps.runs.facts import Facts, Order
from datavc.progress import SILENT, Progress
from datavc.repo import Repo

Show = Callable[[bytes], None]


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
    recording = Recording(repo, order, outside, jobs=jobs, progress=progress)
    recording.begin()
    progress.end()
    try:
        facts = _execute(repo, order, outside, show_out, show_err)
    except BaseException:
        recording.abandon()
        raise
    return recording.finish(facts)


def _execute(repo: Repo, order: Order, outside: dict[str, str], show_out: Show, show_err: Show) -> Facts:
    """The command itself."""
    out, err = Output(show_out), Output(show_err)
    argv = ["/bin/sh", "-c", " ".join(order.argv)] if order.shell else list(order.argv)
    with repo.cache.scratch() as scratch:
        log = scratch / "observed"
        log.mkdir()
        began = log.stat()
        start = now()
        trace = scratch / "trace"
        words = argv
        if order.trace == "full":
            from datavc.lineage.tracing import traced

            words = traced(argv, trace)
        # Where strace sees all, the library would see it again.
        library = library_for(log) if order.trace == "auto" else None
        given = seed_environment(outside, order.seed)
        if order.trace != "off":
            given = hook_environment(outside, log, order.seed, library)
        ended = run_child(words, order.folder, given, out, err)
        observed = Observed() if order.trace == "off" else read_log(log, began)
        observed.command = argv[0]
        if order.trace == "full":
            from datavc.lineage.tracing import read_trace

            observed = read_trace(trace, order.folder, observed, began)
    if order.seed is not None:
        observed.seeded.add("PYTHONHASHSEED")
    return Facts(order, start, now(), ended, observed, out.kept(), err.kept())
