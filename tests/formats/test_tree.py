"""The tree: one encoding per folder, what readers refuse, and the bytes that version 1 has for ever."""

from __future__ import annotations

import struct
import tracemalloc
from array import array
from pathlib import Path

import pytest
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UnsupportedFormat
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.header import encode_header
from datavc.formats.tree import (
    EXECUTABLE,
    FILE,
    FOLDER,
    KIND_NAMES,
    MAX_FILES,
    MAX_NAME_BYTES,
    MAX_TOTAL,
    SYMLINK,
    TREE,
    Entry,
    Tree,
    decode_tree,
    encode_tree,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def tree_of(*entries, algorithm="xxh128"):
    """The tree of rows (name, kind, size, count); each digest is made of its row's number."""
    length = ALGORITHMS[algorithm].length
    names, kinds, sizes, counts = zip(*entries, strict=True) if entries else ((), (), (), ())
    digests = [bytes([number + 1]) * length for number in range(len(entries))]
    return Tree(algorithm, list(names), bytes(kinds), array("Q", sizes), list(counts), digests)


ROWS = (
    (b"-rf", EXECUTABLE, 4096, 1),
    (b"0001.jpg", FILE, 8192, 1),
    (b"caf\xe9 \xff\n", FILE, 0, 1),
    (b"empty", FOLDER, 0, 0),
    (b"latest", SYMLINK, 8, 1),
    (b"train", FOLDER, 812_345_678_901, 100_000),
)

names = (
    st.binary(min_size=1, max_size=8)
    .map(lambda name: name.replace(b"/", b"x").replace(b"\0", b"y"))
    .filter(lambda name: name not in (b".", b".."))
)


@st.composite
def trees(draw):
    algorithm = draw(st.sampled_from(sorted(ALGORITHMS)))
    length = ALGORITHMS[algorithm].length
    ordered = sorted(draw(st.sets(names, max_size=12)))
    entries = []
    for name in ordered:
        kind = draw(st.integers(0, 3))
        count = draw(st.integers(0, 2**20)) if kind == FOLDER else 1
        entries.append((name, kind, draw(st.integers(0, 2**55)), count))
    tree = tree_of(*entries, algorithm=algorithm)
    tree.digests = [draw(st.binary(min_size=length, max_size=length)) for _ in ordered]
    return tree


@given(trees())
def test_what_is_written_reads_back_as_the_same_tree(tree):
    encoded = encode_tree(tree)

    assert decode_tree(encoded, tree.algorithm) == tree
    assert encode_tree(decode_tree(encoded, tree.algorithm)) == encoded


@given(trees())
def test_entries_are_found_by_name(tree):
    for number, name in enumerate(tree.names):
        position = tree.find(name)
        assert position == number
        entry = tree.entry(position)
        assert entry == Entry(
            name, tree.kinds[number], tree.sizes[number], tree.counts[number], tree.digests[number]
        )
        assert tree.find(name + b"\0") is None
    assert tree.find(b"") is None


def test_sizes_and_counts_are_those_of_all_that_is_below():
    tree = tree_of(*ROWS)

    assert tree.size == 4096 + 8192 + 8 + 812_345_678_901
    assert tree.count == 4 + 100_000
    assert tree.entry(5) == Entry(b"train", FOLDER, 812_345_678_901, 100_000, bytes([6]) * 16)
    assert [KIND_NAMES[kind] for kind in (FILE, EXECUTABLE, SYMLINK, FOLDER)] == list(KIND_NAMES)


def test_an_empty_folder_has_a_tree():
    encoded = encode_tree(tree_of())

    assert encoded == encode_header(TREE, "xxh128") + bytes(8)
    assert decode_tree(encoded, "xxh128") == tree_of()
    with pytest.raises(MalformedError):
        decode_tree(encoded + b"x", "xxh128")


@pytest.mark.parametrize(
    ("name", "tree", "digest"),
    [
        ("tree-version1-empty.hex", tree_of(), "xxh128:4d0e134d4e81bd5949cbc8ac97af323d"),
        ("tree-version1-xxh128.hex", tree_of(*ROWS), "xxh128:a35ec45f98cdcb779b8e42ec77ff9928"),
        (
            "tree-version1-sha256.hex",
            tree_of(*ROWS, algorithm="sha256"),
            "xxh128:dec984d9114033b1141c96de3f4d8839",
        ),
    ],
)
def test_the_golden_trees_of_version_1_stand(name, tree, digest):
    golden = bytes.fromhex((GOLDEN / name).read_text())

    assert encode_tree(tree) == golden
    assert decode_tree(golden, tree.algorithm) == tree
    assert str(Digest.of("xxh128", golden)) == digest


@given(st.binary(max_size=120))
def test_any_bytes_give_a_tree_or_an_error_of_datavc(data):
    for encoded in (data, encode_header(TREE, "xxh128") + data):
        try:
            tree = decode_tree(encoded, "xxh128")
        except DatavcError:
            continue
        assert encode_tree(tree) == encoded


@given(st.data())
def test_a_damaged_tree_is_another_canonical_tree_or_an_error_of_datavc(data):
    encoded = data.draw(damaged(encode_tree(tree_of(*ROWS))))
    try:
        tree = decode_tree(encoded, "xxh128")
    except DatavcError:
        return
    assert encode_tree(tree) == encoded


def test_a_tree_cut_off_before_its_last_name_is_refused():
    encoded = encode_tree(tree_of(*ROWS))

    for length in range(len(encoded) - len(b"train") + 1):
        with pytest.raises(MalformedError):
            decode_tree(encoded[:length], "xxh128")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([(b"b", FILE, 1, 1), (b"a", FILE, 1, 1)], "not sorted"),
        ([(b"a", FILE, 1, 1), (b"a", FILE, 1, 1)], "one twice"),
        ([(b"", FILE, 1, 1)], "without a name"),
        ([(b"", FILE, 1, 1), (b"a", FILE, 1, 1)], "without a name"),
        ([(b"a/b", FILE, 1, 1)], "slash"),
        ([(b".", FILE, 1, 1)], "named '.'"),
        ([(b"!", FILE, 1, 1), (b"..", FOLDER, 1, 1), (b"a", FILE, 1, 1)], "named '.'"),
        ([(b"a" * (MAX_NAME_BYTES + 1), FILE, 1, 1)], "longer than 1,024"),
        (
            [(b"a", FILE, 1, 1), (b"b" * (MAX_NAME_BYTES + 1), FILE, 1, 1), (b"c", FILE, 1, 1)],
            "longer than 1,024",
        ),
        ([(b"a", 4, 1, 1)], "kind"),
        ([(b"a", FILE, MAX_TOTAL, 1), (b"b", FILE, 1, 1)], "adds up to more"),
        ([(b"a", FOLDER, 1, MAX_FILES), (b"b", FILE, 1, 1)], "268,435,457 files, where 268,435,456"),
        ([(b"a", FOLDER, 1, 2**63)], "files, where"),
    ],
)
def test_no_such_tree_is_written_or_read(entries, says):
    tree = tree_of(*entries)
    with pytest.raises(MalformedError, match=says):
        encode_tree(tree)
    if b"" not in tree.names:
        with pytest.raises(MalformedError, match=says):
            decode_tree(unchecked(tree), "xxh128")


