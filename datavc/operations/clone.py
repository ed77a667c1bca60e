"""``clone``: ``git clone``, and then ``pull`` in what came."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from datavc.durable import storage_errors
from datavc.errors import AGAIN, DatavcError
from datavc.formats.paths import shell_word, show
from datavc.formats.secrets import redact
from datavc.git.cloning import clone as clone_git
from datavc.git.cloning import default_folder
from datavc.operations.pull import PullResult, pull
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY
from datavc.progress import SILENT, Progress
from datavc.repo import CONFIG_NAME, Repo


@dataclass(frozen=True, slots=True)
class CloneResult:
    """Where the clone is, and what was pulled into it; ``pulled`` is None where datavc is not used in that repository."""

    folder: Path
    pulled: PullResult | None


def clone(
    url: str,
    folder: Path | None = None,
    *,
    here: Path,
    remote: str | None = None,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> CloneResult:
    """Clone the git repository at ``url`` into ``folder`` (by default, in ``here``, under its own name), and pull.

    Raises:
        ConflictError: there is something at ``folder``. DatavcError: git failed; there is no clone.
        As :func:`datavc.operations.pull.pull`: then the git clone is there, and the hint says how to go on.
    """
    target = here / (folder if folder is not None else default_folder(url))
    progress.begin(f"cloning {redact(url)}")
    with storage_errors(target):
        clone_git(url, target, here=here)
    progress.end()
    if not (target / CONFIG_NAME).is_file():
        return CloneResult(target, None)
    try:
        repo = Repo.find(target)
        pulled = pull(repo, [], remote=remote, memory=memory, jobs=jobs, progress=progress)
    except DatavcError as error:
        progress.note(
            f"the git repository was cloned into {show(os.fsencode(target))}, without all of its datasets"
        )
        go_on = f"cd {shell_word(os.fsencode(target))} && datavc pull"
        hint = error.hint or AGAIN
        # Cloning again is refused, since the folder is there.
        if AGAIN in hint:
            error.hint = hint.replace(f"then {AGAIN}", f"then: {go_on}").replace(AGAIN, go_on)
        else:
            error.hint = f"{hint}\nthen: {go_on}"
        raise
    return CloneResult(target, pulled)
