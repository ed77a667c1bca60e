"""Making the record of one run, out of what was so before it, what was seen of it, and what there is after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from datavc import __version__
from datavc.errors import NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.record import MAX_DATA, RECORD_FORMAT, Data
from datavc.lineage import environment as machine
from datavc.lineage.byfolder import ByFolder
from datavc.lineage.code import Code, git_state, read_code
from datavc.lineage.observed import Observed
from datavc.lineage.params import plain_values, read_params
from datavc.lineage.redaction import Redactor
from datavc.operations.steps.runs.facts import Before, Facts, Order
from datavc.operations.steps.runs.recordstore import has_record, writing_record
from datavc.operations.steps.runs.rundata import (
    LISTED,
    Linker,
    Seen,
    files_object,
    look,
    look_at_datasets,
    row_of_file,
    shown_path,
    sort_files,
    unwritten,
)
from datavc.progress import Progress
from datavc.repo import Repo

_INTERPRETERS = "interpreters.json"
_SOURCE = (b".py", b".pyc", b".so", b".datavc")
_LOOKED_AT = 8 << 10
_MOST_CODE = 2000
_LONGEST_LIST = 50_000
_LONGEST_COMMAND = 100_000


@dataclass(slots=True)
class Made:
    """The record that was made, and its rows."""

    digest: Digest
    inputs: list[Data]
    outputs: list[Data]
    mutated: bool = False
    values: dict[str, Any] = field(default_factory=dict)


def look_before(
    repo: Repo, order: Order, redactor: Redactor, outputs: list[bytes], *, jobs: int, progress: Progress
) -> Before:
    """Look at everything that the command may change. Raises NotFoundError, UsageError: nothing was touched."""
    datasets = look_at_datasets(repo, jobs=jobs, progress=progress)
    inputs = [_declared_input(repo, path, datasets, jobs=jobs, progress=progress) for path in order.inputs]
    params = [read_params(spec, Path(os.fsdecode(order.folder)), repo.algorithm) for spec in order.params]
    for found in params:
        redactor.learn_values(found["values"])
        found["values"] = redactor.values(found["values"])
    code = read_code(repo.root_bytes, repo.git, _no_code(datasets, outputs), redactor.code)
    return Before(datasets, inputs, code, git_state(repo.git, redactor.text), params)


def make_record(
    repo: Repo,
    facts: Facts,
    before: Before,
    redactor: Redactor,
    outputs: list[bytes],
    *,
    jobs: int,
    progress: Progress,
) -> Made:
    """Hash what there is now, and store the record with all that belongs to it. Raises StorageError, OutOfSpace."""
    making = _Making(repo, facts, before, redactor, outputs)
    try:
        return making.make(jobs=jobs, progress=progress)
    finally:
        making.linker.index.close()


class _Making:
    def __init__(
        self, repo: Repo, facts: Facts, before: Before, redactor: Redactor, outputs: list[bytes]
    ) -> None:
        self._repo = repo
        self._facts = facts
        self._before = before
        self._redactor = redactor
        self._outputs = outputs
        self.linker = Linker(repo)
        names = [*before.datasets, *outputs]
        code = before.code.files
        made = [repo.absolute(path) for path in outputs]
        observed = facts.observed
        self._read = sort_files(repo, unwritten(observed, made), names, code)
        self._written = sort_files(repo, observed.written, names, code)
        self._removed = sort_files(repo, observed.removed, names, code)
        self._hashed: dict[bytes, Data] = {}

    def make(self, *, jobs: int, progress: Progress) -> Made:
        repo, facts = self._repo, self._facts
        after = look_at_datasets(repo, jobs=jobs, progress=progress)
        self._take_unchanged(after)
        self._take_binary()
        inputs = self._inputs()
        outputs = self._made(after, jobs=jobs, progress=progress)
        code_end = read_code(repo.root_bytes, repo.git, _no_code(after, self._outputs), self._redactor.code)
        mutated = self._mutated(code_end)
        resumes = self._resumed()
        values = self._values(inputs, outputs, mutated=mutated, resumes=resumes)
        parents = [row.record for row in inputs if row.record is not None] + ([resumes] if resumes else [])
        about, distributions = machine.python(
            facts.observed.interpreters, facts.observed.imported, repo.private / _INTERPRETERS
        )
        values["environment"] = self._environment(about)
        with writing_record(repo, values, parents) as (writer, written):
            words = self._redactor.words(facts.order.argv)
            if _some_words(words) != words:
                writer.blob("argv", _rows(words))
            writer.blob("stdout", self._redactor.log(facts.out))
            writer.blob("stderr", self._redactor.log(facts.err))
            start = writer.folder("code", self._before.code.files)
            end = writer.folder("code_end", code_end.files) if mutated else start
            if end == start:
                writer.objects.pop("code_end", None)
            if facts.inside is not None and facts.inside.cells:
                writer.blob("cells", self._redactor.code(facts.inside.cells.encode("utf-8", "replace")))
            if distributions:
                writer.blob("distributions", _json(self._redactor.texts(distributions)))
            listed = files_object(
                repo,
                {"read": self._read, "written": self._written, "removed": self._removed},
                self._hashed,
            )
            writer.blob("files", _lines(islice(listed, _LONGEST_LIST)))
            values["redactions"] = self._redactor.count
        return Made(written.digest, inputs, outputs, mutated, values)

    # Inputs

    def _take_unchanged(self, after: Mapping[bytes, Seen]) -> None:
        """Datasets that were opened for both, as databases are, and are what they were: these were read."""
        for path, files in self._written.datasets.items():
            was, seen = self._before.datasets.get(path), after.get(path)
            read = files & self._facts.observed.read
            is_same = was is not None and seen is not None and was.row.digest == seen.row.digest
            if read and is_same and path not in self._outputs:
                self._read.datasets.setdefault(path, ByFolder()).include(read)

    def _take_binary(self) -> None:
        """Files beside the code that are no text, or were made by a run: weights that somebody copied here are data."""
        files, root = self._before.code.files, self._repo.root_bytes + b"/"
        for absolute in [path for path in self._read.code if not path.endswith(_SOURCE)]:
            _, content = files.get(absolute.removeprefix(root), ("", b""))
            digest = Digest.of(self._repo.algorithm, content)
            if b"\0" in content[:_LOOKED_AT] or (content and self.linker.index.makers(digest)):
                self._read.code.remove(absolute)
                self._read.data.add(absolute)
        # Code that lies elsewhere is in no tree: its digest is what it can be known by.
        for absolute in sorted(self._read.code)[:_MOST_CODE]:
            self._hash(absolute, shown_path(self._repo, absolute))

    def _inputs(self) -> list[Data]:
        """What was declared, then the datasets that were read, then other data that was read."""
        rows = {row.path: row for row in self._before.inputs}
        datasets = self._before.datasets
        for path in sorted(self._read.datasets):
            if path in datasets and not any(
                is_inside(path, named) or is_inside(named, path) for named in rows
            ):
                rows[path] = datasets[path].row
        named = list(rows)
        for absolute in sorted(self._read.data):
            shown = shown_path(self._repo, absolute)
            if any(is_inside(shown, path) for path in named):
                continue
            row = self._hash(absolute, shown)
            if shown not in rows and len(rows) < LISTED + len(self._before.inputs):
                rows[shown] = row
        return [self._linked(row) for row in list(rows.values())[:MAX_DATA]]

    def _linked(self, row: Data) -> Data:
        seen = self._before.datasets.get(row.path)
        return self.linker.linked(row, seen.view.pointer if seen is not None else None)

    def _hash(self, absolute: bytes, shown: bytes) -> Data:
        if absolute not in self._hashed:
            self._hashed[absolute] = row_of_file(absolute, shown, self._repo.algorithm)
        return self._hashed[absolute]

    # Outputs

    def _made(self, after: Mapping[bytes, Seen], *, jobs: int, progress: Progress) -> list[Data]:
        """What was declared, then datasets that are not what they were, then other files that were written."""
        repo = self._repo
        rows: dict[bytes, Data] = {}
        for path in self._outputs:
            seen = after.get(path) or look(repo, path, repo.read_pointer(path), jobs=jobs, progress=progress)
            if seen is not None:
                rows[path] = replace(seen.row, declared=True)
        for absolute in self._facts.order.metrics:
            shown = shown_path(repo, absolute)
            rows[shown] = row_of_file(absolute, shown, repo.algorithm, declared=True, metrics=True)
        for path, seen in after.items():
            was = self._before.datasets.get(path)
            if path not in rows and (was is None or was.row.digest != seen.row.digest):
                rows[path] = seen.row
        named = list(rows)
        for absolute in sorted(self._written.data | self._written.code):
            shown = shown_path(repo, absolute)
            if not any(is_inside(shown, path) for path in named) and len(rows) < MAX_DATA:
                rows[shown] = self._hash(absolute, shown)
        return list(rows.values())

    # Code

    def _mutated(self, end: Code) -> bool:
        """Whether somebody else than the command changed the code while it ran."""
        own = {shown_path(self._repo, path) for path in self._written.data | self._written.code}
        own |= {shown_path(self._repo, path) for path in self._facts.order.metrics}
        start = self._before.code.files
        inside = self._facts.inside
        if inside is not None and inside.stale:
            return True
        if inside is not None and inside.cells is not None:
            # A notebook is saved while it runs; what ran of it are its cells.
            own |= {path for path in start if path.endswith(b".ipynb")}
        return any(end.files.get(path) != found for path, found in start.items() if path not in own)

    def _resumed(self) -> Digest | None:
        """The run that this one goes on from: the last that left an output which was kept, and did not end well."""
        for path in self._facts.order.keep:
            for edge in self.linker.index.maker_at(self._repo.relative(path))[:1]:
                known = self.linker.index.known(edge.record)
                if known is not None and known.status != "ok" and has_record(self._repo, edge.record):
                    return edge.record
        return None

    # Values

    def _values(
        self, inputs: list[Data], outputs: list[Data], *, mutated: bool, resumes: Digest | None
    ) -> dict[str, Any]:
        facts, repo, redact = self._facts, self._repo, self._redactor
        order, ended, observed = facts.order, facts.ended, facts.observed
        code, inside = self._before.code, facts.inside
        return {
            "format": RECORD_FORMAT,
            "client": f"datavc {__version__}",
            "status": facts.status,
            "stage": order.name,
            "command": {
                "argv": _some_words(redact.words(order.argv)),
                "folder": shown_path(repo, order.folder).decode("utf-8", "surrogateescape")
                if order.folder != repo.root_bytes
                else "",
                "shell": order.shell,
            },
            **({"inside": self._given(inside.place)} if inside is not None else {}),
            "exit": {
                "code": ended.code,
                "signal": ended.signal,
                "problem": redact.text(facts.problem) if facts.problem else None,
            },
            "time": {
                "start": facts.start,
                "end": facts.end,
                "wall_ms": ended.wall_ms,
                "user_ms": ended.user_ms,
                "system_ms": ended.system_ms,
                "peak_memory": ended.peak_memory,
            },
            "who": {"user": os.environ.get("USER", str(os.getuid())), "host": os.uname().nodename},
            "inputs": [row.to_json() for row in inputs],
            "outputs": [row.to_json() for row in outputs],
            "reads": observed.reads,
            "observed": _observed(observed, redact),
            "resumes": str(resumes) if resumes else None,
            "code": {
                **self._before.git,
                "mutated": mutated,
                **(
                    {"stale": [show(path) for path in inside.stale[:LISTED]]}
                    if inside and inside.stale
                    else {}
                ),
                "left_out": [[show(path), reason] for path, reason in code.left_out[:LISTED]],
                "redacted": [show(path) for path in code.redacted],
            },
            "params": {
                "files": self._before.params,
                "seed": order.seed,
                "seeded": sorted(observed.seeded),
                **({"values": self._given(inside.params)} if inside is not None else {}),
            },
            "metrics": self._metrics(),
        }

    def _metrics(self) -> dict[str, Any]:
        """The values of metrics that are JSON or TOML, and those that were given from Python."""
        inside = self._facts.inside
        found = self._given(inside.metrics) if inside is not None else {}
        for absolute in self._facts.order.metrics:
            try:
                read = read_params(os.fsdecode(absolute), Path("/"), self._repo.algorithm)
            except (NotFoundError, ValueError):
                continue
            found[show(shown_path(self._repo, absolute))] = self._redactor.values(read["values"])
        return found

    def _given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values that come from Python, as a record has them."""
        return dict(self._redactor.values(plain_values(values)))

    def _environment(self, about: dict[str, Any]) -> dict[str, Any]:
        order = self._facts.order
        folders = dict.fromkeys([Path(os.fsdecode(order.folder)), self._repo.root])
        locks = machine.lock_files(folders, self._repo.algorithm)
        top = f"{self._repo.root}/"
        found = {
            "python": about,
            **machine.machine(),
            "container": machine.container(order.image, os.environ),
            "variables": machine.variables(os.environ, self._redactor.text),
            "locks": [{**lock, "path": lock["path"].removeprefix(top)} for lock in locks],
        }
        return dict(self._redactor.texts(found))


