"""git's hooks: where they are, and the script that calls datavc from one, after the hook that was there before.

The hook that was there is kept beside ours under another name, and gets its own back when ours is taken away.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from datavc.durable import fsync_file, fsync_folder, remove_durably, storage_errors, write_all
from datavc.errors import ConflictError
from datavc.git.program import Git, show_path

HOOKS = (
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-commit",
    "pre-push",
)
KEPT_SUFFIX = ".before-datavc"
_MARK = b"#!/bin/sh\n# Installed by datavc."

# In a hook the current folder is the top of the work tree; where datavc is not set up there is nothing to do.
_HEAD = """\
#!/bin/sh
# Installed by datavc. `datavc install --uninstall` takes it away, and puts back the hook that was here before.
before="${{0%/*}}/{name}{suffix}"
call() {{
    if [ -x {python} ]; then
        {python} -P -m datavc git hook {name} "$@"
        return
    fi
    program=$(command -v datavc)
    case $program in
        /*) "$program" git hook {name} "$@" ;;
        *) echo "datavc, which this hook calls, is not there any more: datavc install" >&2; return 127 ;;
    esac
}}
"""
# What follows the pointers is no part of what git was asked to do, so it never fails that.
_AFTER = """\
code=0
if [ -x "$before" ]; then "$before" "$@" || code=$?; fi
[ -f datavc.toml ] || exit $code
"""
_FOLLOW = """\
call "$@" || :
exit $code
"""
# No Python is started for a commit that leaves the pointers as they are, such as one of code.
_IF_POINTERS_MOVED = """\
git diff-tree -r --quiet HEAD^ HEAD -- '*.datavc' 2>/dev/null
[ $? = 1 ] || exit $code
"""
# git says 1 where it may have changed the work tree. After `git reset` and `git stash` it calls no other hook, nor in a
# submodule when all is checked out from around it, by read-tree. Everything else calls one that comes later, when HEAD has
# moved too and nothing of git's can be interrupted any more.
_IF_NOTHING_ELSE_IS_CALLED = """\
[ "$1" = 1 ] || exit $code
caller=$({ tr '\\0' ' ' <"/proc/$PPID/cmdline" || ps -o args= -p "$PPID"; } 2>/dev/null)
case " $caller " in
    *" reset "*|*" stash "*|*" read-tree "*) ;;
    *) exit $code ;;
esac
"""
_BEFORE = """\
if [ -x "$before" ]; then "$before" "$@" || exit; fi
# It warns; so a datavc that is gone (127) says so, and stops no commit.
if [ -f datavc.toml ]; then call "$@" || [ $? = 127 ]; fi
"""
# Both hooks read the list of what is pushed.
_BEFORE_PUSH = """\
pushed=$(cat; echo .)
pushed=${pushed%.}
if [ -x "$before" ]; then printf %s "$pushed" | "$before" "$@" || exit; fi
if [ -f datavc.toml ]; then printf %s "$pushed" | call "$@"; fi
"""


def hook_script(name: str, python: str) -> bytes:
    """The hook called ``name``, which runs datavc with the interpreter ``python``, or, if that is gone, the one in PATH.

    ``-P``: a module in the repository is never taken for one of datavc's.
    """
    head = _HEAD.format(suffix=KEPT_SUFFIX, python=shlex.quote(python), name=name)
    body = {
        "post-commit": _AFTER + _IF_POINTERS_MOVED + _FOLLOW,
        "post-index-change": _AFTER + _IF_NOTHING_ELSE_IS_CALLED + _FOLLOW,
        "pre-commit": _BEFORE,
        "pre-push": _BEFORE_PUSH,
    }.get(name, _AFTER + _FOLLOW)
    return (head + body).encode("utf-8", "surrogateescape")


def hooks_folder(git: Git) -> Path:
    """Where git looks for hooks: that of all work trees of the repository, or what ``core.hooksPath`` says."""
    found = git.run("rev-parse", "--git-path", "hooks").removesuffix(b"\n")
    return git.toplevel / os.fsdecode(found)


def standing(folder: Path, name: str) -> str:
    """Whose the hook is: ``ours``, ``other`` or ``none``."""
    path = folder / name
    if not os.path.lexists(path):
        return "none"
    try:
        return "ours" if path.read_bytes().startswith(_MARK) else "other"
    except OSError:
        return "other"


def install_hook(folder: Path, name: str, script: bytes) -> None:
    """Put our ``script`` in place, keeping the hook that is there. Killed in between, the same call finishes.

    Raises:
        ConflictError: there are a hook of somebody else's and one that was kept before. StorageError.
    """
    path, kept = folder / name, folder / (name + KEPT_SUFFIX)
    whose = standing(folder, name)
    if whose == "ours" and os.access(path, os.X_OK) and path.read_bytes() == script:
        return
    if whose == "other" and os.path.lexists(kept) and not os.path.samestat(os.lstat(path), os.lstat(kept)):
        raise ConflictError(
            f"{show_path(path)} is a hook of another program, and {show_path(kept)} one from before",
            "leave one of them, or call one from the other, under the first name",
        )
    # Beside it first: a file that is replaced would lend ours its mode, and a symlink its target.
    staged = _staged(folder, name)
    remove_durably(staged)
    with storage_errors(path):
        fd = os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o777)
        try:
            write_all(fd, script)
            fsync_file(fd)
        finally:
            os.close(fd)
        if whose == "other" and not os.path.lexists(kept):
            _keep(path, kept)
        os.replace(staged, path)
        fsync_folder(folder)


def _staged(folder: Path, name: str) -> Path:
    """Where our hook is written before it gets its name: always the same, so that nothing is left of what was killed."""
    return folder / f"{name}.datavc-tmp"


def _keep(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept, follow_symlinks=False)
    except (OSError, NotImplementedError):
        # A file system without hard links, or a system that cannot link to a symlink: for a moment there is no hook at all.
        os.rename(path, kept)


def uninstall_hook(folder: Path, name: str) -> bool:
    """Take our hook away, and put back what was there before. Whether there was anything to do.

    Raises:
        StorageError: it cannot be changed.
    """
    path, kept = folder / name, folder / (name + KEPT_SUFFIX)
    whose = standing(folder, name)
    remove_durably(_staged(folder, name))
    if whose == "other" or (whose == "none" and not os.path.lexists(kept)):
        return False
    with storage_errors(path):
        if os.path.lexists(kept):
            os.replace(kept, path)
            fsync_folder(folder)
        else:
            remove_durably(path)
    return True
