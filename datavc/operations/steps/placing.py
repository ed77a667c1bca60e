"""Where and as what a dataset is stored: what an ingest asks of the repo."""

from __future__ import annotations

from datavc.operations.steps.examine import links_into
from datavc.operations.steps.ingest import Place
from datavc.operations.steps.linking import link_kind
from datavc.operations.steps.notes import current_commit
from datavc.repo import Repo


def place_of(repo: Repo, path: bytes, *, saved: bool = False) -> Place:
    """The place of the dataset at ``path``; ``saved`` marks unsaved work that is kept aside."""
    return Place(
        repo.cache,
        repo.stat_cache,
        repo.root_bytes,
        path,
        current_commit(repo),
        links_into(repo),
        "copy" if saved else link_kind(repo, path),
        repo.config.share_above,
        saved,
    )
