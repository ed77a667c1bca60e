"""What is compressed, what is not tried any more, and that nothing is believed of the encoder."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import IntegrityError
from datavc.formats import codec
from datavc.store import compression
from datavc.store.compression import Compressor, pack_chunk

TEXT = b"the quick brown fox jumps over the lazy dog, and again; " * 50
NOISE = random.Random(5).randbytes(len(TEXT))


@given(st.binary(max_size=200).map(lambda piece: piece * 20) | st.binary(max_size=2000))
def test_a_frame_is_smaller_than_the_content_and_decodes_to_it(raw: bytes):
    for packed in (pack_chunk(raw), Compressor().pack(b"kind", raw)):
        if packed is not None:
            assert len(packed) < len(raw)
            assert codec.decompress(packed, len(raw)) == raw


def test_text_is_compressed_and_noise_is_not():
    for pack in (pack_chunk, lambda raw: Compressor().pack(b".x", raw)):
        assert pack(TEXT) is not None
        assert pack(NOISE) is None
        assert pack(b"") is None


def test_a_chunk_is_judged_by_its_middle():
    middle = random.Random(6).randbytes(60_000)
    assert pack_chunk(TEXT * 10 + middle + TEXT * 10) is None
    assert pack_chunk(memoryview(TEXT * 50)) is not None


def test_a_kind_that_does_not_shrink_is_tried_four_times_then_every_32nd(monkeypatch: pytest.MonkeyPatch):
    tried = []
    real = codec.compress
    monkeypatch.setattr(codec, "compress", lambda raw: tried.append(raw) or real(raw))
    compressor = Compressor()

    for _ in range(100):
        assert compressor.pack(b".jpg", NOISE) is None
    assert len(tried) == 4 + len([number for number in range(4, 100) if number % 32 == 0])

    tried.clear()
    assert compressor.pack(b".csv", TEXT) is not None
    assert len(tried) == 1


def test_a_kind_that_shrinks_again_is_compressed_again():
    compressor = Compressor()
    for _ in range(32):
        compressor.pack(b".dat", NOISE)

    assert compressor.pack(b".dat", TEXT) is not None
    assert compressor.pack(b".dat", TEXT) is not None


def test_very_short_entries_are_not_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "compress", pytest.fail)

    assert Compressor().pack(b".txt", b"a" * 63) is None


@pytest.mark.parametrize("pack", [pack_chunk, lambda raw: Compressor().pack(b".x", raw)])
def test_an_encoder_that_is_wrong_is_noticed_before_anything_is_stored(monkeypatch: pytest.MonkeyPatch, pack):
    wrong = codec.encode_frame(TEXT.replace(b"fox", b"cat"), hashed=False)
    monkeypatch.setattr(compression.codec, "compress", lambda raw: wrong)

    with pytest.raises(IntegrityError, match="memory"):
        pack(TEXT)
