"""What a probe found out about a server: plain facts that can be kept as JSON, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast, get_args

from datavc.backends.s3_client import Check

_SKEW_SECONDS = 300
_TYPES: Mapping[str, type | tuple[type, ...]] = {"bool": bool, "int": int, "float": (int, float), "str": str}


@dataclass(frozen=True, slots=True)
class Findings:
    """Each field is one thing that was tried at ``place``, ``when`` (seconds since 1970 by this machine's clock).

    ``missing_is_missing``: a name that was never used is said not to be there. ``racing_winners``: how many of eight writers
    of one name, at once, were told that theirs is the file; 1 is right. ``clock_difference``: seconds by which the place's
    clock is ahead. ``keeps_deleted``: it is a bucket that keeps earlier versions. ``checks``: the ways of telling that an
    upload was damaged which the server knows; buckets alone have any.
    """

    place: str
    when: float
    reads_whole: bool
    reads_ranges: bool
    missing_is_missing: bool
    refuses_overwrite: bool
    racing_winners: int
    replaces_at_once: bool
    lists_all: bool
    deletes: bool
    clock_difference: float
    is_bucket: bool = False
    checks: tuple[str, ...] = ()
    keeps_deleted: bool = False

    @property
    def check(self) -> Check | None:
        """What to rely on for uploads to S3, the fastest first; None: nothing, so everything is read back."""
        return next((cast(Check, check) for check in get_args(Check) if check in self.checks), None)

    @property
    def needs_read_back(self) -> bool:
        return self.is_bucket and self.check is None

    def reasons_to_refuse(self) -> list[str]:
        """Sentences on why no data may be entrusted to the place; none where it can be used."""
        found = []
        if not self.reads_whole:
            found.append("what was written is not what is read")
        if not self.reads_ranges:
            found.append("a part of a file that is asked for is not the part that is given")
        if not self.missing_is_missing:
            found.append("a file that was never written is not said to be missing")
        if not self.replaces_at_once:
            found.append("a file that was replaced is still read as it was")
        if not self.lists_all:
            found.append("a listing leaves out files that are there, or fails")
        return found

    def problems(self) -> list[str]:
        """Sentences on what is wrong: first the reasons to refuse it, then what datavc can work around."""
        found = self.reasons_to_refuse()
        if self.needs_read_back:
            found.append("damaged uploads are not noticed, so everything is read back after it was written")
        if not self.refuses_overwrite:
            found.append(
                "a file that is there is overwritten when it must not be, so each name is asked for first"
            )
        elif self.racing_winners != 1:
            found.append(
                f"of eight writers of one name at once {self.racing_winners} were told that theirs is the file; "
                "datavc bears that, since names are made of content"
            )
        if not self.deletes:
            found.append("files cannot be deleted, so nothing can be cleaned up there")
        elif self.keeps_deleted:
            found.append(
                "the bucket keeps earlier versions of what is deleted, so that gc frees nothing there, "
                "and what is purged must be deleted there too"
            )
        if abs(self.clock_difference) > _SKEW_SECONDS:
            found.append(f"the clocks differ by {abs(self.clock_difference):.0f} seconds")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"checks": list(self.checks)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Findings | None:
        """What :meth:`as_dict` gave; None where it is anything else, such as the findings of another version."""
        if set(kept) != {field.name for field in fields(cls)}:
            return None
        checks = kept["checks"]
        if not isinstance(checks, (list, tuple)) or not set(checks) <= set(get_args(Check)):
            return None
        for field in fields(cls):
            if not isinstance(kept[field.name], _TYPES.get(str(field.type), object)):
                return None
        return cls(**{**kept, "checks": tuple(checks)})
