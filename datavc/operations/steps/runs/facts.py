"""What is known of one run before its record is made: what was ordered, what was so before, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datavc.formats.record import Data
from datavc.lineage.child import Ended
from datavc.lineage.code import Code
from datavc.lineage.observed import Observed
from datavc.operations.steps.runs.rundata import Seen

TRACES = ("auto", "python", "full", "off")
"""How a command may be watched."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run, and what its user says of it. Paths are absolute; ``folder`` is where it runs.

    Where a part of a process is recorded, ``argv`` is what started that process, or the notebook's line that said so.

    ``keep`` are outputs that stay in place while it runs, ``metrics`` outputs that stay in git. ``params`` are files, or
    ``FILE:KEY``. ``trace`` is ``auto``, ``python`` (without the preload library), ``full`` (through strace) or ``off``.
    ``image`` is the digest of the container image, where the user knows it.
    """

    argv: tuple[str, ...]
    folder: bytes
    name: str | None = None
    inputs: tuple[bytes, ...] = ()
    outputs: tuple[bytes, ...] = ()
    keep: tuple[bytes, ...] = ()
    metrics: tuple[bytes, ...] = ()
    params: tuple[str, ...] = ()
    seed: int | None = None
    image: str | None = None
    shell: bool = False
    trace: str = "auto"

    @property
    def made(self) -> tuple[bytes, ...]:
        """What becomes datasets."""
        return (*self.outputs, *self.keep)


@dataclass(slots=True)
class Before:
    """What was so before the command: datasets by path, declared inputs, the code, git's state, parameters."""

    datasets: dict[bytes, Seen]
    inputs: list[Data]
    code: Code
    git: dict[str, object]
    params: list[dict[str, Any]]


@dataclass(slots=True)
class Inside:
    """What a run that is a part of a process tells besides.

    ``place`` says which part: ``kind`` (``block``, ``function`` or ``cell``), and what is known of name, file, line, notebook
    and process. ``params`` and ``metrics`` are values given from Python, ``cells`` the notebook's cells that had been run by
    then, as one script. ``stale`` are files of modules that were loaded from another content than they had at the start.
    """

    place: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    cells: str | None = None
    stale: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Facts:
    """What is known of the run itself; ``problem`` is why it failed, where more than an exit code is known."""

    order: Order
    start: str
    end: str
    ended: Ended
    observed: Observed
    out: bytes
    err: bytes
    problem: str | None = None
    inside: Inside | None = None

    @property
    def what(self) -> str:
        """What ran, for messages."""
        return f"the {self.inside.place['kind']}" if self.inside is not None else "the command"

    @property
    def status(self) -> str:
        """The record's word."""
        return "failed" if self.problem and self.ended.status == "ok" else self.ended.status
