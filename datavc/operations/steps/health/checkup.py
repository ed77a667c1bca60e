"""What ``doctor`` finds, and its checks of the git repository and the pointers in it: attributes, ignore rules, locks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from datavc.errors import DatavcError
from datavc.formats.paths import shell_word, show
from datavc.git.program import Git
from datavc.repo import CONFIG_NAME, POINTER_SUFFIX, Dataset, Repo

# Git holds its locks for moments; whoever finds one this old finds what a killed git left.
_STALE_SECONDS = 600
_GIT_LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")
# The first that has all the commands and options which datavc calls (fetch --no-write-fetch-head).
_OLDEST_GIT = (2, 29)
_FEW = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at in an ``area``: ``ok``, a ``note`` or a ``problem``, and the ``command`` that mends it."""

    area: str
    state: str
    message: str
    command: str | None = None


def ok(area: str, message: str) -> Finding:
    """All is well."""
    return Finding(area, "ok", message)


def note(area: str, message: str, command: str | None = None) -> Finding:
    """Nothing is wrong, but it could be better."""
    return Finding(area, "note", message, command)


def problem(area: str, message: str, command: str | None = None) -> Finding:
    """Something is wrong."""
    return Finding(area, "problem", message, command)


def failed(area: str, error: DatavcError) -> Finding:
    """What could not even be looked at."""
    return problem(area, error.message, error.hint)


def check_git(repo: Repo, git: Git) -> Iterator[Finding]:
    """Git itself, and what it must know, ignore and not ignore."""
    yield _check_version(git)
    yield from _check_files(repo, git)
    yield from _check_locks(git)


def check_datasets(repo: Repo) -> Iterator[Finding]:
    """Each pointer can be read; git ignores the data, and does not keep it."""
    found: list[Dataset] = []
    wrong = False
    for name in repo.pointer_paths():
        path = name.removesuffix(POINTER_SUFFIX)
        try:
            pointer = repo.read_pointer(path)
            unfinished = repo.read_state(path).checkout is not None
        except DatavcError as error:
            wrong = True
            yield failed("datasets", error)
            continue
        if pointer is not None:
            found.append(Dataset(path, pointer))
        if unfinished:
            wrong = True
            yield problem(
                "datasets",
                f"a checkout of {show(path)} was not finished",
                f"datavc checkout {repo.typed(path)}",
            )
    if repo.git is not None:
        for finding in _check_ignored(repo, repo.git, found):
            wrong = True
            yield finding
    if not wrong:
        yield ok("datasets", f"{len(found):,} with sound pointers" if found else "none yet")


def _check_version(git: Git) -> Finding:
    text = git.run("--version").decode("ascii", "replace").strip()
    words = [word for word in text.split() if word[0].isdigit()]
    numbers = tuple(int(number) for number in words[0].split(".")[:2] if number.isdigit()) if words else ()
    if numbers < _OLDEST_GIT:
        return problem(
            "git", f"{text}; datavc needs {'.'.join(map(str, _OLDEST_GIT))} or later", "install a newer git"
        )
    return ok("git", text)


def _check_files(repo: Repo, git: Git) -> Iterator[Finding]:
    """What ``init`` writes is there as it should be, and committed."""
    from datavc.git.attributes import ATTRIBUTES_FILE, with_attributes
    from datavc.git.pointers import ignored_by, tracked_below

    try:
        text = (repo.root / ATTRIBUTES_FILE).read_bytes()
    except OSError:
        text = b""
    if with_attributes(text) != text:
        yield problem(
            "git",
            f"{ATTRIBUTES_FILE} does not say how git treats pointers",
            f"datavc init && git add {ATTRIBUTES_FILE}",
        )
    names = [os.fsencode(CONFIG_NAME), os.fsencode(ATTRIBUTES_FILE)]
    tracked = tracked_below(git, names)
    unknown = [os.fsdecode(name) for name in names if name not in tracked]
    if unknown:
        yield problem(
            "git",
            f"git does not know {' and '.join(unknown)}",
            f"git add {repo.typed(*unknown)} && git commit",
        )
    rule = ignored_by(git, b"a" + POINTER_SUFFIX)
    if rule is not None:
        yield problem(
            "git",
            f"git ignores pointers, because of line {rule.line} of {show(rule.file)}: {show(rule.pattern)}",
            f"echo '!*.datavc' >> {repo.typed(b'.gitignore')}",
        )


def _check_ignored(repo: Repo, git: Git, datasets: list[Dataset]) -> Iterator[Finding]:
    from datavc.git.ignorefile import ignore_line
    from datavc.git.pointers import ignored_among, tracked_below

    paths = [dataset.path for dataset in datasets]
    if not paths:
        return
    tracked = {above for name in tracked_below(git, paths) for above in _with_folders(name)}
    kept = [path for path in paths if path in tracked]
    for path in kept[:_FEW]:
        yield problem(
            "datasets",
            f"git keeps the data of {show(path)} as well",
            f"git rm -r --cached --quiet {repo.typed(path)}",
        )
    ignored = ignored_among(git, paths)
    for path in paths:
        if path not in tracked and path not in ignored:
            folder, _, name = path.rpartition(b"/")
            file = repo.typed((folder + b"/" if folder else b"") + b".gitignore")
            line = shell_word(ignore_line(name))
            yield problem(
                "datasets", f"git does not ignore the data of {show(path)}", f"echo {line} >> {file}"
            )


def _with_folders(path: bytes) -> Iterator[bytes]:
    """``path``, and every folder above it."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]


def _check_locks(git: Git) -> Iterator[Finding]:
    from datavc.git.places import find_git

    places = find_git(git.toplevel)
    for folder in dict.fromkeys((places.git_dir, places.common_dir) if places is not None else ()):
        for name in _GIT_LOCKS:
            path = folder / name
            try:
                age = time.time() - path.lstat().st_mtime
            except OSError:
                continue
            if age > _STALE_SECONDS:
                yield problem(
                    "locks",
                    f"{path} is {age / 60:,.0f} minutes old: a git command was killed, unless one still runs",
                    f"rm {shell_word(os.fsencode(path))}",
                )
