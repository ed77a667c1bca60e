"""A part of this process as a run: a ``with`` block, a call of a function, a cell of a notebook. Recorded as a command is."""

from __future__ import annotations

import os
import signal
import traceback
from contextlib import ExitStack
from typing import Any

from datavc.errors import DatavcError
from datavc.lineage.inprocess import Terminated, Watch
from datavc.lineage.loaded import stale_modules
from datavc.lineage.notebook import current_number, current_shell, notebook_path, script_of_cells
from datavc.operations.recording import Recording, RunResult, now
from datavc.operations.steps.runs.facts import Facts, Inside, Order
from datavc.operations.steps.runs.rundata import shown_path
from datavc.progress import SILENT, Progress
from datavc.repo import Repo

_LONGEST_PROBLEM = 500


class Block:
    """One such run: :meth:`begin`, the code itself, :meth:`end`.

    ``place`` says which code it is (:class:`datavc.operations.steps.runs.facts.Inside`). ``params`` and ``metrics`` are what
    the code wants to have in the record; they are read at the end.
    """

    def __init__(
        self,
        repo: Repo,
        order: Order,
        place: dict[str, Any],
        *,
        jobs: int = 1,
        progress: Progress = SILENT,
    ) -> None:
        self._repo = repo
        self._order = order
        self._place = place
        self._jobs = jobs
        self._progress = progress
        self._owner = os.getpid()
        self._resources = ExitStack()
        self._has_ended = False
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}

    def begin(self) -> None:
        """Look at everything, put previous outputs aside, and begin to watch.

        Raises:
            UsageError: an output cannot become a dataset, or a run is being recorded in another thread.
            NotFoundError: there is no such input or parameter. ConflictError: a killed run left something to judge.
            StorageError: the cache could not be written.
        """
        repo, order = self._repo, self._order
        self._recording = Recording(repo, order, os.environ, jobs=self._jobs, progress=self._progress)
        self._shell = current_shell()
        self._stale = stale_modules(repo.root_bytes)
        with ExitStack() as resources:
            scratch = resources.enter_context(repo.cache.scratch())
            self._watch = Watch(scratch, is_on=order.trace != "off", seed=order.seed)
            self._recording.begin()
            resources.callback(self._give_up)
            self._start = now()
            self._watch.begin()
            self._resources = resources.pop_all()

    def _give_up(self) -> None:
        if not self._has_ended:
            self._recording.abandon()

    def end(self, error: BaseException | None) -> RunResult | None:
        """Record what was done until now; ``error`` is what ended it, and is the caller's to raise again.

        Where there is one, what hinders the recording is noted with it, and nothing else is raised. None is returned then,
        and in a process that was forked off: the run is its parent's.

        Raises:
            NotFoundError, ConflictError, StorageError, OutOfSpace: as of ``Recording.finish``.
        """
        if os.getpid() != self._owner:
            return None
        try:
            with self._resources:
                ended, observed = self._watch.end(error)
                self._has_ended = True
                facts = Facts(
                    self._order,
                    self._start,
                    now(),
                    ended,
                    observed,
                    self._watch.out.kept(),
                    self._watch.err.kept() + _told(error),
                    _problem(error),
                    self._inside(),
                )
            return self._recording.finish(facts)
        except DatavcError as problem:
            if error is None:
                raise
            error.add_note(f"datavc: this run was not recorded: {problem.message}")
            return None
        finally:
            if isinstance(error, Terminated):
                os.kill(self._owner, signal.SIGTERM)

    def _inside(self) -> Inside:
        place = dict(self._place)
        folder = os.fsencode(os.getcwd())
        if folder != self._order.folder:
            place["folder"] = os.fsdecode(shown_path(self._repo, folder))
        if self._shell is None:
            return Inside(place, self.params, self.metrics, None, self._stale)
        path = notebook_path(self._shell)
        if path is not None:
            place["notebook"] = os.fsdecode(shown_path(self._repo, os.path.realpath(os.fsencode(path))))
        place["cell"] = current_number(self._shell)
        return Inside(place, self.params, self.metrics, script_of_cells(self._shell), self._stale)


def _problem(error: BaseException | None) -> str | None:
    if error is None or isinstance(error, SystemExit | Terminated | KeyboardInterrupt):
        return None
    return "".join(traceback.format_exception_only(error)).strip()[:_LONGEST_PROBLEM]


def _told(error: BaseException | None) -> bytes:
    """What Python will print of it, if nobody catches it."""
    if error is None or isinstance(error, SystemExit | Terminated):
        return b""
    return "".join(traceback.format_exception(error)).encode("utf-8", "replace")
