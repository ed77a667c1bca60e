"""What ``datavc run`` costs a job that opens many files: whole processes, and the job's own loop, beside the job without it.

python tests/benchmarks/observing.py [--files N] [--turns N] [--jobs NAME...] [--strace] [--folder DIR]

Jobs over one dataset of tables, 10 kB each: ``open`` reads each file once and does nothing with it, ``open5`` five times,
``table`` adds up the numbers in each, as work on data does. Turns alternate, and the best of each way is told, since other
work on the machine only adds; CPU seconds are of all processes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

JOB = """
import csv, os, sys, time
work, passes = sys.argv[1], int(sys.argv[2])
began = time.perf_counter()
names = [entry.path for entry in os.scandir("data")]
for _ in range(passes):
    for name in names:
        if work == "table":
            with open(name, newline="") as file:
                sum(float(cell) for row in csv.reader(file) for cell in row)
        else:
            with open(name, "rb") as file:
                file.read()
sys.stdout.write(f"{time.perf_counter() - began}")
"""
JOBS = {"open": ("open", "1"), "open5": ("open", "5"), "table": ("table", "1")}
TABLES, ROWS, COLUMNS = 100, 111, 10
# With it, as containers like to set it, each start would compile datavc anew: 0.15 s that no user pays.
HIDDEN = {"PYTHONDONTWRITEBYTECODE"}


class Cost(NamedTuple):
    """Seconds of one turn: by the clock, of CPU in all processes, and of the job's own loop by the clock."""

    whole: float
    cpu: float
    loop: float


def turn(command: Sequence[str], root: Path) -> Cost:
    before, began = os.times(), time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    out = subprocess.run(
        command,
        cwd=root,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
    whole, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(whole, cpu, float(out or 0))


def prepare(root: Path, files: int) -> None:
    datavc = [sys.executable, "-m", "datavc", "-q"]
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run([*datavc, "init"], cwd=root, check=True)
    (root / "job.py").write_text(JOB)
    (root / "data").mkdir()
    rng = random.Random(7)
    tables = [
        b"".join(b",".join(b"%.6f" % rng.random() for _ in range(COLUMNS)) + b"\n" for _ in range(ROWS))
        for _ in range(TABLES)
    ]
    for number in range(files):
        (root / "data" / f"{number:06}.csv").write_bytes(b"%d\n" % number + tables[number % TABLES])
    subprocess.run([*datavc, "add", "data"], cwd=root, check=True)


def report(title: str, found: dict[str, list[Cost]]) -> None:
    print(f"\n{title}")
    print(f"{'':<16}{'whole':>9}{'ratio':>7}{'CPU':>9}{'ratio':>7}{'loop':>9}{'ratio':>7}")
    best = {way: Cost(*map(min, zip(*costs, strict=True))) for way, costs in found.items()}
    bare = next(iter(best.values()))
    for way, cost in best.items():
        row = "".join(
            f"{value:>9.3f}{value / base if base > 0.01 else 0:>7.2f}"
            for value, base in zip(cost, bare, strict=True)
        )
        print(f"{way:<16}{row}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--strace", action="store_true")
    parser.add_argument("--folder")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    options = parser.parse_args()
    traces = ["off", "python", "auto"] + (["full"] if options.strace else [])
    root = Path(tempfile.mkdtemp(prefix="datavc-observing-", dir=options.folder))
    try:
        prepare(root, options.files)
        run = [sys.executable, "-m", "datavc", "run"]
        ways = {"without": [], **{f"--trace {trace}": [*run, "--trace", trace, "--"] for trace in traces}}
        report("nothing", _turns(ways, ["true"], root, options.turns))
        for name in options.jobs:
            report(name, _turns(ways, [sys.executable, "job.py", *JOBS[name]], root, options.turns))
    finally:
        shutil.rmtree(root)


def _turns(ways: dict[str, list[str]], job: list[str], root: Path, turns: int) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {way: [] for way in ways}
    for number in range(turns + 1):
        for way, words in ways.items():
            cost = turn([*words, *job], root)
            if number:  # the first fills caches
                found[way].append(cost)
    return found


if __name__ == "__main__":
    main()
