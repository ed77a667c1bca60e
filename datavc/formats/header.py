"""The eight bytes with which every binary file begins: magic, format number, digest algorithm, and two bytes of its own.

Specified in ``docs/reference/formats.md``.
"""

from __future__ import annotations

from datavc.errors import MalformedError, UnsupportedFormat
from datavc.formats.digest import ALGORITHMS, Algorithm, algorithm_of_code

HEADER_BYTES = 8
FORMAT = 0


def encode_header(magic: bytes, number: int, algorithm: str, extra: int = 0) -> bytes:
    """``magic`` (4 bytes), format ``number``, the algorithm's code, ``extra`` and a zero byte."""
    return magic + bytes((number, ALGORITHMS[algorithm].code, extra, 0))


def decode_header(data: bytes, magic: bytes, number: int, what: str) -> tuple[Algorithm, int]:
    """The algorithm and the extra byte of a header that must have this magic and format number.

    Raises:
        UnsupportedFormat: the format number or the algorithm is unknown to this version.
        MalformedError: it is no such header.
    """
    if len(data) < HEADER_BYTES or data[:4] != magic:
        raise MalformedError(f"{what} does not begin with {magic.decode()}")
    if data[4] != number:
        raise UnsupportedFormat(
            f"{what} has format number {data[4]}; this version of datavc knows {number}", "pip install -U datavc"
        )
    if data[7]:
        raise MalformedError(f"{what} has a header with a stray byte")
    return algorithm_of_code(data[5]), data[6]


def require_algorithm(found: Algorithm, wanted: str, what: str) -> None:
    """Raises MalformedError where a file that is read for one algorithm is of another."""
    if found.name != wanted:
        raise MalformedError(f"{what} is of {found.name} where {wanted} is expected")
