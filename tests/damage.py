"""Damaged encodings for fuzz tests: what a bad disk, a cut transfer or an attacker makes of valid bytes."""

from __future__ import annotations

from hypothesis import strategies as st

_INTERESTING = [b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff", bytes(8), b"\xff" * 8]


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """``valid`` after one to four cuts, overwritten bytes, insertions or repetitions."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 16))
        match draw(st.sampled_from(["cut", "overwrite", "insert", "remove", "repeat"])):
            case "cut":
                del data[start:]
            case "overwrite":
                piece = draw(st.sampled_from(_INTERESTING) | st.binary(min_size=1, max_size=8))
                data[start : start + len(piece)] = piece
            case "insert":
                data[start:start] = draw(st.binary(max_size=length))
            case "remove":
                del data[start : start + length]
            case _:
                data[start:start] = data[start : start + length]
    return bytes(data)
