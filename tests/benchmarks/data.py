"""The data that is measured with: made here, edited here, compared here. Nothing in this file runs or times a tool.

Everything is made from fixed seeds, so that two machines measure on the same bytes. Makers hold a few MiB at a time.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20
EDITED_ROWS = 10

_SEED = 20_250_601
_CSV_HEADER = "row,time,sensor,pressure,temperature,humidity,label\n"
_LABELS = ("calm", "rising", "falling", "storm")


def make_files(folder: Path, files: int, average: int, compressible: bool) -> None:
    """Write ``files`` files of ``average`` bytes on average (1/8 of it to 15/8) into 100 folders of ``folder``.

    Incompressible files are random bytes; compressible ones are text that zstd makes about three times smaller.
    """
    rng = random.Random(_SEED)
    text = _text(rng) if compressible else b""
    folders = min(100, files)
    for number in range(folders):
        os.makedirs(folder / f"d{number:04d}")
    for number in range(files):
        size = rng.randrange(average // 8, average * 15 // 8 + 1)
        if compressible:
            start = rng.randrange(len(text) - size)
            content = (b"%08d " % number + text[start : start + size])[:size]
        else:
            content = rng.randbytes(size)
        path = os.path.join(folder, f"d{number % folders:04d}", f"f{number:07d}.bin")
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(descriptor, content)
        os.close(descriptor)


def make_big(path: Path, size: int) -> None:
    """Write one file of ``size`` random bytes."""
    rng = random.Random(_SEED + 1)
    with open(path, "xb") as file:
        for start in range(0, size, MIB):
            file.write(rng.randbytes(min(MIB, size - start)))


def make_csv(path: Path, twin: Path, rows: int) -> None:
    """Write a CSV of ``rows`` rows (about 72 bytes each), and its twin in which ten rows, evenly spread, are longer."""
    rng = random.Random(_SEED + 2)
    edited = {rows * (2 * number + 1) // (2 * EDITED_ROWS) for number in range(EDITED_ROWS)}
    step = 50_000
    with open(path, "x", encoding="ascii") as file, open(twin, "x", encoding="ascii") as twin_file:
        file.write(_CSV_HEADER)
        twin_file.write(_CSV_HEADER)
        for start in range(0, rows, step):
            lines = [_row(row, rng.getrandbits(80)) for row in range(start, min(rows, start + step))]
            file.writelines(lines)
            for row in edited.intersection(range(start, start + len(lines))):
                lines[row - start] = lines[row - start].rstrip("\n") + " (corrected by hand)\n"
            twin_file.writelines(lines)


def edit_one(path: Path, times: int) -> None:
    """Change one file of a folder made by :func:`make_files`, or a single file: other bytes, same size, new mtime.

    ``times`` counts the edits of this data so far: each edit takes another file and writes bytes never seen before.
    """
    if path.is_dir():
        folders = sorted(path.iterdir())
        names = sorted(folders[times * 37 % len(folders)].iterdir())
        path = names[times * 53 % len(names)]
    with open(path, "r+b") as file:
        file.write(random.Random(_SEED + 3 + times).randbytes(64)[: path.stat().st_size])


def empty_files(folder: Path) -> None:
    """Give back the disk space below ``folder`` without deleting a file (compare.py says why), as far as that goes.

    A file with several links is left alone: another name of it may be data that is still needed.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            if os.path.islink(path) or not os.path.isfile(path) or status.st_nlink > 1 or not status.st_size:
                continue
            if not os.access(path, os.W_OK):
                os.chmod(path, 0o600)
            os.truncate(path, 0)


def file_bytes(folder: Path) -> int:
    """Bytes in the regular files below ``folder``: their lengths, not the disk blocks that they fill."""
    total = 0
    stack = [os.fspath(folder)] if folder.is_dir() else []
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def difference(first: Path, second: Path) -> str | None:
    """The first line of what ``diff -r`` finds between two files or folders; None if they are the same."""
    done = subprocess.run(
        ["diff", "-rq", "--no-dereference", first, second], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    return (done.stdout or done.stderr).partition("\n")[0] or f"diff ended with {done.returncode}"


def make_once(path: Path, make: Callable[[Path], None]) -> Path:
    """Make ``path`` unless an earlier run has kept it whole: ``<path>.made`` is written after it."""
    made = path.with_name(path.name + ".made")
    if not made.exists() or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
        made.touch()
    return path


def _text(rng: random.Random) -> bytes:
    letters = "etaoinshrdlucmfw"
    words = ["".join(rng.choices(letters, k=rng.randrange(2, 10))) for _ in range(3000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    lines = (" ".join(rng.choices(words, weights, k=12)) for _ in range(60_000))
    return "\n".join(lines).encode()


def _row(row: int, bits: int) -> str:
    return (
        f"{row},{1_700_000_000 + row},sensor-{bits & 4095:04d},{900 + (bits >> 12) % 200_000_000 / 1e6:.6f},"
        f"{(bits >> 40) % 60_000_000 / 1e6 - 20:.6f},{(bits >> 66) / 164:.4f},{_LABELS[bits >> 20 & 3]}\n"
    )
