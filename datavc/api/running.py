"""Recording a part of a program: ``with datavc.run(...)``, and as a decorator. The record is that of ``datavc run``."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from datavc.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from datavc.api import Repo
    from datavc.operations.block import Block
    from datavc.operations.recording import RunResult

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


class Run:
    """One run that is to be recorded, or the runs of a function: what :meth:`Repo.run` returns.

    ``params`` and ``metrics`` take what is to be in the record by name: numbers, texts, lists, tables. After the block,
    ``result`` is the record's digest and more; it is None before, and where an exception ended the block and it could not be
    recorded.
    """

    def __init__(self, repo: Repo | None, name: str | None, options: dict[str, Any]) -> None:
        self._repo = repo
        self._name = name
        self._options = options
        self._place: dict[str, Any] | None = None
        self._block: Block | None = None
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.result: RunResult | None = None

    def __enter__(self) -> Run:
        if self._block is not None:
            raise ConflictError("this run is being recorded already", "begin another: with datavc.run(...)")
        self._block = self._made(sys._getframe(1))
        self.params, self.metrics, self.result = self._block.params, self._block.metrics, None
        try:
            self._block.begin()
        except BaseException:
            self._block = None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._block is not None
        block, self._block = self._block, None
        self.result = block.end(error)

    def __call__(self, function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
        """Record each call of ``function``, with its arguments as parameters.

        Raises:
            UsageError: it is a generator or a coroutine, which goes on after the call returned.
        """
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise UsageError(
                f"{function.__qualname__} goes on after its call returned",
                "record what is done in it: with datavc.run(...)",
            )
        signature = inspect.signature(function)
        place = {
            "kind": "function",
            "name": f"{function.__module__}.{function.__qualname__}",
            "file": function.__code__.co_filename,
            "line": function.__code__.co_firstlineno,
        }

        @wraps(function)
        def recorded(*arguments: _Given.args, **named: _Given.kwargs) -> _Returned:
            given = signature.bind(*arguments, **named)
            given.apply_defaults()
            run = Run(self._repo, self._name or function.__name__, self._options)
            run._place = place
            with run:
                run.params.update(given.arguments)
                return function(*arguments, **named)

        return recorded

    def _made(self, frame: FrameType) -> Block:
        from datavc.api import here
        from datavc.lineage.notebook import current_line, current_shell, is_cell
        from datavc.operations.block import Block
        from datavc.operations.steps.runs.facts import Order
        from datavc.operations.steps.runs.rundata import shown_path

        api = self._repo or here()
        repo = api._open()
        shell = current_shell()
        in_cell = is_cell(shell, frame.f_globals)
        place = dict(self._place or {"kind": "block"})
        if self._place is None and not in_cell:
            place |= {"file": frame.f_code.co_filename, "line": frame.f_lineno}
        if "file" in place:
            place["file"] = os.fsdecode(shown_path(repo, os.path.realpath(os.fsencode(place["file"]))))
        options = self._options
        order = Order(
            argv=(current_line(shell, frame if in_cell else None),)
            if shell is not None
            else tuple(sys.orig_argv),
            folder=repo.here,
            name=self._name,
            inputs=tuple(api._absolutes(_several(options["inputs"]))),
            outputs=tuple(api._absolutes(_several(options["outputs"]))),
            keep=tuple(api._absolutes(_several(options["keep"]))),
            metrics=tuple(api._absolutes(_several(options["metrics"]))),
            params=tuple(map(str, _several(options["params"]))),
            seed=options["seed"],
            image=options["image"],
            trace="auto" if options["trace"] else "off",
        )
        return Block(repo, order, place, jobs=options["jobs"])


def _several(paths: Any) -> tuple[Any, ...]:
    """One path, or several."""
    return (paths,) if isinstance(paths, str | bytes | os.PathLike) else tuple(paths)
