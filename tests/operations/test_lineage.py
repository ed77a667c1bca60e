"""Questions about runs, played as stories: where weights come from, what changed between two runs, what used what."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from projects import Project

PYTHON = sys.executable
STEP = """
import pathlib, sys
source, target = sys.argv[1:3]
files = sorted(pathlib.Path(source).iterdir()) if pathlib.Path(source).is_dir() else [pathlib.Path(source)]
text = "".join(file.read_text() for file in files)
print("read", len(files))
pathlib.Path(target).write_text(text.upper() + target)
"""


@pytest.fixture
def story(project: Project) -> Project:
    """raw -> clean -> model, each by a run."""
    project.write(
        {
            "raw/1.txt": "a\n",
            "raw/2.txt": "b\n",
            "raw/3.txt": "c\n",
            "step.py": STEP,
            "params.json": '{"lr": 1}',
        }
    )
    project.run("add", "raw")
    project.commit()
    project.datavc("run", "-n", "clean", "-o", "clean.txt", PYTHON, "step.py", "raw", "clean.txt")
    project.commit()
    project.datavc(
        "run",
        "-n",
        "train",
        "-p",
        "params.json",
        "-o",
        "model.bin",
        PYTHON,
        "step.py",
        "clean.txt",
        "model.bin",
    )
    project.commit()
    return project


def records(project: Project) -> list[str]:
    """The digests, the newest first."""
    return [row["record"] for row in json.loads(project.run("runs", "--json").out)]


def test_the_whole_way_up_and_down_is_one_command(story: Project):
    up = story.run("lineage", "model.bin").out.splitlines()
    down = story.run("lineage", "raw", "--down").out.splitlines()

    assert [line.strip("└─ ").split("  ")[0] for line in up] == [
        "model.bin",
        "train",
        "clean.txt",
        "clean",
        "raw",
    ]
    assert [line.strip("└─ ").split("  ")[0] for line in down] == [
        "raw",
        "clean",
        "clean.txt",
        "train",
        "model.bin",
    ]


def test_a_copy_is_another_node_and_no_loop(story: Project):
    story.datavc("run", "-n", "copy", "-o", "copied.bin", "--shell", "cp model.bin copied.bin")

    assert "copy" in story.run("lineage", "copied.bin").out.splitlines()[1]
    down = story.run("lineage", "model.bin", "--down").out
    assert "copied.bin" not in down or down.count("copy") == 1


def test_depth_counts_runs(story: Project):
    assert len(story.run("lineage", "model.bin", "--depth", "1").out.splitlines()) == 3


def test_a_record_and_a_digest_may_be_asked_about(story: Project):
    newest = records(story)[0]
    digest = json.loads(story.run("lineage", "model.bin", "--json").out)["top"].split()[0]

    assert story.run("lineage", newest[:20]).out.splitlines()[0].startswith("train")
    assert len(story.run("lineage", digest[:20]).out.splitlines()) == 5
    assert story.run("lineage", "xxh128:0000000000", code=1).err


def test_an_older_version_has_its_own_lineage(story: Project):
    story.write({"raw/4.txt": "d\n"})
    story.run("add", "raw")
    story.datavc("run", "-n", "again", "-o", "model.bin", PYTHON, "step.py", "raw", "model.bin")

    assert "again" in story.run("lineage", "model.bin").out
    assert "again" not in story.run("lineage", "model.bin", "--rev", "HEAD").out


def test_every_form_has_every_node_and_edge(story: Project):
    graph = json.loads(story.run("lineage", "model.bin", "--json").out)
    mermaid = story.run("lineage", "model.bin", "--mermaid").out
    dot = story.run("lineage", "model.bin", "--dot").out

    assert (len(graph["nodes"]), len(graph["edges"])) == (5, 4)
    assert mermaid.count("-->") == dot.count("->") == 4
    assert mermaid.startswith("flowchart TD\n")


def test_the_page_has_every_node_and_runs_nothing(story: Project):
    story.datavc(
        "run", "-n", "<script>alert(1)</script>", "-o", "x.txt", PYTHON, "step.py", "model.bin", "x.txt"
    )
    text = story.run("lineage", "x.txt", "--html").out

    assert (text.count("<rect "), text.count("<tr>")) == (7, 1 + 7)
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text


def test_released_weights_lead_to_their_run_wherever_they_lie(story: Project, tmp_path: Path):
    copy = tmp_path / "downloaded-model-final-2"
    copy.write_bytes(story.read("model.bin"))

    said = story.run("whence", str(copy)).out

    assert "was made by train" in said
    assert records(story)[0][:19] in said


def test_known_bytes_without_a_record_are_told_apart_from_unknown_ones(story: Project, tmp_path: Path):
    (tmp_path / "known").write_text("b\n")
    (tmp_path / "unknown").write_text("never seen")

    known = story.run("whence", str(tmp_path / "known")).out
    unknown = story.run("whence", str(tmp_path / "unknown"), code=1).out

    assert "2.txt in the dataset raw" in known
    assert "no record says how it was made" in known
    assert "is unknown" in unknown
    assert "none of 3 versions here has it" in unknown


def test_a_weight_file_taken_out_of_an_output_folder_is_known(story: Project, tmp_path: Path):
    story.datavc("run", "-o", "out", "--shell", "mkdir -p out/deep && echo weights > out/deep/w.bin")
    (tmp_path / "w").write_bytes(story.read("out/deep/w.bin"))

    assert "as out/deep/w.bin" in story.run("whence", str(tmp_path / "w")).out


def test_images_that_were_removed_in_between_are_named(story: Project):
    (story.root / "raw/2.txt").unlink()
    story.run("add", "raw")
    story.datavc("run", "-n", "clean", "-o", "clean.txt", PYTHON, "step.py", "raw", "clean.txt")
    new, _, old = records(story)

    lines = [line.strip() for line in story.run("compare", old, new).out.splitlines()]

    assert any(line.startswith("raw: ") and "3 files" in line and "2 files" in line for line in lines)
    assert any(line.startswith("raw/2.txt: ") and line.endswith("-> -") for line in lines)


def test_only_what_differs_is_compared(story: Project):
    story.write({"params.json": '{"lr": 2}', "step.py": STEP + "# edited\n"})
    story.environment["OMP_NUM_THREADS"] = "3"
    story.datavc(
        "run",
        "-n",
        "train",
        "-p",
        "params.json",
        "-o",
        "model.bin",
        PYTHON,
        "step.py",
        "clean.txt",
        "model.bin",
    )
    new, old = records(story)[:2]

    rows = json.loads(story.run("compare", old, new, "--json").out)["differences"]
    names = {(row["section"], row["name"]) for row in rows}

    assert ("params", "params.json.lr") in names
    assert ("code", "step.py") in names
    assert ("environment", "variables.OMP_NUM_THREADS") in names
    assert not [row for row in rows if row["section"] in ("inputs", "outputs", "command", "status")]
    assert story.run("compare", old, old).out == ""
    assert story.run("compare", old, new, "--exit-code", code=1).out


def test_failed_runs_are_listed(story: Project):
    story.datavc("run", "false", code=1)

    assert [row["status"] for row in json.loads(story.run("runs", "--json").out)] == ["failed", "ok", "ok"]
    assert "failed" in story.run("runs", "--limit", "1").out


def test_a_record_is_shown_whole_or_in_part(story: Project):
    text = story.run("show", "model.bin").out
    values = json.loads(story.run("show", "model.bin", "--json").out)[0]["record"]

    assert "name     train" in text
    assert "read     clean.txt" in text
    assert "made     model.bin" in text
    assert values["inputs"][0]["record"] == records(story)[1]
    assert story.run("show", "model.bin", "--part", "stdout").out == "read 1\n"
    assert story.run("show", "model.bin", "--part", "nothing", code=1).err
    assert json.loads(story.run("show", values["record"], "--json").out) == values
    assert json.loads(story.run("show", "raw", "--json").out)[0]["record"] is None
    assert "no record" in story.run("show", "raw", "--part", "stdout", code=1).err


def test_a_broken_index_is_made_anew(story: Project):
    (story.root / ".git/datavc/lineage.db").write_bytes(b"not a database" * 1000)

    assert len(records(story)) == 2
    assert len(records(story)) == 2


def test_a_folder_without_history_is_known_by_what_is_in_it(story: Project, tmp_path: Path):
    share = tmp_path / "share"
    share.mkdir()
    for name, content in {"1.txt": "a\n", "2.txt": "other\n", "new.txt": "n", "old.txt": "c\n"}.items():
        (share / name).write_text(content)

    found = json.loads(story.run("identify", str(share), "--json").out)
    said = story.run("identify", str(share)).out

    assert found["dataset"] == "raw"
    assert (found["added"], found["removed"]) == (["new.txt"], ["3.txt"])
    assert (found["changed"], found["moved"]) == (["2.txt"], ["old.txt"])
    assert "minus 1 file, plus 1 file" in said
    assert "exactly" in story.run("identify", "raw").out


def test_the_nearest_of_several_versions_is_named(story: Project, tmp_path: Path):
    (story.root / "raw/3.txt").unlink()
    story.run("add", "raw")
    (tmp_path / "x").mkdir()
    for name in ("1.txt", "2.txt"):
        (tmp_path / "x" / name).write_bytes(story.read(f"raw/{name}"))

    assert "exactly" in story.run("identify", str(tmp_path / "x")).out


def test_a_folder_of_unknown_files_is_said_to_be_unknown(story: Project, tmp_path: Path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/y").write_text("never seen")

    assert "nothing in it" in story.run("identify", str(tmp_path / "x"), code=1).out
    assert story.run("identify", str(tmp_path / "x/y"), code=1).err


def test_a_version_is_named_by_the_commit_that_brought_it_and_by_its_tag(project: Project, tmp_path: Path):
    project.write({"raw/1.txt": "a\n", "raw/2.txt": "b\n"})
    project.run("add", "raw")
    brought = project.commit("brings the version")
    project.write({"raw/1.txt": "another\n"})
    project.run("add", "raw")
    project.write({"code.py": "1"})
    project.git("add", "code.py")
    project.git("commit", "-qm", "not the pointer")
    share = tmp_path / "share"
    share.mkdir()
    (share / "1.txt").write_text("a\n")

    assert f"of commit {brought[:12]}" in project.run("whence", str(share / "1.txt")).out
    assert f"of commit {brought[:12]}" in project.run("identify", str(share)).out

    # What no commit has is of none, though it was added at one.
    (tmp_path / "new").write_text("another\n")
    assert "of commit" not in project.run("whence", str(tmp_path / "new")).out
    assert "of commit" not in project.run("identify", "raw").out

    project.run("tag", "raw", "v1", brought)
    assert "in the dataset raw@v1, version" in project.run("whence", str(share / "1.txt")).out
    assert f"{share}: raw@v1, version" in project.run("identify", str(share)).out
    (held,) = json.loads(project.run("whence", str(share / "1.txt"), "--json").out)["held"]
    assert (held["commit"], held["tags"]) == (brought, ["raw@v1"])
