"""Digests: the algorithm-qualified content hashes that name every object.

Inside, a digest is raw bytes beside an algorithm known from the context; at the edges it is the text
``xxh128:33119477ede5dcd5e9716427681d5860``. In file names the colon becomes a hyphen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import xxhash

from datavc.errors import MalformedError, UnsupportedFormat, UsageError

HashOneShot = Callable[[bytes | memoryview], bytes]


class Hasher(Protocol):
    """An incremental hash, as hashlib makes them."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object: ...

    def digest(self) -> bytes: ...


class Algorithm(NamedTuple):
    """A digest algorithm: ``code`` stands for it in binary headers, ``length`` is in bytes."""

    name: str
    code: int
    length: int


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("xxh128", 1, 16),
        Algorithm("blake3", 2, 32),
        Algorithm("sha256", 3, 32),
    )
}
DEFAULT_ALGORITHM = "xxh128"
_BY_CODE = {algorithm.code: algorithm for algorithm in ALGORITHMS.values()}
_TEXT = re.compile(r"([a-z0-9]+)([:-])([0-9a-f]+)")


def algorithm_of_code(code: int) -> Algorithm:
    """The algorithm that a binary header names.

    Raises:
        UnsupportedFormat: the code is unknown to this version.
    """
    algorithm = _BY_CODE.get(code)
    if algorithm is None:
        raise UnsupportedFormat(f"digest algorithm number {code} is unknown to this version of datavc")
    return algorithm


def new_hasher(algorithm: str) -> Hasher:
    """An empty incremental hash of ``algorithm``.

    Raises:
        UsageError: the algorithm is unknown, or its package is not installed.
    """
    if algorithm == "xxh128":
        return xxhash.xxh3_128()
    if algorithm == "sha256":
        return _sha256()()
    if algorithm == "blake3":
        return _blake3()()
    raise UsageError(f"unknown digest algorithm {algorithm!r}", f"choose one of {', '.join(ALGORITHMS)}")


def hash_function(algorithm: str) -> HashOneShot:
    """The one-shot hash of ``algorithm``: bytes to raw digest. Raises as :func:`new_hasher`."""
    if algorithm == "xxh128":
        return xxhash.xxh3_128_digest
    if algorithm == "sha256":
        sha256 = _sha256()
        return lambda data: sha256(data).digest()
    if algorithm == "blake3":
        blake3 = _blake3()
        return lambda data: blake3(data).digest()
    raise UsageError(f"unknown digest algorithm {algorithm!r}", f"choose one of {', '.join(ALGORITHMS)}")


def _sha256() -> Callable[..., Hasher]:
    # Loads OpenSSL, 5 ms that repos of other algorithms need not pay.
    import hashlib

    return hashlib.sha256


def _blake3() -> Callable[..., Hasher]:
    try:
        from blake3 import blake3
    except ImportError:
        raise UsageError(
            "the digest algorithm blake3 needs the package blake3", "pip install 'datavc[blake3]'"
        ) from None
    return blake3


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An object's name: ``algorithm`` and the ``raw`` hash of its plain content."""

    algorithm: str
    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != ALGORITHMS[self.algorithm].length:
            raise MalformedError(f"a {self.algorithm} digest cannot have {len(self.raw)} bytes")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``ALGORITHM:HEX``, the one spelling that is valid.

        Raises:
            UnsupportedFormat: the algorithm is unknown to this version.
            MalformedError: anything else is wrong with ``text``.
        """
        return cls._parse(text, ":")

    @classmethod
    def parse_file_name(cls, name: str) -> Digest:
        """Read ``ALGORITHM-HEX``, the spelling used in file names. Raises as :meth:`parse`."""
        return cls._parse(name, "-")

    @classmethod
    def _parse(cls, text: str, separator: str) -> Digest:
        match = _TEXT.fullmatch(text)
        if not match or match[2] != separator:
            raise MalformedError(f"{text[:80]!r} is not a digest, which reads ALGORITHM{separator}HEX")
        algorithm = ALGORITHMS.get(match[1])
        if algorithm is None:
            raise UnsupportedFormat(
                f"digest algorithm {match[1][:40]!r} is unknown to this version of datavc"
            )
        if len(match[3]) != 2 * algorithm.length:
            raise MalformedError(f"{text[:80]!r} should have {2 * algorithm.length} hex digits")
        return cls(algorithm.name, bytes.fromhex(match[3]))

    @classmethod
    def of(cls, algorithm: str, content: bytes) -> Digest:
        """The digest of ``content``."""
        return cls(algorithm, hash_function(algorithm)(content))

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.raw.hex()}"

    @property
    def file_name(self) -> str:
        """``ALGORITHM-HEX``, as files are named."""
        return f"{self.algorithm}-{self.raw.hex()}"

    @property
    def short(self) -> str:
        """Enough to recognise it by, for messages."""
        return f"{self.algorithm}:{self.raw.hex()[:12]}"
