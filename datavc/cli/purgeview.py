"""What a purge is about and did, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from datavc.cli.render import next_command, show_from_here, show_path, talk
from datavc.cli.terminal import printable
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.purge import PurgedStore, PurgeResult
    from datavc.repo import Repo

_SHOWN = 30


def print_plan(repo: Repo, plan: PurgeResult, would: str) -> None:
    """Say what goes and where it is, before it goes; in a dry run it ``would``."""
    sizes = [file.size for file in plan.files if file.size is not None]
    amount = f", {human_size(sum(sizes))}" if len(sizes) == len(plan.files) else ""
    print(f"{count(len(plan.files), 'file')}{amount}, {would}purged:")
    _lines(
        f"{show_path(file.path) if file.path is not None else '(no path)'}  {file.digest}"
        for file in plan.files
    )
    if plan.versions:
        print(f"in {count(len(plan.versions), 'version')}:")
        _lines(
            f"{show_path(one.path)}  {one.digest.short}  {count(len(one.files), 'file')}  "
            + (f"commits {', '.join(id_[:10] for id_ in one.commits[:5])}" if one.commits else "in no commit")
            for one in plan.versions
        )
    if plan.derived:
        print("made of it by runs, and not purged:")
        _lines(f"{show_path(path)}  {digest}" for path, digest in plan.derived)
    if plan.records:
        print("runs that read or made it; their logs may repeat it:")
        _lines(
            f"{row.when[:10]}  {row.digest.short}  {printable(row.command)[:60]}"
            + "".join(f"  {name} {digest}" for name, digest in row.logs.items())
            for row in plan.records
        )
    for store in plan.stores:
        print(f"{store.place}: {_amounts(store)}")
    for digest in plan.unread:
        print(f"not looked into: {digest} is neither here nor on a remote")
    for name, message in plan.unreached:
        print(f"not reached: the remote {name}: {printable(message)}")
    _heading("clones that may have it, in workspaces and caches of their own:", plan.clones)
    _heading(
        "files here that have it, and stay:", (show_from_here(repo.root, path) for path in plan.workspace)
    )


def _amounts(store: PurgedStore) -> str:
    parts = [f"{count(store.packs, 'pack')} rewritten" if store.packs else ""]
    parts.append(f"{count(store.files, 'other file')} deleted" if store.files else "")
    what = ", ".join(filter(None, parts)) or "has none of it"
    if store.size:
        what += f" ({human_size(store.size)})"
    if store.shared:
        what += f"; the bytes of {count(len(store.shared), 'file')} stay, as parts of other files"
    if store.shared_bytes:
        what += f"; {human_size(store.shared_bytes)} of it are in other files too, and stay"
    return what


def print_result(repo: Repo, result: PurgeResult, *, dry_run: bool) -> None:
    """Say what was done, or would be, and what is left to do."""
    if dry_run:
        print_plan(repo, result, "would be ")
        return
    places = count(len(result.stores), "place")
    talk(f"{count(len(result.files), 'file')} purged in {places}")
    if result.workspace:
        talk("the workspace still has the files: delete them, and add the dataset without them")
        datasets = {one.path for one in result.versions if set(one.files) & set(result.workspace)}
        # Of a dataset that is one file nothing is left to add.
        lone = datasets & set(result.workspace)
        if lone:
            next_command(f"datavc remove --delete --force {repo.typed(*sorted(lone))}")
        if datasets - lone:
            next_command(f"datavc add {repo.typed(*sorted(datasets - lone))}")
    if result.unreached:
        next_command("datavc purge, when the others can be reached")
    elif result.clones:
        next_command("datavc purge, in each of the other clones")


def _heading(heading: str, rows: Iterable[str]) -> None:
    rows = list(rows)
    if rows:
        print(heading)
        _lines(rows)


def _lines(rows: Iterable[str]) -> None:
    rows = list(rows)
    for row in rows[:_SHOWN]:
        print(f"  {row}")
    if len(rows) > _SHOWN:
        print(f"  and {count(len(rows) - _SHOWN, 'other')}")
