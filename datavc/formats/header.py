"""The eight bytes that every binary file of datavc starts with: what it is, in which format, of which algorithm.

What follows them is known to ``tree.py``, ``chunklist.py``, ``pack.py`` and ``packindex.py``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from datavc.errors import MalformedError, UnsupportedFormat
from datavc.formats.digest import ALGORITHMS, algorithm_of_code

FORMAT = 1
"""The format number of all that is written, but for trees, which count their own versions."""

KNOWN_FORMATS = (0, FORMAT)
"""Those that are read: each that was ever written, for ever. Format 0 differs from 1 in nothing but the number."""

UPGRADE_HINT = "pip install -U datavc"

HEADER_BYTES = 8
_HEADER = struct.Struct("<4s4B")  # magic, format number, algorithm code, extra, reserved


class FileType(NamedTuple):
    """A kind of file: its ``magic``, the format ``number`` that is written, its ``name`` in messages, all ``known`` ones."""

    magic: bytes
    number: int
    name: str
    known: tuple[int, ...]


def encode_header(file_type: FileType, algorithm: str, extra: int = 0) -> bytes:
    """The header of a file whose digests are of ``algorithm``; ``extra`` is one byte of the file type's own."""
    return _HEADER.pack(file_type.magic, file_type.number, ALGORITHMS[algorithm].code, extra, 0)


def decode_header(data: bytes, file_type: FileType, *, extras: int = 1) -> tuple[str, int]:
    """The algorithm and the extra byte, which must be below ``extras``, of the header that ``data`` starts with.

    Raises:
        UnsupportedFormat: a format number or algorithm that this version does not know.
        MalformedError: anything else is wrong with the header.
    """
    if len(data) < HEADER_BYTES or data[:4] != file_type.magic:
        raise MalformedError(f"the bytes at hand are no {file_type.name}: they do not start as one")
    _, number, code, extra, reserved = _HEADER.unpack_from(data)
    if number not in file_type.known:
        raise UnsupportedFormat(
            f"this {file_type.name} has format {number}, which this version of datavc does not know",
            UPGRADE_HINT,
        )
    try:
        algorithm = algorithm_of_code(code).name
    except UnsupportedFormat as error:
        raise UnsupportedFormat(f"this {file_type.name}: {error.message}", UPGRADE_HINT) from None
    if reserved or extra >= extras:
        raise MalformedError(
            f"this {file_type.name} has {extra} and {reserved} in its header where {extras - 1} and 0 end"
        )
    return algorithm, extra


def require_algorithm(found: str, wanted: str, file_type: FileType) -> None:
    """Refuse a file of another algorithm than the one that its surroundings have.

    Raises:
        MalformedError: ``found`` is not ``wanted``.
    """
    if found != wanted:
        raise MalformedError(f"this {file_type.name} has digests of {found} where {wanted} is in use")
