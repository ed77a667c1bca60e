"""strace's lines, read back. The whole of it is played in test_run.py."""

from __future__ import annotations

import os
from pathlib import Path

from datavc.lineage.observed import Observed
from datavc.lineage.tracing import read_trace


def test_lines_of_strace_are_files_read_and_written(tmp_path: Path):
    top = os.path.realpath(tmp_path)
    for name in ("a b", "caf\u00e9", "made", "both", "renamed"):
        (tmp_path / name).touch()
    log = tmp_path / "log"
    log.write_text(
        f'12 openat(AT_FDCWD<{top}>, "a b", O_RDONLY|O_CLOEXEC) = 3<{top}/a b>\n'
        f'12 openat(AT_FDCWD<{top}>, "caf\\303\\251", O_RDONLY) = 3<{top}/caf\\303\\251>\n'
        f'13 openat(AT_FDCWD<{top}>, "made", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 4<{top}/made>\n'
        f'13 openat(AT_FDCWD<{top}>, "both", O_RDWR) = 4<{top}/both>\n'
        '13 rename("x", "renamed") = 0\n'
        '13 execve("/usr/bin/cat", ["cat"], 0x7ffd /* 3 vars */) = 0\n'
        '13 openat(AT_FDCWD</x>, "unfinished" <unfinished ...>\n'
        "12 +++ exited with 0 +++\n"
    )

    observed = read_trace(log, os.fsencode(top), Observed())

    assert {os.path.basename(path) for path in observed.read} == {b"a b", "caf\u00e9".encode(), b"both"}
    assert {os.path.basename(path) for path in observed.written} == {b"made", b"both", b"renamed"}
    assert observed.started == {"/usr/bin/cat"}
    assert observed.reads == "full"
