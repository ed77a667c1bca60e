"""``datavc doctor``."""

from __future__ import annotations

from datavc.cli.options import Json, Offline
from datavc.cli.render import print_json, styled, talk
from datavc.cli.session import current
from datavc.cli.terminal import printable
from datavc.formats.amounts import count

_STYLES = {"ok": "green", "note": "yellow", "problem": "red"}
_WIDTH = max(map(len, _STYLES))


def doctor(offline: Offline = False, json: Json = False) -> int | None:
    """Look at all that datavc stands on

    Versions, the repository, git, datasets, the cache, link types, remotes, hooks, locks and clocks. Each problem comes with
    the command that mends it. Nothing is changed; each remote gets one request.

    Examples:
      datavc doctor
      datavc doctor --offline --json

    Exit codes: 0 nothing is wrong, 1 something is.
    """
    from datavc.operations.doctor import doctor as examine

    findings = examine(current().folder, offline=offline)
    problems = [finding for finding in findings if finding.state == "problem"]
    if json:
        print_json(findings)
        return 1 if problems else None
    for finding in findings:
        state = styled(finding.state.ljust(_WIDTH), _STYLES[finding.state])
        print(f"{state}  {finding.area}: {printable(finding.message)}")
        for line in printable(finding.command or "").splitlines():
            print(f"{'':{_WIDTH}}    {line}")
    talk(count(len(problems), "problem") if problems else "nothing is wrong")
    return 1 if problems else None
