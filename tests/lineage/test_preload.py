"""The preload library: what it notes of programs in C, and that they do not feel it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from datavc.lineage import preload
from datavc.lineage.observed import Observed, hook_environment, read_log
from datavc.lineage.preload import LIBRARY, prepare_log, usable_library

pytestmark = pytest.mark.skipif(
    usable_library() is None or not shutil.which("cc"), reason="the preload library was not built"
)

HEAD = """
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int top(void) { return open("inner", O_RDONLY | O_DIRECTORY); }
int main(int count, char **words) { %s return 0; }
"""


def compiled(tmp_path: Path, body: str, *options: str) -> Path:
    program = tmp_path / "program"
    done = subprocess.run(
        ["cc", "-w", "-O1", "-pthread", *options, "-x", "c", "-", "-o", str(program)],
        input=(HEAD % body).encode(),
        capture_output=True,
    )
    if done.returncode and "-static" in options:
        pytest.skip("no C library to link with statically")
    assert done.returncode == 0, done.stderr.decode()
    return program


def environment(tmp_path: Path, *, prepare: bool = True) -> dict[str, str]:
    log = tmp_path / "log"
    log.mkdir(exist_ok=True)
    if prepare:
        prepare_log(log)
    return hook_environment(os.environ, log, None, LIBRARY)


def observe(tmp_path: Path, *words: str | Path, code: int = 0) -> Observed:
    done = subprocess.run(
        [str(word) for word in words], cwd=tmp_path, env=environment(tmp_path), capture_output=True
    )
    assert (done.returncode, done.stderr) == (code, b""), done.stderr.decode()
    return read_log(tmp_path / "log")


def names(paths: Iterable[bytes], top: Path) -> set[str]:
    start = os.path.realpath(top) + "/"
    return {os.fsdecode(path).removeprefix(start) for path in paths} - {"program"}


@pytest.mark.parametrize(
    ("body", "read", "written", "removed"),
    [
        ('open("a", O_RDONLY);', {"a"}, set(), set()),
        ('open64("a", O_RDONLY);', {"a"}, set(), set()),
        ('openat(top(), "a", O_RDONLY);', {"inner/a"}, set(), set()),
        ('openat64(top(), "a", O_RDONLY);', {"inner/a"}, set(), set()),
        ('fopen("a", "rb");', {"a"}, set(), set()),
        ('fopen64("a", "r");', {"a"}, set(), set()),
        ('freopen("a", "r", stdin);', {"a"}, set(), set()),
        ('fopen("a", "r+");', {"a"}, {"a"}, set()),
        ('open("a", O_RDWR);', {"a"}, {"a"}, set()),
        ('open("c", O_WRONLY | O_CREAT, 0600);', set(), {"c"}, set()),
        ('openat(top(), "c", O_WRONLY | O_CREAT, 0600);', set(), {"inner/c"}, set()),
        ('creat("c", 0600);', set(), {"c"}, set()),
        ('fopen("c", "w");', set(), {"c"}, set()),
        ('fopen("a", "a");', set(), {"a"}, set()),
        ('truncate("a", 0);', set(), {"a"}, set()),
        ('rename("a", "c");', set(), {"c"}, {"a"}),
        ('renameat(AT_FDCWD, "a", top(), "c");', set(), {"inner/c"}, {"a"}),
        ('renameat2(AT_FDCWD, "a", AT_FDCWD, "c", 0);', set(), {"c"}, {"a"}),
        ('rename("inner", "outer");', set(), {"outer/a"}, {"inner"}),
        ('link("a", "c");', set(), {"c"}, set()),
        ('unlink("a");', set(), set(), {"a"}),
        ('unlinkat(top(), "a", 0);', set(), set(), {"inner/a"}),
        ('remove("a");', set(), set(), {"a"}),
        ('fclose(fopen("c", "w")); remove("c");', set(), set(), set()),
        ('open("missing", O_RDONLY); unlink("missing"); rename("missing", "b");', set(), set(), set()),
        ('open("inner", O_RDONLY); opendir("inner"); open("a", O_PATH);', set(), set(), set()),
        ('open(".", O_TMPFILE | O_RDWR, 0600);', set(), set(), set()),
        ('chdir("inner"); open("a", O_RDONLY); open("../b", O_RDONLY);', {"inner/a", "b"}, set(), set()),
    ],
)
def test_calls_of_the_c_library_are_noted(
    files: Path, body: str, read: set[str], written: set[str], removed: set[str]
):
    program = compiled(files, body)
    observed = observe(files, program)

    assert names(observed.read, files) == read
    assert names(observed.written, files) == written
    assert names(observed.removed, files) == removed
    assert (observed.reads, observed.lost) == ("full", 0)


def test_fortified_programs_are_seen_too(files: Path):
    observed = observe(
        files,
        compiled(files, "open(words[1], count, 0); open(words[1], count - 2);", "-O2", "-D_FORTIFY_SOURCE=2"),
        "a",
    )

    assert "a" in names([*observed.read, *observed.written], files)


@pytest.mark.parametrize(
    "body",
    [
        'if (fork() == 0) { open("b", O_RDONLY); _exit(0); } wait(NULL); open("a", O_RDONLY);',
        'if (vfork() == 0) { execlp("cat", "cat", "b", NULL); _exit(1); } wait(NULL); open("a", O_RDONLY);',
        'for (int fd = 0; fd < 4096; fd++) close(fd); open("a", O_RDONLY); open("b", O_RDONLY);',
        'system("cat b > /dev/null"); open("a", O_RDONLY);',
        'clearenv(); open("a", O_RDONLY); open("b", O_RDONLY);',
        'if (fork() == 0) { open("b", O_RDONLY); kill(getpid(), 9); } wait(NULL); open("a", O_RDONLY);',
    ],
)
def test_forks_and_programs_that_close_everything_are_seen(files: Path, body: str):
    observed = observe(files, compiled(files, body))

    assert {"a", "b"} <= names(observed.read, files)


def test_errno_and_results_are_what_they_would_be(files: Path):
    program = compiled(
        files,
        'errno = 77; int fd = open("a", O_RDONLY); printf("%d %d ", fd, errno);'
        'errno = 0; fd = open("missing", O_RDONLY); printf("%d %s ", fd, strerror(errno));'
        'errno = 0; fd = open(NULL, O_RDONLY); printf("%d %s ", fd, strerror(errno));'
        'errno = 0; fd = execve("/missing", words, environ); printf("%d %s ", fd, strerror(errno));'
        'fd = open("c", O_CREAT | O_WRONLY, 0640); umask(0); printf("%d", fd);',
    )
    bare = subprocess.run([program], cwd=files, capture_output=True)
    (files / "c").unlink()
    seen = subprocess.run([program], cwd=files, env=environment(files), capture_output=True)

    assert seen.stdout == bare.stdout
    assert (files / "c").stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("state", ["gone", "empty", "read-only", "garbage"])
def test_without_its_log_a_program_runs_as_ever(files: Path, state: str):
    given = environment(files, prepare=state != "empty")
    if state == "gone":
        shutil.rmtree(files / "log")
    elif state == "read-only":
        (files / "log" / "preload-0").chmod(0)
    elif state == "garbage":
        given["DATAVC_RUN_LOG"] = "x" * 5000
    program = compiled(files, 'puts(open("a", O_RDONLY) > 0 ? "fine" : "odd");')

    done = subprocess.run([program], cwd=files, env=given, capture_output=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"fine\n", b"")


def test_processes_and_threads_share_the_log_and_lose_nothing(files: Path):
    (files / "many").mkdir()
    for number in range(200):
        (files / "many" / f"{number:0200}").touch()
    body = """
    void *work(void *spelling) {
        char path[600];
        for (long number = 0; number < 200; number++) {
            snprintf(path, sizeof path, "%s/%smany/%0200ld", getcwd(NULL, 0), (char *)spelling, number);
            close(open(path, O_RDONLY));
        }
        return NULL;
    }
    for (int child = 0; child < 8; child++)
        if (fork() == 0) {
            pthread_t threads[4];
            for (long thread = 0; thread < 4; thread++) {
                char *spelling = calloc(1, 100);
                for (int times = child * 4 + thread; times; times--) strcat(spelling, "./");
                pthread_create(&threads[thread], NULL, work, spelling);
            }
            for (long thread = 0; thread < 4; thread++) pthread_join(threads[thread], NULL);
            _exit(0);
        }
    while (wait(NULL) > 0);
    """
    observed = observe(files, compiled(files, body))
    logs = [file for file in (files / "log").iterdir() if preload.is_log(file)]
    events = [event for file in logs for event in preload.read_events(file) if b"many/" in event]

    assert len(events) == len(set(events)) == 8 * 4 * 200
    assert len([name for name in names(observed.read, files) if name.startswith("many/")]) == 200
    assert len(logs) > 1
    assert not [file for file in (files / "log").iterdir() if file.name.startswith("new-")]
    assert observed.lost == 0


@pytest.fixture
def crowd(files: Path) -> Path:
    """With 6,000 files of long names in the folder ``many``."""
    (files / "many").mkdir()
    for number in range(6000):
        (files / "many" / f"{number:0200}").touch()
    return files


def test_errno_is_kept_when_the_log_needs_another_file(crowd: Path):
    body = """
    char path[300];
    for (int number = 0; number < 6000; number++) {
        snprintf(path, sizeof path, "many/%0200d", number);
        errno = 77;
        int fd = open(path, O_RDONLY);
        if (errno != 77) return 1;
        close(fd);
    }
    """
    observed = observe(crowd, compiled(crowd, body))

    assert (crowd / "log" / "preload-1").exists()
    assert observed.lost == 0


def test_what_there_is_no_room_for_is_counted_and_the_record_is_partial(crowd: Path):
    body = """
    char path[300];
    for (int number = 0; number < 6000; number++) {
        snprintf(path, sizeof path, "many/%0200d", number);
        close(open(path, O_RDONLY));
    }
    """
    program = compiled(crowd, body)
    limit = 1 << 19  # of bytes in a file: a write beyond it would kill the program

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    given = environment(crowd)
    done = subprocess.run([program], cwd=crowd, env=given, preexec_fn=limited)
    observed = read_log(crowd / "log")

    assert done.returncode == 0
    assert observed.lost > 0
    assert len(observed.read) > 1000
    assert observed.reads == "partial"


def test_a_file_is_noted_once_however_often_it_is_opened_and_by_whom(files: Path):
    program = compiled(
        files,
        'for (int n = 0; n < 1000; n++) close(open("a", O_RDONLY)); if (count > 1) execv(words[0], words + 1);',
    )
    observe(files, program, program)
    events = list(preload.read_events(files / "log" / "preload-0"))

    assert len([event for event in events if event.endswith(b"/a")]) == 1


def test_what_was_preloaded_before_is_kept_and_the_first(files: Path):
    assert preload.preloaded("/x/libasan.so /y/mine.so", LIBRARY) == f"/x/libasan.so:/y/mine.so:{LIBRARY}"
    assert preload.preloaded(f"/x.so:{LIBRARY}", LIBRARY) == f"/x.so:{LIBRARY}"
    assert preload.preloaded(None, LIBRARY) == str(LIBRARY)


@pytest.mark.parametrize("way", ["execve", "posix_spawn"])
def test_a_program_that_is_started_without_the_library_is_named(files: Path, way: str):
    body = {
        "execve": 'char *none[] = {NULL}; execve("/bin/cat", (char *[]){"cat", "a", NULL}, none);',
        "posix_spawn": 'char *none[] = {NULL}; pid_t pid; posix_spawn(&pid, "/bin/cat", NULL, NULL,'
        ' (char *[]){"cat", "a", NULL}, none); wait(NULL);',
    }[way]
    observed = observe(files, compiled(files, body))

    assert (observed.reads, observed.blind) == ("partial", ["cat"])


def test_a_program_that_is_seen_once_and_once_not_is_named(files: Path):
    observed = observe(files, "sh", "-c", "cat a > c; env -i cat b > d")

    assert (observed.reads, observed.blind) == ("partial", ["cat"])


def test_a_program_that_is_linked_statically_is_named(files: Path):
    program = compiled(files, 'open("a", O_RDONLY);', "-static")
    observed = observe(files, "sh", "-c", f"{program}; true")

    assert (observed.reads, observed.blind) == ("partial", ["program"])


def test_a_static_program_is_named_where_it_is_the_command_itself(files: Path):
    program = compiled(files, 'open("a", O_RDONLY);', "-static")
    observed = observe(files, program)

    assert observed.reads == "none"


def test_a_program_of_go_is_named_though_it_is_linked_dynamically(files: Path):
    note = (
        'static const struct { int name, size, type; char text[4], id[4]; } note __attribute__((section(".note.go.buildid"),'
        ' used, aligned(4))) = {4, 4, 4, "Go", "abc"};'
    )
    program = compiled(files, f'{note} open("a", O_RDONLY);')
    observed = observe(files, "sh", "-c", f"{program}; true")

    assert (observed.reads, observed.blind) == ("partial", ["program"])


@pytest.mark.parametrize("sanitizer", ["address", "thread", "undefined"])
def test_sanitizers_bear_the_library(files: Path, sanitizer: str):
    try:
        program = compiled(files, 'free(malloc(9)); fclose(fopen("a", "r"));', f"-fsanitize={sanitizer}")
    except AssertionError:
        pytest.skip(f"the compiler has no {sanitizer} sanitizer")
    observed = observe(files, program)

    assert "a" in names(observed.read, files)


def test_scripts_and_shells_and_what_they_start_are_seen(files: Path):
    (files / "script").write_text("#!/bin/sh\ncat a > c\n(mv c d; cp b e; rm e)\n")
    (files / "script").chmod(0o755)
    observed = observe(files, "sh", "-c", "./script")

    assert {"a", "b", "script"} <= names(observed.read, files)
    assert names(observed.written, files) == {"d"}
    assert (observed.reads, observed.blind) == ("full", [])


def test_python_leaves_files_to_the_library_and_notes_imports(files: Path):
    observed = observe(
        files, sys.executable, "-c", "import json, os; open('a'); os.rename('a', 'c'); open('b', 'r+')"
    )

    assert {"c"} <= names(observed.written, files)
    assert {"b"} <= names(observed.read, files)
    assert "json" in observed.imported
    assert observed.means == ["hook", "preload"]


def test_the_log_itself_is_not_noted(files: Path):
    observed = observe(files, sys.executable, "-c", "pass")

    assert not [path for path in [*observed.read, *observed.written] if b"/log/" in path]


def test_an_event_that_was_cut_short_is_passed_over(files: Path):
    log = files / "log"
    log.mkdir()
    prepare_log(log)
    first = log / "preload-0"
    content = bytearray(first.read_bytes())
    start = int.from_bytes(content[:8], sys.byteorder)
    events = b"r/whole\0" + b"\0/no/letter\0" + b"\0" * 20 + b"w/whole/too\0"
    content[start : start + len(events)] = events
    content[:8] = (start + len(events)).to_bytes(8, sys.byteorder)
    first.write_bytes(content)

    assert list(preload.read_events(first)) == [b"r/whole", b"w/whole/too"]


def test_a_library_for_other_machines_is_not_used(files: Path, monkeypatch: pytest.MonkeyPatch):
    other = files / "preload.so"
    content = bytearray(LIBRARY.read_bytes())
    content[18:20] = b"\xff\xff"
    other.write_bytes(content)
    monkeypatch.setattr(preload, "LIBRARY", other)
    assert preload.usable_library() is None
    monkeypatch.setattr(preload, "LIBRARY", files / "missing.so")
    assert preload.usable_library() is None
    for unfit in ("a folder", "a:b", "$ORIGIN"):
        (files / unfit).mkdir()
        shutil.copy(LIBRARY, files / unfit / "preload.so")
        monkeypatch.setattr(preload, "LIBRARY", files / unfit / "preload.so")
        assert preload.usable_library() is None


def test_a_killed_program_leaves_what_was_noted(files: Path):
    program = compiled(files, 'open("a", O_RDONLY); raise(9);')
    observed = observe(files, program, code=-signal.SIGKILL)

    assert "a" in names(observed.read, files)
