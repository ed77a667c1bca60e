"""How long ``datavc log`` and its like take over a long history: made with ``git fast-import``, and timed as whole processes.

python tests/benchmarks/history.py [COMMITS [DATASETS]]     in a folder of its own, which is removed at the end
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


def pointer(rng: random.Random, files: int) -> str:
    """A pointer of a folder whose digest is nobody's."""
    digest = f"{rng.getrandbits(128):032x}"
    return (
        f'format = 0\nkind = "folder"\ndigest = "xxh128:{digest}"\nsize = {files * 4096}\nfiles = {files}\n'
    )


def write_history(root: Path, commits: int, datasets: int) -> None:
    """A repository in which each commit gives one of the datasets a new version, and a hundred other files change too."""
    rng = random.Random(7)
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    run(root, "init")
    config = (root / "datavc.toml").read_bytes()
    with subprocess.Popen(
        ["git", "-C", str(root), "fast-import", "--quiet"], stdin=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        write = process.stdin.write
        for number in range(commits):
            message = f"commit {number}".encode()
            write(b"commit refs/heads/main\n")
            write(b"committer A U Thor <a@example.org> %d +0000\n" % (1_700_000_000 + 60 * number))
            write(b"data %d\n%s\n" % (len(message), message))
            if not number:
                write(b"M 100644 inline datavc.toml\ndata %d\n%s\n" % (len(config), config))
            if number % 10 == 0:
                text = b"%d\n" % number
                write(b"M 100644 inline src/file%d.py\ndata %d\n%s\n" % (number % 1000, len(text), text))
            text = pointer(rng, number + 1).encode()
            name = b"data/set%02d.datavc" % (number % datasets)
            write(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(text), text))
    subprocess.run(["git", "-C", str(root), "reset", "-q", "--hard", "main"], check=True)


def run(root: Path, *words: str) -> float:
    """Seconds of one command, in a process of its own."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "datavc", "-q", *words]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    commits = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    datasets = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    folder = Path(tempfile.mkdtemp(prefix="datavc-history-"))
    try:
        root = folder / "repo"
        write_history(root, commits, datasets)
        print(f"{commits:,} commits, {datasets} datasets; median of 3, seconds")
        for words in (["log"], ["log", "data/set00"], ["log", "-n", "10", "data/set00"], ["log", "--json"]):
            print(f"{statistics.median(run(root, *words) for _ in range(3)):8.2f}  datavc {' '.join(words)}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
