"""Records are pushed and fetched with the data: those before them too, those of runs that failed, and no secrets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from projects import Project

from datavc.formats.digest import Digest
from datavc.operations.steps.recordstore import has_record, read_record
from datavc.repo import Repo

PYTHON = sys.executable
TWICE = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() * 2); print('done')"


@pytest.fixture
def shared(project: Project, tmp_path: Path) -> Project:
    """raw -> a -> b by runs, and a remote."""
    project.write({"raw.txt": "1\n", "twice.py": TWICE})
    project.run("add", "raw.txt")
    project.run("remote", "add", "store", str(tmp_path / "remote"), "--default")
    project.datavc("run", "-n", "first", "-o", "a.txt", PYTHON, "twice.py", "raw.txt", "a.txt")
    project.datavc("run", "-n", "second", "-o", "b.txt", PYTHON, "twice.py", "a.txt", "b.txt")
    project.commit()
    return project


def records(project: Project) -> list[str]:
    """The digests, the newest first."""
    return [row["record"] for row in json.loads(project.run("runs", "--json").out)]


def wipe(project: Project, pattern: str) -> None:
    for file in Path(project.root.parent / "remote").glob(pattern):
        file.unlink()


def test_a_clone_that_pulls_one_dataset_knows_all_of_its_lineage(shared: Project):
    shared.run("push")
    clone = shared.clone("clone")
    clone.run("pull", "b.txt")

    lines = [line.strip("└─ ").split("  ")[0] for line in clone.run("lineage", "b.txt").out.splitlines()]
    assert lines == ["b.txt", "second", "a.txt", "first", "raw.txt"]
    assert clone.run("show", "b.txt", "--part", "stdout").out == "done\n"
    assert clone.read("b.txt") == b"1\n" * 4
    repo = Repo.find(clone.root)
    for text in records(shared):
        assert has_record(repo, Digest.parse(text))
        assert read_record(repo, Digest.parse(text)) == read_record(
            Repo.find(shared.root), Digest.parse(text)
        )
    clone.run("fsck")


def test_runs_that_failed_or_made_nothing_are_pushed_with_everything_and_not_with_one_dataset(
    shared: Project,
):
    shared.datavc("run", "false", code=1)
    failed = records(shared)[0]

    def is_there() -> bool:
        return any((shared.root.parent / "remote").glob(f"roots/*/{failed.replace(':', '-')}"))

    shared.run("push", "b.txt")
    assert not is_there()
    shared.run("push")
    assert is_there()


def test_the_root_of_a_record_is_there_before_that_of_what_it_made(shared: Project):
    shared.run("push")
    roots = {path.name: path.stat().st_mtime_ns for path in (shared.root.parent / "remote").glob("roots/*/*")}

    made = json.loads(shared.run("show", records(shared)[0], "--json").out)
    output = made["outputs"][0]["digest"].replace(":", "-")
    assert roots[made["record"].replace(":", "-")] <= roots[output]


def test_a_second_push_sends_nothing(shared: Project):
    shared.run("push")
    before = sorted(path for path in (shared.root.parent / "remote").rglob("*") if path.is_file())
    shared.run("push")

    assert sorted(path for path in (shared.root.parent / "remote").rglob("*") if path.is_file()) == before


def test_a_record_that_is_nowhere_hinders_no_pull(shared: Project):
    shared.run("push")
    for text in records(shared):
        wipe(shared, f"roots/*/{text.replace(':', '-')}")
    clone = shared.clone("clone")

    done = clone.run("pull")

    assert clone.read("b.txt") == b"1\n" * 4
    assert "how some data was made is not known here" in done.err


def test_a_record_with_other_bytes_on_the_remote_is_not_believed(shared: Project):
    shared.run("push")
    roots = {text: text.replace(":", "-") for text in records(shared)}
    first, second = (next((shared.root.parent / "remote").glob(f"roots/*/{name}")) for name in roots.values())
    first.write_bytes(second.read_bytes())
    clone = shared.clone("clone")

    clone.run("pull")

    assert clone.read("b.txt") == b"1\n" * 4
    assert not has_record(Repo.find(clone.root), Digest.parse(records(shared)[0]))


def test_what_was_planted_is_in_no_file_of_the_remote(shared: Project, tmp_path: Path):
    shared.environment["MY_TOKEN"] = "planted-in-environment"
    shared.git("remote", "add", "origin", "https://me:planted-in-url@example.org/x.git")
    shared.datavc(
        "run", "-o", "c.txt", PYTHON, "-c",
        "import os, sys; print(sys.argv, os.environ['MY_TOKEN']); open('c.txt', 'w').write('c')",
        "--password", "planted-in-argv", "https://me:planted-in-url@example.org",
    )  # fmt: skip
    shared.commit()
    shared.run("push")
    clone = shared.clone("clone")
    clone.run("pull")

    shown = (
        clone.run("show", records(clone)[0], "--json").out
        + clone.run("show", "c.txt", "--part", "stdout").out
    )
    assert "***" in shown
    assert "planted" not in shown
    assert all(
        b"planted" not in path.read_bytes() for path in (tmp_path / "remote").rglob("*") if path.is_file()
    )
