"""What a probe found, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.cli.render import talk

if TYPE_CHECKING:
    from datavc.backends.findings import Findings

_CHECKS = {
    "xxh128": "by their XXH3-128",
    "sha256": "by the SHA-256 in the signature",
    "md5": "by their MD5",
}


def tell_findings(findings: Findings) -> None:
    """Say on standard error what is well, then what is not, a line each."""
    for sentence in (*_well(findings), *findings.problems()):
        talk(f"  {sentence}")


def _well(findings: Findings) -> list[str]:
    good = []
    if findings.reads_whole and findings.reads_ranges and findings.missing_is_missing:
        good.append("what was written is read, whole and in parts; what was not is missing")
    if findings.refuses_overwrite:
        good.append("a file that is there is not overwritten")
    if findings.lists_all:
        good.append("listings are complete")
    if findings.check is not None:
        good.append(f"damaged uploads are refused, {_CHECKS[findings.check]}")
    return good
