"""The benchmark runs; its figures are nobody's business here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

SCRIPT = str(Path(__file__).with_name("compare.py"))


def test_the_comparison_runs_on_fifty_files_and_cleans_up_after_itself(tmp_path: Path) -> None:
    tools = ["cp"] + ["datavc"] * (importlib.util.find_spec("datavc") is not None)
    saved = tmp_path / "saved.json"
    data = ["--files", "50", "--average", "800", "--rows", "1000", "--big", "3000000", "--runs", "1"]
    command = [sys.executable, SCRIPT, "--folder", str(tmp_path), "--tools", ",".join(tools)]

    done = subprocess.run(
        [*command, *data, "--save", str(saved)], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(saved.read_text())
    measured = {(sample["case"], sample["tool"]) for sample in found["samples"]}
    assert [note for note in found["notes"] if note.startswith(tuple(tools))] == []
    for tool in tools:
        for case in ("add", "edit", "checkout", "big-add", "big-checkout", "csv-edit", "version"):
            assert (case, tool) in measured
            assert f"| {tool} |" in done.stdout
    assert not (tmp_path / "datavc-benchmark").exists()


def test_a_tool_that_is_not_there_is_skipped_with_a_note(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--folder", str(tmp_path), "--tools", "cp,datavc", "--cases", "add"]
    missing = ["--datavc", "/nowhere/datavc", "--files", "5", "--runs", "1", "--json"]

    done = subprocess.run([*command, *missing], capture_output=True, text=True, timeout=120)

    found = json.loads(done.stdout)
    assert {sample["tool"] for sample in found["samples"]} == {"cp"}
    assert any("/nowhere/datavc" in note for note in found["notes"])
