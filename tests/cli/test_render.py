"""Values as people and scripts read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.cli import render
from datavc.cli.session import Session, using
from datavc.cli.terminal import printable
from datavc.formats.digest import Digest
from datavc.formats.paths import from_text


def test_paths_are_told_as_seen_from_the_folder_of_the_command(tmp_path: Path):
    with using(Session(tmp_path)):
        assert render.from_here(tmp_path, b"a/b") == b"a/b"
    with using(Session(tmp_path / "a")):
        assert render.from_here(tmp_path, b"a/b") == b"b"
        assert render.from_here(str(tmp_path), "c") == b"../c"
        assert render.from_here(tmp_path, b"a") == b"."


@dataclass(slots=True)
class Row:
    path: bytes
    digest: Digest
    parts: tuple[int, ...]
    below: list[Row]


def test_results_become_json_that_keeps_every_byte(capsys: pytest.CaptureFixture[str]):
    digest = Digest("xxh128", bytes(16))
    row = Row(b"a\xff\n", digest, (1, 2), [Row("ä".encode(), digest, (), [])])

    render.print_json([row, row])

    out = capsys.readouterr().out
    assert out.isascii()
    assert len(out.splitlines()) == 2
    first, second = json.loads(out)
    assert first == second
    assert from_text(first["path"]) == b"a\xff\n"
    assert first["digest"] == str(digest)
    assert first["below"][0] == {"path": "ä", "digest": str(digest), "parts": [], "below": []}


def test_an_empty_result_is_an_empty_list(capsys: pytest.CaptureFixture[str]):
    render.print_json([])

    assert json.loads(capsys.readouterr().out) == []


def test_json_refuses_what_it_has_no_word_for():
    with pytest.raises(TypeError, match="object has no place in JSON"):
        render.print_json(object())


def test_tables_have_straight_columns(capsys: pytest.CaptureFixture[str]):
    render.print_table([["1 B", "a", "x"], ["1.5 KiB", "bbb", ""]], right=(0,))

    assert capsys.readouterr().out == "    1 B  a    x\n1.5 KiB  bbb\n"


def test_the_next_command_is_talk(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with using(Session(tmp_path)):
        render.next_command("datavc status")
    with using(Session(tmp_path, quiet=True)):
        render.next_command("datavc status")
        render.talk("hello")

    assert capsys.readouterr() == ("", "next: datavc status\n")


def test_text_is_styled_only_in_colour(tmp_path: Path):
    with using(Session(tmp_path, colour=True)):
        assert render.styled("clean", "green") == "\x1b[32mclean\x1b[0m"
    with using(Session(tmp_path)):
        assert render.styled("clean", "green") == "clean"


@given(st.text())
def test_talk_obeys_nothing_that_is_in_a_name(text: str):
    shown = printable(text)

    assert all(character.isprintable() or character == "\n" for character in shown)
    assert shown == text or not text.isprintable()
