"""What gc found and did, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.cli.render import next_command, show_path, talk
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.steps.cleaning.outcome import GcResult, GcVersion

_SHOWN = 50


def print_plan(plan: GcResult, would: str) -> None:
    """Say what goes, before it does; in a dry run it ``would``."""
    _print_versions(plan.removed, f"{would}removed: nothing needs")
    _print_versions(plan.expired, f"{would}expired: history alone leads to")
    if plan.unknown:
        why = (
            f"what these clones need cannot be known: {', '.join(plan.clones)}"
            if plan.clones
            else "other clones stored them (--older-than DAYS removes them)"
        )
        _print_versions(plan.unknown, f"kept: nothing here needs, and {why}:")
        if plan.clones:
            talk("if one is gone for good: datavc cache forget CLONE")
    if plan.repacked:
        print(
            f"{count(plan.repacked, 'pack')} {would}rewritten: {human_size(plan.repacked_bytes)} of them are needed, "
            f"{human_size(plan.repack_frees_bytes)} are not"
        )
    if plan.doomed_bytes or plan.freed_bytes:
        later = f", {human_size(plan.doomed_bytes)} from {plan.next} on" if plan.doomed_bytes else ""
        print(f"{human_size(plan.freed_bytes)} {would}deleted now{later}, in {plan.place}")


def _print_versions(versions: list[GcVersion], heading: str) -> None:
    if not versions:
        return
    print(f"{heading} {count(len(versions), 'version')}")
    for version in versions[:_SHOWN]:
        name = show_path(version.path) if version.path else "(no dataset)"
        what = "unsaved work put away by --force" if version.saved else count(version.files, "file")
        print(
            f"  {name}  {version.when[:10]}  {what}, {human_size(version.size)}  {version.who}  {version.digest.short}"
        )
    if len(versions) > _SHOWN:
        print(f"  and {count(len(versions) - _SHOWN, 'other')}")


def print_result(result: GcResult, *, dry_run: bool) -> None:
    """Say what was done."""
    if not result.done:
        print_plan(result, "would be " if dry_run else "")
    for version in result.restored:
        print(f"{show_path(version.path)}: {version.digest.short} is needed again, and was brought back")
    if result.recent:
        talk(f"{count(result.recent, 'version')} that nothing needs stay: they are not old enough")
    if result.waiting_bytes:
        talk(f"{human_size(result.waiting_bytes)} wait to be deleted, from {result.next} on")
    if result.done:
        talk(f"{human_size(result.freed_bytes)} freed in {result.place}")
        if result.expired and not result.repacked:
            next_command("datavc gc --repack, for what is left of it in packs that other versions need")
        elif result.doomed_bytes:
            next_command("datavc gc --restore brings it back until then")
    elif not (
        result.repacked or result.removed or result.expired or result.freed_bytes or result.doomed_bytes
    ):
        talk(f"there is nothing to delete in {result.place}")


def print_restored(result: GcResult, *, dry_run: bool) -> None:
    """Say what was brought back."""
    would = "would be brought back" if dry_run else "brought back"
    for version in result.restored:
        print(f"{show_path(version.path)}: {version.digest.short} of {version.when[:10]} {would}")
    talk(f"{count(len(result.restored), 'version')} {would}")
