"""What the commands that talk to remotes have in common: values of their options, and the summary at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.cli.render import next_command, talk
from datavc.errors import UsageError
from datavc.formats.amounts import count, human_size
from datavc.formats.config import parse_size

if TYPE_CHECKING:
    from datavc.operations.fetch import FetchResult
    from datavc.operations.push import PushResult
    from datavc.operations.steps.naming.chosen import Revisions
    from datavc.operations.steps.transfers.transfer import Traffic

PARTLY_DONE = 3


def revisions(named: list[str] | None, *, all_branches: bool, all_tags: bool) -> Revisions:
    """The git revisions that the options choose."""
    from datavc.operations.steps.naming.chosen import Revisions

    return Revisions(tuple(named or ()), all_branches, all_tags)


def memory_bytes(text: str) -> int:
    """The value of ``--memory``. Raises UsageError."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"--memory {error}, not {text!r}") from None


def print_summary(result: FetchResult | PushResult) -> None:
    """What stands below the rows of a transfer: what was asked of remotes, and what to do about each failure."""
    if not result.datasets:
        talk("there are no datasets")
    print_traffic(result.traffic)
    for row in result.failed:
        if row.hint:
            next_command(row.hint)


def print_traffic(traffic: Traffic) -> None:
    """Say what was asked of remotes."""
    repeated = f" ({traffic.retries:,} repeated)" if traffic.retries else ""
    talk(
        f"{count(traffic.total, 'request')}{repeated}, {human_size(traffic.sent_bytes)} sent, "
        f"{human_size(traffic.received_bytes)} received"
    )
