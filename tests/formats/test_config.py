"""Configuration: what each key takes and where it may stand, how layers are merged, and that an edit changes one key."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UsageError
from datavc.formats.config import (
    DEFAULT_LINKS,
    DEFAULT_SHARE_ABOVE,
    MAX_CONFIG_BYTES,
    SETTINGS,
    edit_config,
    environment_config,
    flatten,
    merge_config,
    parse_size,
    read_config,
)
from datavc.formats.toml import toml_lines, toml_value

REPO_ID = "0123456789abcdef" * 2

# key: values it takes, as they are read, and values it does not take.
VALUES: dict[str, tuple[list[tuple[object, object]], list[object]]] = {
    "format": ([(0, 0), (1, 1)], [2, 1.0, -1, "0", True, False, 0.5, []]),
    "repo": ([(REPO_ID, REPO_ID)], ["", "x", REPO_ID.upper(), REPO_ID[:-1], REPO_ID + "0", 5, []]),
    "hash": ([(name, name) for name in ("xxh128", "blake3", "sha256")], ["md5", "", 1, [], ["xxh128"], True]),
    "cache.dir": ([("/big", "/big"), ("../x", "../x"), (" ", " ")], ["", "a\0b", 5, [], False]),
    "cache.link": (
        [("hardlink", ("hardlink",)), ("hardlink, copy", ("hardlink", "copy")), (["symlink"], ("symlink",))],
        ["", "soft", [], ["copy", 1], [["copy"]], 5, ["copy", ""]],
    ),
    "cache.share_above": (
        [(0, 0), ("0", 0), ("1MiB", 1 << 20), ("2 kb", 2000), (" 3 ", 3), ("1gIb", 1 << 30)],
        [-1, "-1", "1.5", "1TB", "", "MiB", True, 1.0, []],
    ),
    "cache.keep": ([("all", "all"), ("unpushed", "unpushed")], ["", "none", [], True]),
    "git.push": ([(name, name) for name in ("refuse", "push", "off")], ["", "on", 1, [], True]),
    "remote.default": ([("origin", "origin")], ["", "default", "a.b", "-x", "x" * 64, 1, []]),
    "remote.NAME.url": ([("s3://b/x", "s3://b/x")], ["", "a\nb", 1, []]),
    "remote.NAME.endpoint": ([("https://h", "https://h")], ["", "\x1b[2J", 1]),
    "remote.NAME.region": ([("eu-1", "eu-1")], ["", 1]),
    "remote.NAME.profile": ([("work", "work")], ["", 1]),
    "remote.NAME.path_style": ([(True, True), ("FALSE", False)], ["yes", 1, 0, []]),
    "remote.NAME.anonymous": ([(False, False), ("true", True)], ["", 1]),
    "remote.NAME.read_only": ([(True, True)], ["on", 0]),
    "remote.NAME.allow": ([("x", "x")], ["", 1]),
}


def test_every_key_has_its_values_here():
    assert VALUES.keys() == SETTINGS.keys()


@pytest.mark.parametrize("key", VALUES)
def test_a_key_takes_its_values_and_refuses_others_by_name(key: str):
    name = key.replace("NAME", "origin")
    setting = SETTINGS[key]
    for value, parsed in VALUES[key][0]:
        text = f"{name} = {toml_value(value)}".encode()
        values = read_config(text, "the file", committed=setting.committed)
        assert merge_config([("repo", values)]).get(name) == parsed
    for value in VALUES[key][1]:
        text = f"{name} = {toml_value(value)}".encode()
        with pytest.raises(UsageError) as caught:
            read_config(text, "the file", committed=setting.committed)
        assert name in caught.value.message and "the file" in caught.value.message


@pytest.mark.parametrize("key", VALUES)
def test_a_key_stands_where_it_may_and_nowhere_else(key: str):
    setting = SETTINGS[key]
    name = key.replace("NAME", "origin")
    text = f"{name} = {toml_value(VALUES[key][0][0][0])}".encode()
    for committed, allowed in ((True, setting.committed), (False, setting.local)):
        if allowed:
            assert name in read_config(text, "the file", committed=committed)
        else:
            with pytest.raises(UsageError, match="does not belong into the file"):
                read_config(text, "the file", committed=committed)


def test_unknown_keys_are_kept_and_do_nothing():
    values = read_config(b"later = 1\n[a.b]\nc = [1, {d = 2}]\n", "f", committed=True)

    assert values == {"later": 1, "a.b.c": [1, {"d": 2}]}
    config = merge_config([("repo", values)])
    assert (config.get("later"), config.get("nothing")) == (1, None)


def test_without_a_file_there_are_defaults():
    config = merge_config([])

    assert (config.hash, config.cache_dir, config.link_types) == ("xxh128", None, DEFAULT_LINKS)
    assert config.share_above == DEFAULT_SHARE_ABOVE
    assert config.origin("hash") == "default"
    assert "hash" in config.names() and "cache.dir" not in config.names()
    with pytest.raises(UsageError, match="no key repo"):
        _ = config.repo_id


def test_the_later_layer_counts_and_is_named():
    config = merge_config(
        [
            ("repo", {"repo": REPO_ID, "cache.link": "copy", "cache.share_above": 1}),
            ("user", {"cache.link": "hardlink"}),
            ("local", {"cache.dir": "/x"}),
            ("environment", environment_config({"DATAVC_CACHE_SHARE_ABOVE": "2KiB", "DATAVC_CACHE_DIR": ""})),
        ]
    )

    assert (config.repo_id, config.link_types, config.cache_dir, config.share_above) == (
        REPO_ID,
        ("hardlink",),
        "/x",
        2048,
    )
    origins = [config.origin(key) for key in ("repo", "cache.link", "cache.dir", "cache.share_above", "hash")]
    assert origins == ["repo", "user", "local", "environment", "default"]


def test_the_environment_sets_what_a_local_file_may_and_says_so_when_it_is_wrong():
    for key, setting in SETTINGS.items():
        variable = f"DATAVC_{key.replace('.', '_').upper()}"
        value = str(VALUES[key][0][0][0])
        found = environment_config({variable: value})
        assert found == ({key: value} if setting.local and "NAME" not in key else {})
    with pytest.raises(UsageError, match="environment"):
        environment_config({"DATAVC_CACHE_LINK": "soft"})


@pytest.mark.parametrize(
    "text",
    [
        'password = "x"',
        'remote.origin.secret_access_key = "x"',
        '[a]\napi_token = "x"',
        'remote.origin.url = "https://user:word@host/x"',
        'remote.origin.url = "HTTPS://user:word@host/x"',
        'urls = ["s3://fine", "https://user:word@host/x"]',
        '[[mirrors]]\nurl = "https://user:word@host/x"',
        '[[mirrors]]\nname = "x"\npassword = "x"',
        'mirrors = [[{inner = {token = "x"}}]]',
    ],
)
def test_a_secret_in_a_committed_file_is_refused_and_not_shown(text: str):
    with pytest.raises(UsageError, match="secret") as caught:
        read_config(text.encode(), "datavc.toml", committed=True)

    assert "word@" not in caught.value.message
    assert "--local" in str(caught.value.hint)
    read_config(text.encode(), "the local file")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"a = [",
        b"a = 1\na = 2",
        b"a = " + b"9" * 5000,
        b"a = 99999999999999999999",
        b"a" + b".a" * 300 + b" = 1",
        b"a = " + b"[" * 30 + b"]" * 30,
        b"a = " + b"[" * 100_000,
        b"#" * (MAX_CONFIG_BYTES + 1),
        b"\0",
    ],
    ids=range(10),
)
def test_what_is_no_toml_is_refused_with_the_name_of_the_file(data: bytes):
    with pytest.raises(MalformedError, match="the file"):
        read_config(data, "the file")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_settings_or_an_error_of_ours(data: bytes):
    for committed in (True, False):
        try:
            read_config(data, "the file", committed=committed)
        except DatavcError:
            pass


_keys = st.sampled_from(["a", "b", "cache", "c-d", "1", "dir"])
_values = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.sampled_from(["", "x y", "\u00e9", 'q"\n', "#"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=2),
    max_leaves=6,
)


def _document(values: dict) -> str:
    """A TOML text, some of whose tables are inline and some are not."""
    plain = {key: value for key, value in values.items() if not (isinstance(value, dict) and len(key) > 1)}
    lines = ["# a comment", *toml_lines(plain), ""]
    for key in sorted(values.keys() - plain.keys()):
        lines += [f"[{key}]  # of its own", *toml_lines(values[key]), ""]
    return "\n".join(lines)


@given(
    st.dictionaries(_keys, _values, max_size=4),
    st.lists(_keys, min_size=1, max_size=3),
    st.sampled_from([None, "text", 5, ("reflink", "copy")]),
)
def test_an_edit_changes_one_key_and_keeps_comments_or_is_refused(values: dict, path: list[str], value):
    text, key = _document(values), ".".join(path)
    try:
        edited = edit_config(text, key, value)
    except UsageError:
        return
    before, after = flatten(tomllib.loads(text)), flatten(tomllib.loads(edited))

    assert after.pop(key, None) == (list(value) if isinstance(value, tuple) else value)
    before.pop(key, None)
    if value is None:
        before = {name: old for name, old in before.items() if not name.startswith(f"{key}.")}
    assert after == before
    assert edited.startswith("# a comment")


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", '[cache]\ndir = "/x"\n'),
        ("# mine\nother = 1\n", '# mine\nother = 1\n\n[cache]\ndir = "/x"\n'),
        ('[cache]  # here\ndir = "/old"  # why\nlink = "copy"\n', None),
        ('cache.dir = "/old"\ncache.link = "copy"\n', None),
        ('cache = {dir = "/old", link = "copy"}\n', None),
    ],
)
def test_however_a_table_is_written_its_key_is_set_in_place(text: str, edited: str | None):
    assert edit_config(text, "cache.dir", "/x") == (edited or text.replace("/old", "/x"))


def test_a_value_does_not_take_the_place_of_a_whole_table():
    text = '[cache]\ndir = "/x"\nlink = "copy"\n'
    with pytest.raises(UsageError, match="cache"):
        edit_config(text, "cache", "5")
    with pytest.raises(UsageError, match="dir"):
        edit_config(text, "cache.dir.x", "5")
    assert tomllib.loads(edit_config(text, "cache", None)) == {}


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", "a b", 'a"', "a\n", "é"])
def test_what_is_no_key_is_refused(key: str):
    with pytest.raises(UsageError, match="no key"):
        edit_config("", key, 1)


@given(st.integers(0, 10**30), st.sampled_from(["", "b", "KB", "MiB", "gIB"]))
def test_sizes_are_whole_numbers_of_units(number: int, unit: str):
    factor = {"": 1, "b": 1, "kb": 1000, "mib": 1 << 20, "gib": 1 << 30}[unit.lower()]

    assert parse_size(f" {number} {unit}") == number * factor
