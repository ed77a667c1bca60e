"""What ``add`` refuses before it hashes a byte, each time with the path and the way out."""

from __future__ import annotations

import os

from datavc.errors import ConflictError, NotFoundError, StorageError, UsageError
from datavc.formats.paths import show, split
from datavc.operations.steps.examining.examine import View
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.workspace.safepath import refused_name

_SHOWN = 10


def refuse_hopeless(repo: Repo, path: bytes, *, has_pointer: bool) -> None:
    """Refuse a path that cannot be a dataset, whatever is in it.

    Raises:
        UsageError: a name in the path cannot be written everywhere, or lies in git's or datavc's own folder.
        NotFoundError: there is nothing.
        ConflictError: git tracks files in it, or would ignore its pointer, or a folder above is a symlink.
    """
    for name in path.split(b"/"):
        reason = refused_name(name)
        if reason is not None:
            raise UsageError(f"{show(path)} cannot be added: {reason}")
    if not has_pointer and not os.path.lexists(repo.absolute(path)):
        raise NotFoundError(f"{show(path)} does not exist")
    if repo.git is None:
        return
    from datavc.git.ignorefile import ignore_line
    from datavc.git.pointers import ignored_by, tracked_below

    ignore_line(path.rpartition(b"/")[2])
    tracked = tracked_below(repo.git, [path])
    if tracked:
        raise ConflictError(
            f"{show(tracked[0])} is tracked by git{f', and {len(tracked) - 1} more' if len(tracked) > 1 else ''}: "
            "a file belongs to git or to a dataset, not to both",
            f"git rm -r --cached {repo.typed(path)}, then datavc add {repo.typed(path)}",
        )
    rule = ignored_by(repo.git, path + POINTER_SUFFIX)
    if rule is not None:
        folder, name = split(path + POINTER_SUFFIX)
        # Nothing below an ignored folder can be taken out again.
        is_below = folder and ignored_by(repo.git, folder) is not None
        raise ConflictError(
            f"git would ignore the pointer {show(path + POINTER_SUFFIX)}, by line {rule.line} of {show(rule.file)} "
            f"({show(rule.pattern)})",
            f"{'take that line away' if is_below else f'add a line !{show(name)} there'}, or move the data",
        )


def refuse_problems(view: View) -> None:
    """Refuse a dataset with paths that cannot be read or recorded.

    Raises:
        StorageError: names the first of them, with the reasons.
    """
    if not view.scan.problems:
        return
    shown = [f"{show(path)} {reason}" for path, reason in view.scan.problems[:_SHOWN]]
    more = len(view.scan.problems) - len(shown)
    raise StorageError(
        f"{show(view.path)} cannot be recorded: " + "; ".join(shown) + (f"; and {more} more" if more else ""),
        "move them away, or name them in a .datavcignore beside the dataset",
    )
