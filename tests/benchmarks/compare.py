"""Measures datavc beside cp, DVC, restic and borg: time, memory and bytes stored, on data that it makes first.

    python tests/benchmarks/compare.py --folder /scratch --runs 3
    python tests/benchmarks/compare.py --folder /scratch --cases add,checkout --tools cp,datavc --files 10000
    python tests/benchmarks/compare.py --folder /scratch --million --tools cp,datavc

Tools that are not there, or that fail a small trial, are skipped with a note. The full set needs a quarter of an hour
per run and 10 GB of disk; add 30 GB and an hour for ``--million``. The table goes to standard output, talk to standard
error. Measure on the file system that you want to know about, on an idle machine.

How it is measured, and the traps:

- Turns alternate: A B C, A B C, ... Each turn has a NEW folder and starts with ``sync``; the figures are medians.
- NOTHING IS DELETED BETWEEN RUNS; all goes at the end. ext4 without a journal (many virtual machines) does not use
  an inode again within a minute of its deletion, and within six minutes while the inode table is not written back.
  Finding another one makes creating files about ten times slower, for every tool, until long after. So
  disk space is given back by cutting files to nothing, data is moved aside by renaming, and after this script has
  ended, or after any other mass deletion, wait six minutes before measuring again. A probe before each turn notices it.
- The page cache is warm for all: the data has just been written. What is measured is the tool, not reading a disk.
- A tool may end before its bytes are on disk. The column "sync after" has the time of the ``sync`` that follows.
- A container's PYTHONDONTWRITEBYTECODE would make every start of a Python tool compile it anew. It is taken away, and
  a trial run of each tool comes first.
- What is checked out is compared with what was added: fast and wrong is a failure.
- Memory: see measure.py. cp's figure is small; all that is below this script's own (20 MiB) comes from samples.
- tools.py says what the tools do and which commands were taken for equal work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from cases import Bench, Starter
from data import make_big, make_csv, make_files, make_once
from report import as_json, describe_machine, markdown
from tools import TOOLS, find

FILES_CASES = ("add", "status", "edit", "checkout")
BIG_CASES = ("big-add", "big-checkout")
CASES = (*FILES_CASES, *BIG_CASES, "csv", "start-up")
DEFAULT_TOOLS = ("cp", "datavc", "dvc", "restic", "borg")
_MARK = "made by tests-benchmarks-compare"


def main() -> int:
    options = _options()
    base: Path = options.folder.resolve() / "datavc-benchmark"
    if base.exists() and not (base / _MARK).exists():
        sys.exit(f"{base} is there and was not made by this script: choose another --folder")
    base.mkdir(parents=True, exist_ok=True)
    (base / _MARK).touch()
    if (base / "turns").exists():
        sys.exit(f"{base}/turns is left from an earlier run: delete it, and wait six minutes")
    bench = Bench(base, [], _runs(options), options.timeout, _say)
    machine: dict[str, str] = {}
    try:
        bench.tools = _tools(options, bench)
        bench.warm_up()
        machine = describe_machine(base, bench.versions)
        _measure(bench, options)
    except KeyboardInterrupt:
        bench.notes.append("interrupted: what follows is missing")
    finally:
        print(
            json.dumps(as_json(bench, machine), indent=1) if options.json else markdown(bench, machine),
            flush=True,
        )
        if options.save:
            options.save.write_text(json.dumps(as_json(bench, machine), indent=1))
        if not options.keep:
            _say(f"deleting {base}; wait six minutes before the next run here")
            shutil.rmtree(base)
    return 0 if bench.samples else 1


def _measure(bench: Bench, options: argparse.Namespace) -> None:
    cases: set[str] = options.cases
    made = bench.base / "data"
    if "start-up" in cases:
        bench.start_up(options.datavc if Path(options.datavc).name.startswith("python") else sys.executable)
    if cases.intersection(FILES_CASES):
        for compressible in (False, True) if options.compressible else (False,):
            _files(bench, made, options, options.files, compressible)
    if cases.intersection(BIG_CASES):
        big = _make(made / f"big-{options.big}", partial(make_big, size=options.big))
        bench.big(f"{options.big / 2**30:.3g} GiB", big, cases)
    if "csv" in cases:
        twin = made / f"twin-{options.rows}.csv"
        table = _make(made / f"table-{options.rows}.csv", partial(make_csv, twin=twin, rows=options.rows))
        bench.csv(f"{options.rows:,} rows, {table.stat().st_size / 1e6:.0f} MB", table, twin)
    if options.million:
        _files(bench, made, options, 10 * options.files, False, runs=1)


def _files(
    bench: Bench,
    made: Path,
    options: argparse.Namespace,
    files: int,
    compressible: bool,
    runs: int | None = None,
) -> None:
    kind = "compressible" if compressible else "incompressible"
    make = partial(make_files, files=files, average=options.average, compressible=compressible)
    data = _make(made / f"{kind}-{files}-{options.average}", make)
    label = f"{files:,} {kind} files of {options.average:,} bytes on average"
    bench.files(label, data, options.cases if runs is None else set(FILES_CASES), runs)


def _make(path: Path, make: Callable[[Path], None]) -> Path:
    """Make data in a process of its own: a child inherits the memory peak of this one (measure.py)."""
    _say(f"making {path.name}")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(make_once, path, make).result()


def _tools(options: argparse.Namespace, bench: Bench) -> list[Starter]:
    found: list[Starter] = []
    for name in options.tools:
        start = find(TOOLS[name], options.path, options.datavc)
        if start:
            found.append((TOOLS[name], start))
        else:
            bench.notes.append(f"{name} is not on PATH nor in a --path folder: skipped")
    return found


def _runs(options: argparse.Namespace) -> Callable[[str], int]:
    special = dict(options.runs_of)
    return lambda tool: special.get(tool, options.runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path.cwd(), help="where data goes, in a new folder (default: here)")
    add("--cases", type=_names(CASES), default=set(CASES), help=f"some of {','.join(CASES)} (default: all)")
    add("--tools", type=_names(TOOLS), default=list(DEFAULT_TOOLS), help=f"some of {','.join(TOOLS)}")
    add("--path", type=Path, action="append", default=[], help="a folder to look for tools in before PATH")
    add("--datavc", default=sys.executable, help="a Python that runs `-m datavc`, or a datavc program")
    add("--runs", type=int, default=3, help="turns of each tool (default: 3)")
    add(
        "--runs-of",
        type=_tool_runs,
        action="append",
        default=[],
        metavar="TOOL=N",
        help="other turns of one tool",
    )
    add("--files", type=int, default=100_000, help="files in a folder (default: 100,000)")
    add("--average", type=int, default=8192, help="their average size in bytes (default: 8192)")
    add("--compressible", action="store_true", help="measure on compressible files too")
    add("--big", type=int, default=2 << 30, help="bytes of the big file (default: 2 GiB)")
    add("--rows", type=int, default=10_000_000, help="rows of the table (default: 10 million, 721 MB)")
    add("--million", action="store_true", help="after the other cases, once with ten times as many --files")
    add("--timeout", type=float, default=3600, help="seconds that one command may take (default: 3600)")
    add("--json", action="store_true", help="print JSON, with every sample, instead of Markdown")
    add("--save", type=Path, help="write the JSON into this file as well")
    add("--keep", action="store_true", help="keep the data and all that was written, for a look")
    options = parser.parse_args()
    options.cases = set(options.cases)
    if min(options.runs, options.files, options.rows, options.big) < 1 or options.average < 8:
        parser.error("--runs, --files, --rows and --big are at least 1, --average is at least 8")
    return options


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Reads names between commas; no name at all is an empty list."""

    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(known)}")
        return names

    return read


def _tool_runs(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in TOOLS or not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not TOOL=N")
    return name, int(number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
