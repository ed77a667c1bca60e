"""How long questions of lineage take where the records have a million edges: real records, timed as whole processes.

python tests/benchmarks/lineage.py [RECORDS [EDGES]]     in a folder of its own, which is removed at the end

Seconds of CPU, the median, and by the clock, the best: other work on the machine only adds to that.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from datavc.formats.digest import Digest, hash_function
from datavc.operations.steps.runs.recordstore import writing_record
from datavc.repo import Repo

XXH = hash_function("xxh128")
REPEATS = 5


def row(path: str, name: str, record: Digest | None = None) -> dict[str, object]:
    """A file that was read or made."""
    return {
        "path": path,
        "kind": "file",
        "digest": str(Digest("xxh128", XXH(name.encode()))),
        "size": 1000,
        "files": 1,
        "declared": True,
        "record": str(record) if record is not None else None,
        "metrics": False,
    }


def write_records(repo: Repo, records: int, edges: int) -> None:
    """Each reads what one of the last hundred made, and files that a fourth of all others read, too."""
    rng = random.Random(7)
    made: list[Digest] = []
    for number in range(records):
        before = rng.randrange(max(0, number - 100), number) if number else None
        inputs = [row(f"data/{one}", f"file {one}") for one in rng.sample(range(4 * edges), edges - 2)]
        if before is not None:
            inputs.append(row(f"made/{before}", f"made {before}", made[before]))
        when = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z"
        values = {
            "format": 0,
            "status": "ok",
            "stage": f"step {number}",
            "command": {"argv": ["python", "step.py", str(number)], "folder": "", "shell": False},
            "exit": {"code": 0, "signal": None},
            "time": {"start": when, "end": when},
            "reads": "full",
            "resumes": None,
            "inputs": inputs,
            "outputs": [row(f"made/{number}", f"made {number}")],
        }
        with writing_record(repo, values, [made[before]] if before is not None else []) as (_, written):
            pass
        made.append(written.digest)


class Cost(NamedTuple):
    """Seconds of a whole process, of CPU and by the clock, and how many lines it printed."""

    cpu: float
    clock: float
    lines: int


def timed(root: Path, *words: str) -> Cost:
    # With it, as containers like to set it, each start would compile datavc anew.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before, start = os.times(), time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "datavc", *words], cwd=root, env=environment, capture_output=True, check=True
    )
    clock, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(cpu, clock, ended.stdout.count(b"\n"))


def main() -> None:
    records, edges = (int(word) for word in (*sys.argv[1:], "2000", "500")[:2])
    place = Path(tempfile.mkdtemp(prefix="datavc-lineage-"))
    try:
        root = place / "repo"
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        subprocess.run([sys.executable, "-m", "datavc", "-q", "init"], cwd=root, check=True)
        start = time.perf_counter()
        write_records(Repo.find(root), records, edges)
        print(
            f"{records:,} records with {records * edges:,} edges, written in {time.perf_counter() - start:.0f} s"
        )
        first = timed(root, "runs")
        print(
            f"first question, which makes the index: {first.cpu:.2f} s of CPU, {first.clock:.2f} s",
            flush=True,
        )
        index = next(root.rglob("lineage.db"))
        print(f"the index has {os.stat(index).st_size / 1e6:.0f} MB")
        last = str(Digest("xxh128", XXH(f"made {records - 1}".encode())))
        shared = str(Digest("xxh128", XXH(b"file 1")))
        for words in (
            ("lineage", last, "--depth", "1"),
            ("lineage", last),
            ("lineage", last, "--json"),
            ("lineage", shared, "--down", "--depth", "1"),
            ("lineage", shared, "--down"),
            ("runs",),
        ):
            found = [timed(root, *words) for _ in range(REPEATS)]
            cpu, clock = statistics.median(cost.cpu for cost in found), min(cost.clock for cost in found)
            print(
                f"{' '.join(words):<70} {cpu:.2f} s of CPU, {clock:.2f} s, {found[0].lines:,} lines",
                flush=True,
            )
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
