"""What is measured, in which order: turns of tools over the same data. Neither makes data nor prints results.

A *turn* is one tool in one new folder. Turns alternate (A B C, A B C, ...), so that a machine that gets slower or
faster meanwhile does so for all. The data exists once: it is renamed into the workspace of the turn and out again.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from data import difference, edit_one, empty_files, make_files
from measure import CommandFailed, Measurement, measure
from tools import Command, Tool

# A status takes well under a second with most tools, so it is asked for several times in each turn.
STATUSES = 3
STARTS_PER_RUN = 7
PYTHON = "python -c pass"
_PROBE_FILES = 200

Starter = tuple[type[Tool], list[str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured command. ``stored``: bytes by which the store grew. ``load``: the machine's load before it."""

    case: str
    data: str
    tool: str
    measurement: Measurement
    stored: int | None
    load: float


@dataclass
class Bench:
    """The tools under comparison and what was found so far; ``say`` tells a person how it goes."""

    base: Path
    tools: list[Starter]
    runs: Callable[[str], int]
    timeout: float
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    create_seconds: list[float] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    _small: dict[str, Tool] = field(default_factory=dict)
    _turns: int = 0
    _edits: int = 0

    def warm_up(self) -> None:
        """Play everything on a few files: compiles bytecode, fills the page cache, and drops tools that do not work."""
        working = []
        for starter in self.tools:
            turn = Turn(self, starter, "warm-up", None)
            with turn:
                make_files(turn.tool.work / turn.tool.data, 20, 2000, compressible=False)
                for command in turn.all_commands():
                    turn.run(command)
                self._small[turn.tool.name] = turn.tool
                self.versions[turn.tool.name] = _first_line(turn.tool)
                working.append(starter)
        self.tools = working

    def folder(self, tool: str) -> Path:
        self._turns += 1
        return self.base / "turns" / f"{self._turns:03d}-{tool}"

    def next_edit(self) -> int:
        self._edits += 1
        return self._edits

    def turns(self, label: str, data: Path, runs: int | None = None) -> Iterator[Turn]:
        """A B C, A B C, ...; a tool that has failed does not get another turn."""
        failed: set[str] = set()
        wanted = {tool.name: runs or self.runs(tool.name) for tool, _ in self.tools}
        for number in range(max(wanted.values(), default=0)):
            for starter in self.tools:
                name = starter[0].name
                if number < wanted[name] and name not in failed:
                    turn = Turn(self, starter, label, data)
                    self.say(f"{label}: {name}, run {number + 1} of {wanted[name]}")
                    yield turn
                    if turn.failed:
                        failed.add(name)

    def files(self, label: str, data: Path, cases: set[str], runs: int | None = None) -> None:
        """Add, status, edit, checkout of a folder; a case that is not asked for is left out where it can be."""
        for turn in self.turns(label, data, runs):
            with turn:
                turn.time("add", turn.tool.add(), wanted="add" in cases, stores=True)
                if "status" in cases:
                    for _ in range(1 if runs else STATUSES):
                        turn.time("status", turn.tool.status())
                if "edit" in cases:
                    edit_one(turn.tool.work / turn.tool.data, self.next_edit())
                    turn.time("edit", turn.tool.edit_add(), stores=True)
                if "checkout" in cases:
                    turn.check_out("checkout")

    def big(self, label: str, data: Path, cases: set[str]) -> None:
        """Add and check out one big file."""
        for turn in self.turns(label, data):
            with turn:
                turn.time("big-add", turn.tool.add(), wanted="big-add" in cases, stores=True)
                if "big-checkout" in cases:
                    turn.check_out("big-checkout")

    def csv(self, label: str, data: Path, twin: Path) -> None:
        """Add a table, then its twin with a few edited rows: what matters is how much is stored for them."""
        for turn in self.turns(label, data):
            with turn:
                turn.time("csv-add", turn.tool.add(), stores=True)
                turn.move_out()
                turn.move_in(twin)
                turn.time("csv-edit", turn.tool.edit_add(), stores=True)

    def start_up(self, python: str) -> None:
        """``--version``, and ``status`` in a repo of 20 files, beside Python doing nothing."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        for number in range(STARTS_PER_RUN * max(self.runs(name) for name in self._small)):
            for case in ("version", "small-status"):
                self._start(case, PYTHON, [python, "-c", "pass"], self.base, environment)
            for tool in self._small.values():
                if number < STARTS_PER_RUN * self.runs(tool.name):
                    self._start("version", tool.name, tool.version(), tool.work, tool.environment())
                    status = tool.status()
                    if status and tool.has_status:
                        self._start("small-status", tool.name, status.words, tool.work, tool.environment())

    def _start(
        self, case: str, name: str, words: Sequence[str | Path], cwd: Path, environment: dict[str, str]
    ) -> None:
        try:
            found = measure(words, cwd, environment, self.base / "log", self.timeout)
        except CommandFailed as error:
            self.notes.append(f"{name}: {error}")
            return
        self.samples.append(Sample(case, "start-up", name, found, None, os.getloadavg()[0]))


class Turn:
    """One tool in one new folder, as a context: data in, commands, data out, disk space given back.

    A command that fails ends the turn, not the benchmark: it becomes a note.
    """

    def __init__(self, bench: Bench, starter: Starter, label: str, data: Path | None) -> None:
        self.bench = bench
        self.label = label
        self.data = data
        self.failed = False
        tool, start = starter
        folder = bench.folder(tool.name)
        self.tool = tool(start, folder, data.name if data else "files")
        self._log = folder / "log"
        self._inside: Path | None = None
        self._stored = 0

    def __enter__(self) -> Turn:
        self.bench.create_seconds.append(_probe(self.tool.turn / "probe"))
        try:
            for command in self.tool.prepare():
                self.run(command)
        except CommandFailed as error:
            self._fail(error)
        else:
            if self.data:
                self.move_in(self.data)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.move_out()
        if isinstance(error, CommandFailed):
            self._fail(error)
        if self.data:
            empty_files(self.tool.turn)
        return isinstance(error, CommandFailed)

    def move_in(self, data: Path) -> None:
        os.rename(data, self.tool.work / self.tool.data)
        self._inside = data

    def move_out(self) -> None:
        """Give the data back to where it was; what a tool writes in its place later is the tool's."""
        if self._inside is not None:
            os.rename(self.tool.work / self.tool.data, self._inside)
            self._inside = None

    def run(self, command: Command) -> Measurement:
        if self.failed:
            raise CommandFailed("it could not be prepared")
        return measure(command.words, command.cwd, self.tool.environment(), self._log, self.bench.timeout)

    def time(self, case: str, command: Command | None, wanted: bool = True, stores: bool = False) -> None:
        """Run a command and keep what was measured; ``stores`` says that the growth of the store matters too."""
        if command is None:
            return
        load = os.getloadavg()[0]
        found = self.run(command)
        self.bench.say(f"    {case} {found.seconds:.2f} s")
        stored = None
        if stores:
            before, self._stored = self._stored, self.tool.stored_bytes()
            stored = self._stored - before
        if wanted:
            self.bench.samples.append(Sample(case, self.label, self.tool.name, found, stored, load))

    def check_out(self, case: str) -> None:
        """Take the data away, time its way back, and compare: a tool that is fast and wrong is a failure."""
        data = self._inside
        self.move_out()
        self.time(case, self.tool.checkout())
        found = difference(data, self.tool.checked_out) if data else None
        if found:
            raise CommandFailed(f"{case} is not what was added: {found}")

    def all_commands(self) -> Iterator[Command]:
        """Each command once, in an order that works, for a trial on data that belongs to this turn."""
        yield self.tool.add()
        status = self.tool.status()
        if status:
            yield status
        place = self.tool.work / self.tool.data
        edit_one(place, 0)
        yield self.tool.edit_add()
        os.rename(place, self.tool.turn / "moved away")
        yield self.tool.checkout()
        found = difference(self.tool.turn / "moved away", self.tool.checked_out)
        if found:
            raise CommandFailed(f"checkout is not what was added: {found}")

    def _fail(self, error: CommandFailed) -> None:
        if not self.failed:
            self.bench.notes.append(f"{self.tool.name}, {self.label}: {error}")
            self.bench.say(f"    FAILED: {error}")
        self.failed = True


def _first_line(tool: Tool) -> str:
    """What a tool answers when asked for its version."""
    done = subprocess.run(
        tool.version(), env=tool.environment(), cwd=tool.work, capture_output=True, text=True
    )
    return done.stdout.partition("\n")[0].strip()


def _probe(folder: Path) -> float:
    """Seconds to create one empty file: tells when the file system still suffers from a mass deletion."""
    folder.mkdir()
    started = time.perf_counter()
    for number in range(_PROBE_FILES):
        os.close(os.open(folder / f"{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    return (time.perf_counter() - started) / _PROBE_FILES
