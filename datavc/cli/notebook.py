"""``%load_ext datavc``: the cell magic ``%%datavc_run``, with the options of ``datavc run``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from datavc.cli.recordview import outcome
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.lineage.notebook import current_line

_NOTHING = object()


def load(shell: Any) -> None:
    """Give the IPython ``shell`` the magic."""

    def datavc_run(line: str, cell: str) -> None:
        """Run the cell, and keep a record of it. Takes the options of datavc run."""
        _run_cell(shell, line, cell)

    datavc_run.__doc__ = _parser().format_help()
    shell.register_magic_function(datavc_run, "cell", "datavc_run")


def _run_cell(shell: Any, line: str, cell: str) -> None:
    from datavc.operations.block import Block
    from datavc.operations.steps.runs.facts import Order
    from datavc.repo import Repo

    options = _parser().parse_args(shlex.split(line))
    session = current()
    repo = Repo.find(session.folder)
    order = Order(
        argv=(current_line(shell),),
        folder=repo.here,
        name=options.name,
        inputs=tuple(session.absolutes(options.inputs)),
        outputs=tuple(session.absolutes(options.outputs)),
        keep=tuple(session.absolutes(options.keep)),
        metrics=tuple(session.absolutes(options.metrics)),
        params=tuple(options.params),
        seed=options.seed,
        image=options.image,
        trace=options.trace,
    )
    block = Block(repo, order, {"kind": "cell"})
    block.begin()
    try:
        with _errors_shown_once(shell), _named(shell.user_ns, "run", block):
            shell.run_cell(cell).raise_error()
    except BaseException as error:
        block.end(error)
        raise
    result = block.end(None)
    assert result is not None
    print("\n".join(outcome(repo, result)))


@contextmanager
def _errors_shown_once(shell: Any) -> Iterator[None]:
    """What the cell raises is raised again, and shown by the cell around it."""
    shell._showtraceback = lambda *_: None
    try:
        yield
    finally:
        del shell._showtraceback


@contextmanager
def _named(names: dict[str, Any], name: str, value: object) -> Iterator[None]:
    """The cell sees its run by that name, and what had the name has it again afterwards."""
    before = names.get(name, _NOTHING)
    names[name] = value
    try:
        yield
    finally:
        if names.get(name) is value:
            del names[name]
            if before is not _NOTHING:
                names[name] = before


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%%datavc_run: {message}", self.format_usage().strip())


def _parser() -> _Parser:
    parser = _Parser("%%datavc_run", description="Run the cell, and keep a record of it.", add_help=False)
    parser.add_argument("-n", "--name", help="what to call the run")
    for short, long, metavar, text in (
        ("-i", "--input", "PATH", "what it reads"),
        ("-o", "--output", "PATH", "what it makes: becomes a dataset"),
        ("-k", "--keep", "PATH", "an output that stays while it runs"),
        ("-m", "--metrics", "FILE", "an output that stays in git"),
        ("-p", "--params", "FILE[:KEY]", "values to record"),
    ):
        name = long.removeprefix("--")
        target = name if name.endswith(("s", "keep")) else name + "s"
        parser.add_argument(short, long, dest=target, metavar=metavar, action="append", default=[], help=text)
    parser.add_argument("--seed", type=int, metavar="N", help="seed random, numpy and torch")
    parser.add_argument("--image", metavar="DIGEST", help="the container image")
    parser.add_argument(
        "--trace", choices=("auto", "off"), default="auto", help="whether to watch what it opens"
    )
    return parser