def unchecked(tree):
    """The encoding of ``tree``, made as a careless writer would."""
    folder_counts = [count for kind, count in zip(tree.kinds, tree.counts, strict=True) if kind == FOLDER]
    return b"".join(
        [
            encode_header(TREE, tree.algorithm),
            struct.pack("<2I", len(tree.names), len(folder_counts)),
            tree.kinds,
            struct.pack(f"<{len(tree.sizes)}Q", *tree.sizes),
            struct.pack(f"<{len(folder_counts)}Q", *folder_counts),
            *tree.digests,
            b"\0".join(tree.names),
        ]
    )


def test_a_careful_and_a_careless_writer_agree_on_what_is_valid():
    assert unchecked(tree_of(*ROWS)) == encode_tree(tree_of(*ROWS))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.names.append(b"z"),
        lambda tree: tree.counts.__setitem__(0, 0),
        lambda tree: tree.counts.__setitem__(0, 2),
        lambda tree: tree.counts.__setitem__(5, -1),
        lambda tree: tree.counts.__setitem__(5, 2**64),
        lambda tree: tree.digests.__setitem__(0, b"short"),
        lambda tree: tree.digests.__setitem__(slice(0, 2), [b"x" * 15, b"x" * 17]),
        lambda tree: tree.names.__setitem__(1, b"0\0 1"),
    ],
    ids=[
        "a name more",
        "a file of none",
        "a file of two",
        "a negative count",
        "a count beyond 64 bits",
        "a short digest",
        "two wrong digests",
        "a NUL",
    ],
)
def test_columns_that_contradict_each_other_are_not_written(spoil):
    tree = tree_of(*ROWS)
    spoil(tree)

    with pytest.raises(MalformedError):
        encode_tree(tree)


@pytest.mark.parametrize("lengths", [[1024], [1, 1024, 1], [1024] * 5, [1] * 5000, [512, 513, 1000, 24]])
def test_names_of_up_to_1024_bytes_are_fine(lengths):
    ordered = sorted(b"%05d" % number + b"n" * max(length - 5, 0) for number, length in enumerate(lengths))
    tree = tree_of(*((name, FILE, 1, 1) for name in ordered[:200]))

    assert decode_tree(encode_tree(tree), "xxh128") == tree


def test_another_algorithm_than_the_one_in_use_is_refused():
    with pytest.raises(MalformedError, match="sha256 where xxh128"):
        decode_tree(encode_tree(tree_of(*ROWS, algorithm="sha256")), "xxh128")


def test_a_later_version_is_refused_by_its_number():
    with pytest.raises(UnsupportedFormat, match="tree has format 2"):
        decode_tree(b"dvTR\2\1\0\0" + bytes(8), "xxh128")


@pytest.mark.parametrize(
    ("count", "folders"), [(2**32 - 1, 0), (2**32 - 1, 2**32 - 1), (0, 2**32 - 1), (7, 2)]
)
def test_declared_counts_allocate_nothing_before_they_are_believed(count, folders):
    encoded = encode_tree(tree_of(*ROWS))
    spoilt = encoded[:8] + struct.pack("<2I", count, folders) + encoded[16:]

    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            decode_tree(spoilt, "xxh128")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