def _declared_input(
    repo: Repo, path: bytes, datasets: Mapping[bytes, Seen], *, jobs: int, progress: Progress
) -> Data:
    shown = shown_path(repo, path)
    owner = next((name for name in datasets if is_inside(shown, name)), None)
    if owner is not None and os.path.lexists(path):
        return replace(datasets[owner].row, declared=True)
    if os.path.isfile(path):
        return row_of_file(path, shown, repo.algorithm, declared=True)
    if not os.path.isdir(path):
        raise NotFoundError(f"the input {show(shown)} does not exist", f"datavc checkout {repo.typed(shown)}")
    from datavc.operations.steps.examining.outside import row_of_folder

    return row_of_folder(repo, path, shown, jobs=jobs, progress=progress)


def _observed(observed: Observed, redactor: Redactor) -> dict[str, Any]:
    return {
        "by": observed.means,
        "blind": observed.blind,
        "lost": observed.lost,
        "started": [redactor.text(word) for word in sorted(observed.started)],
    }


def _no_code(datasets: Iterable[bytes], outputs: list[bytes]) -> set[bytes]:
    return {*datasets, *outputs}


def _some_words(words: list[str]) -> list[str]:
    """A command that a record has room for; the object ``argv`` has all of one that is longer."""
    kept, room = [], _LONGEST_COMMAND
    for word in words[: MAX_DATA - 1]:
        if len(word) > room:
            break
        kept.append(word)
        room -= len(word)
    left_out = len(words) - len(kept)
    return [*kept, f"... and {left_out} more words"] if left_out else words


def _lines(rows: Iterable[str]) -> bytes:
    """A list in JSON, with one line for each row, which is JSON already."""
    return ("[" + ",\n".join(rows) + "]\n").encode()


def _rows(rows: Sequence[object]) -> bytes:
    """A list with one line for each row; 20 times as fast as indenting."""
    encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    return _lines(map(encode, rows))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=0, ensure_ascii=True).encode() + b"\n"
