"""Records are pushed and fetched with the data: those before them too, those of runs that failed, and no secrets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from projects import Project
from remotes import overwrite

from datavc.formats.digest import Digest
from datavc.operations.steps.runs.recordstore import has_record, read_record
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
    overwrite(first, second.read_bytes())
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


def test_code_and_data_of_a_run_come_back_when_the_clone_is_lost(shared: Project, tmp_path: Path):
    shared.run("push")
    record = records(shared)[0]
    shared.write({"twice.py": "# another program", "a.txt": "other data"})
    other = shared.clone("other")

    other.run("checkout", "--record", record, "--to", str(tmp_path / "back"))

    assert (tmp_path / "back/twice.py").read_text() == TWICE
    assert (tmp_path / "back/a.txt").read_text() == "1\n1\n"
    assert (tmp_path / "back/b.txt").read_text() == "1\n" * 4
    assert other.run("checkout", "--record", record, "--to", str(tmp_path / "back"), code=1).err
    assert other.run("checkout", "--record", record, code=2).err
    assert not (other.root / "b.txt").exists()


def test_what_was_kept_nowhere_is_named(shared: Project, tmp_path: Path):
    shared.datavc("run", PYTHON, "-c", "open('bare.txt', 'w').write(open('a.txt').read() + 'x')")

    done = shared.run("checkout", "--record", records(shared)[0], "--to", str(tmp_path / "back"), code=3)

    assert "bare.txt" in done.err
    assert (tmp_path / "back/a.txt").exists()


def test_a_run_on_a_machine_without_git_is_adopted(shared: Project, tmp_path: Path):
    shared.run("push")
    box = Project(tmp_path / "box", shared.environment)
    box.write({name: shared.read(name) for name in ("datavc.toml", "twice.py", "b.txt.datavc")})
    box.write({".datavc": None})
    box.run("pull")
    box.datavc("run", "-n", "on the box", "-o", "c.txt", PYTHON, "twice.py", "b.txt", "c.txt")
    box.run("push", "--yes")
    (listed, *_) = json.loads(shared.run("runs", "-r", "store", "--json").out)

    shared.run("adopt", listed["record"][:20])
    shared.run("pull")

    assert listed["stage"] == "on the box"
    assert shared.read("c.txt") == b"1\n" * 8
    assert 'stage = "on the box"' in shared.read("c.txt.datavc").decode()
    assert shared.run("lineage", "c.txt").out.count("second") == 1
    assert "says that already" in shared.run("adopt", listed["record"]).out


def test_a_pointer_to_another_version_is_replaced_by_force_alone(shared: Project):
    first = records(shared)[1]
    shared.write({"a.txt": "mine"})
    shared.run("add", "a.txt")

    assert "another version" in shared.run("adopt", first, code=1).err
    shared.run("adopt", "--force", first)
    assert first in shared.read("a.txt.datavc").decode()


def test_a_record_is_fetched_by_its_digest(shared: Project):
    shared.datavc("run", "false", code=1)
    failed = records(shared)[0]
    shared.run("push")
    clone = shared.clone("clone")

    assert clone.run("fetch", failed[:20]).out == f"record {failed}: here\n"

    assert records(clone) == [failed]
    assert json.loads(clone.run("fetch", "--json", failed).out) == {"records": [failed]}
    assert "no record" in clone.run("fetch", "xxh128:00000000000", code=1).err
