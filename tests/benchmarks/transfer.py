"""Measures push and pull beside cp, s5cmd, DVC and restic, to a folder and to an S3 server on the loopback.

    python tests/benchmarks/transfer.py --folder /scratch --server rclone
    python tests/benchmarks/transfer.py --folder /scratch --to folder --tools cp,datavc --files 10000

For each data (a folder of files, one big file, a table and its twin with ten edited rows) and each tool in turn: push
what was added, push again, push after an edit, pull into a new clone, compare. Requests are what datavc's own summary
says. Turns alternate; each is in a new folder under a new prefix; see compare.py for the traps of measuring.

- ``objects`` (objects.py) moves the same bytes as objects of 64 MiB: the yardstick for S3. ``cp`` is that for a folder.
- restic's push is its backup, which reads and encrypts the data too; DVC and datavc have added it before.
- The server is rclone's (``rclone serve s3``, a Go program over a folder) or moto's (Python, in memory): what it
  costs is in all figures alike, so read ratios within one table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from data import difference, edit_one, file_bytes, make_big, make_csv, make_files, make_once
from measure import CommandFailed, Measurement, measure
from transfer_tools import BUCKET, KEYS, TOOLS, Place, Step

STEPS = ("push", "push again", "push an edit", "pull")


class Sample(NamedTuple):
    """One measured step; ``sent`` are bytes by which the place grew."""

    data: str
    kind: str
    tool: str
    step: str
    measurement: Measurement
    requests: int | None
    sent: int


def main() -> int:
    options = _options()
    base: Path = options.folder.resolve() / "datavc-transfer-benchmark"
    if base.exists():
        sys.exit(f"{base} is there: delete it, or choose another --folder")
    base.mkdir(parents=True)
    samples: list[Sample] = []
    notes: list[str] = []
    try:
        with _server(options.server, base) as endpoint:
            for label, data, edit in _data(base / "data", options):
                for turn in range(options.runs):
                    for kind in options.to:
                        for name in options.tools:
                            if kind in TOOLS[name].kinds:
                                _say(f"{label}: {name} to {kind}, turn {turn + 1} of {options.runs}")
                                place = Place(
                                    base / "remote", endpoint if kind == "s3" else None, f"t{len(samples)}"
                                )
                                _turn(
                                    options,
                                    base,
                                    place,
                                    name,
                                    label,
                                    data,
                                    partial(edit, turn),
                                    samples,
                                    notes,
                                )
    finally:
        print(_markdown(samples, notes), flush=True)
        shutil.rmtree(base)
    return 0 if samples and not notes else 1


def _turn(
    options: argparse.Namespace,
    base: Path,
    place: Place,
    name: str,
    label: str,
    data: Path,
    edit: Callable[[Path], None],
    samples: list[Sample],
    notes: list[str],
) -> None:
    start = _start(name, options)
    if start is None:
        notes.append(f"{name} is not there: skipped")
        return
    folder = base / f"turn-{place.prefix}"
    tool = TOOLS[name](start, folder, place, data.name)
    kept = base / "remote" if place.endpoint is None else base / "server"

    def step(step: Step) -> None:
        before = file_bytes(kept)
        with tool.log.open("w"):
            pass
        found = measure(step.words, step.cwd, tool.environment, tool.log, options.timeout)
        _say(f"    {step.name} {found.seconds:.2f} s")
        kind = "s3" if place.endpoint else "folder"
        samples.append(
            Sample(label, kind, name, step.name, found, tool.requests(), file_bytes(kept) - before)
        )

    try:
        subprocess.run(["cp", "-r", data, tool.work / data.name], check=True)
        tool.take_in()
        step(Step("push", tool.push(), tool.work))
        step(Step("push again", tool.push(), tool.work))
        edit(tool.work / data.name)
        tool.take_edit()
        step(Step("push an edit", tool.push(), tool.work))
        step(tool.pull())
        wrong = difference(tool.work / data.name, tool.pulled) if tool.pulled else None
        if wrong:
            raise CommandFailed(f"what was pulled is not what was pushed: {wrong}")
    except CommandFailed as error:
        notes.append(f"{name}, {label}: {error}")
        _say(f"    FAILED: {error}")
    shutil.rmtree(folder)
    # What was pushed goes too, or ten tools would fill the disk; each turn has a prefix of its own.
    shutil.rmtree(kept / (BUCKET if place.endpoint else "") / place.prefix, ignore_errors=True)


def _start(name: str, options: argparse.Namespace) -> list[str] | None:
    if name in ("cp", "objects"):
        return [name]
    if name == "datavc":
        python = Path(options.datavc).name.startswith("python")
        return [options.datavc, "-m", "datavc"] if python else [options.datavc]
    path = os.pathsep.join([*map(str, options.path), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    return [os.path.abspath(found)] if found else None


def _data(made: Path, options: argparse.Namespace) -> Iterator[tuple[str, Path, Callable[[int, Path], None]]]:
    """Label, file or folder, and how it is edited in the turn of that number."""

    def edit(turn: int, path: Path) -> None:
        edit_one(path, turn)

    if "files" in options.data:
        make = partial(make_files, files=options.files, average=8192, compressible=False)
        yield f"{options.files:,} files", _make(made / f"files-{options.files}", make), edit
    if "big" in options.data:
        yield f"{options.big / 2**30:.3g} GiB", _make(made / "big", partial(make_big, size=options.big)), edit
    if "csv" in options.data:
        twin = made / "twin.csv"
        table = _make(made / "table.csv", partial(make_csv, twin=twin, rows=options.rows))

        def replace(_: int, path: Path) -> None:
            shutil.copyfile(twin, path)

        yield f"CSV of {options.rows:,} rows", table, replace


def _make(path: Path, make: Callable[[Path], None]) -> Path:
    """In a process of its own: a child inherits the memory peak of this one (measure.py)."""
    _say(f"making {path.name}")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(make_once, path, make).result()


@contextmanager
def _server(program: str, base: Path) -> Iterator[str | None]:
    """The endpoint of an S3 server that runs as long as the block, its data in ``<base>/server``; None without one."""
    if program == "none":
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = base / "server"
    (kept / BUCKET).mkdir(parents=True)
    keys = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
    words = {
        "rclone": ["rclone", "serve", "s3", str(kept), "--addr", f"127.0.0.1:{port}", "--auth-key", keys],
        "moto": [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
    }[program]
    endpoint = f"http://127.0.0.1:{port}"
    with (base / "server.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while not _answers(endpoint):
            if process.poll() is not None:
                sys.exit(f"{program} did not come up: {(base / 'server.log').read_text()[-500:]}")
            time.sleep(0.1)
        if program == "moto":
            import boto3

            client = boto3.client(
                "s3",
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            )
            client.create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def _markdown(samples: list[Sample], notes: list[str]) -> str:
    lines = []
    tables = dict.fromkeys((sample.data, sample.kind) for sample in samples)
    for data, kind in tables:
        yardstick = "objects" if kind == "s3" else "cp"
        lines += [f"**{data}, to {'S3' if kind == 's3' else 'a folder'}**", ""]
        lines += [
            f"| step | tool | seconds | from - to | x {yardstick} | sync after | MiB | requests | grew by MB |"
        ]
        lines += ["|---|---" + "|--:" * 7 + "|"]
        for step in STEPS:
            here = [s for s in samples if (s.data, s.kind, s.step) == (data, kind, step)]
            base = [s.measurement.seconds for s in here if s.tool == yardstick]
            for tool in dict.fromkeys(s.tool for s in here):
                lines.append(_row(step, tool, [s for s in here if s.tool == tool], base))
        lines.append("")
    return "\n".join(lines + [f"- Note: {note}" for note in notes])


def _row(step: str, tool: str, found: list[Sample], base: list[float]) -> str:
    seconds = [sample.measurement.seconds for sample in found]
    memory = [sample.measurement.tree_pss or sample.measurement.largest or 0 for sample in found]
    cells = [
        step,
        tool,
        f"{median(seconds):.2f}",
        f"{min(seconds):.2f} - {max(seconds):.2f}" if len(seconds) > 1 else "one turn",
        f"{median(seconds) / median(base):.2f}" if base else "",
        f"{median(sample.measurement.sync_seconds for sample in found):.2f}",
        f"{max(memory) / 2**20:.0f}",
        "" if found[-1].requests is None else str(found[-1].requests),
        f"{median(sample.sent for sample in found) / 1e6:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )

    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    add = parser.add_argument
    add("--folder", type=Path, default=Path.cwd(), help="where data goes, in a new folder (default: here)")
    add("--data", type=names, default=["files", "big", "csv"], help="some of files,big,csv (default: all)")
    add("--to", type=names, default=["folder", "s3"], help="some of folder,s3 (default: both)")
    add("--tools", type=names, default=list(TOOLS), help=f"some of {','.join(TOOLS)} (default: all)")
    add(
        "--server",
        choices=("rclone", "moto", "none"),
        default="rclone",
        help="the S3 server (default: rclone)",
    )
    add("--path", type=Path, action="append", default=[], help="a folder to look for tools in before PATH")
    add("--datavc", default=sys.executable, help="a Python that runs `-m datavc`, or a datavc program")
    add("--runs", type=int, default=3, help="turns of each tool (default: 3)")
    add("--files", type=int, default=100_000, help="files of 8 KiB on average (default: 100,000)")
    add("--big", type=int, default=2 << 30, help="bytes of the big file (default: 2 GiB)")
    add("--rows", type=int, default=10_000_000, help="rows of the table (default: 10 million, 721 MB)")
    add("--timeout", type=float, default=3600, help="seconds that one command may take (default: 3600)")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
