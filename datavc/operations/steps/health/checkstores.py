"""What ``doctor`` looks at in places that keep data: the cache, links from it, its disk and its clock; and remotes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from datavc.durable import TEMPORARY_PREFIX
from datavc.errors import DatavcError, NotFoundError
from datavc.formats.amounts import human_size
from datavc.formats.paths import shell_word
from datavc.formats.remotes import RemoteSettings
from datavc.operations.steps.health.checkup import Finding, failed, note, ok, problem
from datavc.operations.steps.remotes.probes import is_fresh, read_findings
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.storing.placing import free_bytes
from datavc.repo import Repo
from datavc.store.note import check_note

_SKEW_SECONDS = 300
_LITTLE_BYTES = 1 << 30
_DAY = 86_400


def check_cache(repo: Repo) -> Iterator[Finding]:
    """The cache can be read and written, there is room, its clock is that of this machine, and links work as configured."""
    try:
        cache = repo.cache
        free = free_bytes(cache.folder)
    except (DatavcError, OSError) as error:
        yield failed("cache", error) if isinstance(error, DatavcError) else problem("cache", str(error))
        return
    where = f"{cache.folder}, {human_size(free)} free"
    if free < _LITTLE_BYTES:
        yield problem("cache", f"little room is left: {where}", "datavc evict")
    else:
        yield ok("cache", where)
    yield from _check_writing(repo)
    yield from _check_links(repo)


def _check_writing(repo: Repo) -> Iterator[Finding]:
    """A file is made in the cache, which shows the right to, and the clock that stamps it."""
    folder = repo.cache.folder
    path = folder / f"{TEMPORARY_PREFIX}{os.urandom(6).hex()}"
    try:
        with open(path, "xb") as file:
            made = os.fstat(file.fileno()).st_mtime
    except OSError as error:
        yield problem(
            "cache",
            f"nothing can be written in {folder}: {error.strerror}",
            f"chmod -R u+rwX {shell_word(os.fsencode(folder))}",
        )
        return
    path.unlink(missing_ok=True)
    difference = made - time.time()
    if abs(difference) > _SKEW_SECONDS:
        yield problem(
            "clock",
            f"the clock of {folder} differs from this machine's by {abs(difference):,.0f} seconds",
            "sudo timedatectl set-ntp true",
        )
    else:
        yield ok("clock", "this machine and its cache agree on the time")


def _check_links(repo: Repo) -> Iterator[Finding]:
    from datavc.workspace.links import LINK_KINDS, probe_links

    try:
        usable = probe_links(repo.cache.folder, repo.root)
    except DatavcError as error:
        yield failed("links", error)
        return
    wanted = repo.config.link_types
    chosen = next((kind for kind in wanted if kind in usable), "copy")
    works = ", ".join(kind for kind in LINK_KINDS if kind in usable)
    if chosen == "copy" and "copy" not in wanted:
        yield problem(
            "links",
            f"cache.link allows only {', '.join(wanted)}, and from cache to workspace there is only {works}",
            f"datavc config cache.link {','.join(dict.fromkeys((*wanted, 'copy')))}",
        )
    else:
        yield ok("links", f"{works} work here; {chosen} is used")


def check_remotes(repo: Repo, *, offline: bool) -> Iterator[Finding]:
    """What earlier probes found, and whether each remote answers: one request, unless ``offline``."""
    try:
        remotes = repo.remotes()
    except DatavcError as error:
        yield failed("remotes", error)
        return
    if not remotes:
        yield note("remotes", "there are none: what is here is here alone", "datavc remote add origin URL")
        return
    if not any(remote.is_default for remote in remotes):
        yield problem(
            "remotes", "none of them is the default one", f"datavc config remote.default {remotes[0].name}"
        )
    with ThreadPoolExecutor(min(4, len(remotes))) as executor:
        for findings in executor.map(lambda remote: list(_check_remote(repo, remote, offline)), remotes):
            yield from findings


def _check_remote(repo: Repo, remote: RemoteSettings, offline: bool) -> Iterator[Finding]:
    name = remote.name
    if not offline:
        try:
            store = open_remote(repo, name)
            try:
                check_note(store.backend, create=False)
            finally:
                store.backend.close()
        except NotFoundError as error:
            # Of a folder: that of another machine, or of a disk that is not there just now.
            yield problem(
                "remotes", f"{name}: {error.message}", error.hint or f"datavc remote set-url {name} URL"
            )
            return
        except DatavcError as error:
            yield problem("remotes", f"{name}: {error.message}", error.hint or f"datavc remote probe {name}")
            return
    probe = f"datavc remote probe {name}"
    findings = read_findings(repo, remote)
    wrong = findings.problems() if findings is not None else []
    for sentence in wrong:
        yield problem("remotes", f"{name}: {sentence}", probe)
    answers = "was not asked" if offline else "answers"
    if findings is None and not remote.read_only:
        yield note("remotes", f"{name} {answers}; it was never tried from here", probe)
    elif findings is not None and not is_fresh(findings):
        yield note("remotes", f"{name} {answers}; it was tried {_days(findings.when)} ago", probe)
    elif not wrong:
        yield ok("remotes", f"{name} {answers}")


def _days(when: float) -> str:
    return f"{max(0.0, time.time() - when) / _DAY:,.0f} days"
