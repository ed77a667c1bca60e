"""Runs recorded from Python: blocks and functions write the record that ``datavc run`` writes, and put back what it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project, content, records

import datavc
from datavc.errors import ConflictError, NotFoundError, UsageError
from datavc.lineage.params import plain_values


def script(project: Project, text: str, *, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a script of the project in a process of its own."""
    project.write({"script.py": text})
    ended = subprocess.run(
        [sys.executable, "script.py"],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == code, ended.stderr
    return ended


@pytest.fixture
def here(here: Project) -> Project:
    """With a dataset ``data``."""
    here.write({"data/a.txt": "one\n", "data/b.txt": "two\n"})
    here.run("add", "data")
    here.commit()
    return here


def test_a_block_is_recorded_and_its_output_becomes_a_dataset(here: Project):
    with datavc.run("twice", inputs="data", outputs="out.txt") as run:
        Path("out.txt").write_text(Path("data/a.txt").read_text() * 2)
        run.params["lr"] = 0.5
        run.metrics["loss"] = 0.25

    (record,) = records(here)
    assert run.result is not None
    assert (run.result.status, run.result.git_add) == ("ok", [".gitignore", "out.txt.datavc"])
    assert str(run.result.record) in here.read("out.txt.datavc").decode()
    assert record.stage == "twice"
    assert record.section("metrics") == {"loss": 0.25}
    assert record.section("params")["values"] == {"lr": 0.5}
    assert record.section("inside")["kind"] == "block"
    assert record.section("inside")["file"].endswith("test_run_from_python.py")
    assert [(row.path, row.declared) for row in record.inputs] == [(b"data", True)]
    assert [(row.path, row.declared) for row in record.outputs] == [(b"out.txt", True)]


def test_a_script_writes_the_same_record_as_a_command_that_runs_it(here: Project):
    work = "import os; os.makedirs('out'); open('out/x', 'w').write(open('data/a.txt').read()); print('said')"
    here.write({"plain.py": work})
    here.datavc("run", "-n", "x", "-i", "data", "-o", "out", sys.executable, "plain.py")
    script(here, f"import datavc\nwith datavc.run('x', inputs='data', outputs='out'):\n    {work}\n")

    block, command = records(here)
    assert set(command.values) <= set(block.values)
    for name in ("status", "stage", "inputs", "outputs", "reads", "exit", "metrics", "who"):
        assert block.values[name] == command.values[name], name
    for name in ("python", "os", "cpu", "locks"):
        before, after = (dict(found.section("environment")) for found in (command, block))
        for found in (before, after):
            found["python"].pop("imported", None)
        assert before[name] == after[name], name
    assert block.argv[1:] == ("script.py",)
    assert content(here, block, "stdout") == content(here, command, "stdout") == b"said\n"
    assert set(command.objects) <= set(block.objects)


def test_what_is_read_and_written_need_not_be_declared_also_in_processes_that_are_started(here: Project):
    here.write({"lib.py": "def write(name):\n    open(name, 'w').write('x')\n"})
    script(
        here,
        "import datavc, subprocess, sys\n"
        "from multiprocessing import get_context\n"
        "import lib\n"
        "if __name__ == '__main__':\n"
        "    with datavc.run():\n"
        "        copy = \"open('child.txt', 'w').write(open('data/a.txt').read())\"\n"
        "        subprocess.run([sys.executable, '-c', copy], check=True)\n"
        "        worker = get_context('fork').Process(target=lib.write, args=('forked.txt',))\n"
        "        worker.start(); worker.join()\n"
        "        lib.write('own.txt')\n"
        "    lib.write('after.txt')\n",
    )

    (record,) = records(here)
    assert [(row.path, row.declared) for row in record.inputs] == [(b"data", False)]
    assert {row.path for row in record.outputs} == {b"child.txt", b"forked.txt", b"own.txt"}
    listed = {row["path"]: row["role"] for row in json.loads(content(here, record, "files"))}
    assert listed["lib.py"] == listed["script.py"] == "code"


def test_nothing_is_watched_before_and_after_a_block(here: Project):
    Path("before.txt").write_text("x")
    with datavc.run():
        Path("during.txt").write_text("x")
    Path("after.txt").write_text("x")
    with datavc.run():
        pass

    second, first = records(here)
    assert [row.path for row in first.outputs] == [b"during.txt"]
    assert second.outputs == ()
    assert "DATAVC_RUN_LOG" not in os.environ
    assert type(sys.stdout).__name__ != "_Tee"


@pytest.mark.parametrize(
    ("ending", "kind", "status", "exit_"),
    [
        ("raise ValueError('bad')", ValueError, "failed", {"code": 1, "signal": None, "problem": "ValueError: bad"}),
        ("sys.exit(3)", SystemExit, "failed", {"code": 3, "signal": None, "problem": None}),
        ("sys.exit('why')", SystemExit, "failed", {"code": 1, "signal": None, "problem": None}),
        ("sys.exit(0)", SystemExit, "ok", {"code": 0, "signal": None, "problem": None}),
        ("raise KeyboardInterrupt", KeyboardInterrupt, "killed", {"code": None, "signal": 2, "problem": None}),
    ],
)  # fmt: skip
def test_every_end_is_recorded_and_raised_again(
    here: Project, ending: str, kind: type[BaseException], status: str, exit_: dict[str, Any]
):
    with pytest.raises(kind):
        with datavc.run():
            exec(ending)

    (record,) = records(here)
    assert record.status == status
    assert record.values["exit"] == exit_


def test_an_exception_gives_the_earlier_output_back_and_its_traceback_is_kept(here: Project):
    with datavc.run(outputs="out.txt"):
        Path("out.txt").write_text("whole")

    def half() -> None:
        assert not Path("out.txt").exists()
        Path("out.txt").write_text("half")
        raise ZeroDivisionError

    run = datavc.run(outputs="out.txt")
    with pytest.raises(ZeroDivisionError):
        with run:
            half()

    failed = records(here)[0]
    assert Path("out.txt").read_text() == "whole"
    assert run.result is not None and run.result.status == "failed"
    assert b"ZeroDivisionError" in content(here, failed, "stderr")
    assert here.run("cat", str(failed.outputs[0].digest)).out == "half"


def test_what_is_kept_stays_and_the_next_block_resumes_the_one_that_failed(here: Project):
    def step(fails: bool) -> None:
        with datavc.run(keep="ckpt"):
            Path("ckpt").mkdir(exist_ok=True)
            (Path("ckpt") / str(len(os.listdir("ckpt")))).write_text("x")
            if fails:
                raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        step(True)
    step(False)

    assert len(records(here)[0].parents) == 1
    assert len(os.listdir("ckpt")) == 2


def test_a_block_that_is_told_to_end_is_recorded_as_killed_and_dies_of_the_signal(here: Project):
    text = (
        "import datavc, os, signal, time\n"
        "with datavc.run(outputs='out.txt'):\n"
        "    open('out.txt', 'w').write('half')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    script(here, text, code=-signal.SIGTERM)

    (record,) = records(here)
    assert (record.status, record.values["exit"]["signal"]) == ("killed", signal.SIGTERM)


def test_what_a_killed_block_had_put_aside_is_put_back_by_the_next_run(here: Project):
    with datavc.run(outputs="out.txt"):
        Path("out.txt").write_text("whole")
    text = "import datavc, os\nwith datavc.run(outputs='out.txt'):\n    os.kill(os.getpid(), 9)\n"
    script(here, text, code=-signal.SIGKILL)
    assert not Path("out.txt").exists()

    with datavc.run():
        assert Path("out.txt").read_text() == "whole"


def test_an_output_that_was_not_made_is_an_error_and_recorded(here: Project):
    with pytest.raises(NotFoundError, match=r"the block ended well and did not make out\.txt"):
        with datavc.run(outputs="out.txt"):
            pass

    assert records(here)[0].status == "failed"


def test_what_cannot_begin_runs_nothing_and_leaves_everything(here: Project):
    before = here.tree()
    ran = []
    for options in (
        {"inputs": "nowhere"},
        {"params": "no.toml"},
        {"outputs": "data/a.txt"},
        {"outputs": "."},
    ):
        with pytest.raises((NotFoundError, UsageError, ConflictError)):
            with datavc.run(**options):  # type: ignore[arg-type]
                ran.append(options)

    assert ran == []
    assert records(here) == []
    assert {path: found for path, found in here.tree().items() if b".git/" not in path} == {
        path: found for path, found in before.items() if b".git/" not in path
    }


def test_each_call_of_a_decorated_function_is_recorded_with_its_arguments(here: Project):
    @datavc.run(outputs="out.txt")
    def make(text: str, times: int = 2, *, odd: object = None) -> int:
        """Make it."""
        Path("out.txt").write_text(text * times)
        return times

    assert make("ab") == 2
    assert make("ab", 3, odd=object()) == 3

    second, first = records(here)
    assert (make.__name__, make.__doc__) == ("make", "Make it.")
    assert first.stage == "make"
    assert first.section("inside")["name"].endswith(".make")
    assert first.section("params")["values"] == {"text": "ab", "times": 2, "odd": None}
    assert second.section("params")["values"] == {"text": "ab", "times": 3, "odd": "<object>"}


def test_functions_that_go_on_after_their_call_are_refused(here: Project):
    def generate() -> Iterator[int]:
        yield 1

    async def wait() -> None: ...

    for function in (generate, wait):
        with pytest.raises(UsageError, match="goes on after its call returned"):
            datavc.run()(function)


def test_a_function_is_decorated_outside_of_any_repository_and_called_in_one(
    here: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir("/")

    @datavc.run()
    def nothing() -> None: ...

    monkeypatch.chdir(here.root)
    nothing()

    assert len(records(here)) == 1


def test_a_block_in_a_block_has_a_record_of_its_own_and_the_outer_knows_of_it(here: Project):
    with datavc.run("outer"):
        Path("one.txt").write_text("1")
        with datavc.run("inner"):
            Path("two.txt").write_text("2")
        Path("three.txt").write_text("3")

    outer, inner = sorted(records(here), key=lambda record: record.stage or "", reverse=True)
    assert {row.path for row in inner.outputs} == {b"two.txt"}
    assert {row.path for row in outer.outputs} == {b"one.txt", b"two.txt", b"three.txt"}


def test_a_block_within_datavc_run_hides_nothing_from_it(here: Project):
    here.write(
        {
            "script.py": "import datavc, subprocess, sys\nwith datavc.run('inner'):\n"
            "    subprocess.run([sys.executable, '-c', \"open('child.txt', 'w').write('x')\"], check=True)\n"
        }
    )
    here.datavc("run", "-n", "outer", sys.executable, "script.py")

    for record in records(here):
        assert b"child.txt" in {row.path for row in record.outputs}, record.stage


def test_a_run_in_another_thread_is_refused_because_nobody_could_tell_who_reads_what(here: Project):
    refused: list[str] = []

    def other() -> None:
        try:
            with datavc.run():
                pass
        except UsageError as error:
            refused.append(error.message)

    with datavc.run():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    assert refused == ["a run is being recorded in another thread of this process"]
    assert len(records(here)) == 1


def test_a_child_that_is_forked_off_leaves_the_record_to_its_parent(here: Project):
    text = (
        "import datavc, os, sys\n"
        "with datavc.run(outputs='out.txt'):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        open('forked.txt', 'w').write('x')\n"
        "        sys.exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "    open('out.txt', 'w').write('x')\n"
    )
    script(here, text)

    (record,) = records(here)
    assert {row.path for row in record.outputs} == {b"out.txt", b"forked.txt"}


def test_a_seed_makes_random_numbers_come_again_and_is_gone_afterwards(here: Project):
    import random

    drawn = []
    finders = list(sys.meta_path)
    for _ in range(2):
        with datavc.run(seed=7):
            drawn.append(random.random())
            child = [sys.executable, "-c", "import os; print(os.environ['PYTHONHASHSEED'])"]
            assert subprocess.run(child, capture_output=True, text=True).stdout == "7\n"

    assert drawn[0] == drawn[1]
    assert "random" in records(here)[0].section("params")["seeded"]
    assert "PYTHONHASHSEED" not in records(here)[0].section("params")["seeded"]
    assert sys.meta_path == finders
    assert "PYTHONHASHSEED" not in os.environ


def test_without_trace_nothing_is_watched_and_everything_else_recorded(here: Project):
    with datavc.run(trace=False, outputs="out.txt"):
        Path("out.txt").write_text(Path("data/a.txt").read_text())

    (record,) = records(here)
    assert (record.reads, record.inputs) == ("none", ())
    assert [row.path for row in record.outputs] == [b"out.txt"]


def test_code_that_is_edited_meanwhile_is_noticed(here: Project):
    here.write({"other.py": "# before"})
    with datavc.run():
        editor = ["env", "-i", sys.executable, "-S", "-E", "-c", "open('other.py', 'w').write('# after')"]
        subprocess.run(editor, check=True)

    (record,) = records(here)
    assert record.section("code")["mutated"] is True
    assert record.objects["code"].digest != record.objects["code_end"].digest


def test_a_module_that_was_edited_after_it_was_imported_is_named(here: Project):
    text = (
        "import os, sys; sys.dont_write_bytecode = False\n"
        "import datavc, lib\n"
        "with datavc.run('fresh'):\n    pass\n"
        "open('lib.py', 'a').write('# another\\n')\n"
        "with datavc.run('stale'):\n    pass\n"
        "import importlib; importlib.reload(lib)\n"
        "with datavc.run('again'):\n    pass\n"
    )
    here.write({"lib.py": "value = 1\n"})
    script(here, text)

    found = {record.stage: record.section("code") for record in records(here)}
    assert "stale" not in found["fresh"] and not found["fresh"]["mutated"]
    assert (found["stale"]["stale"], found["stale"]["mutated"]) == (["lib.py"], True)
    assert "stale" not in found["again"]


def test_a_repo_elsewhere_is_recorded_in_with_paths_relative_to_it(
    here: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir("/")
    with datavc.Repo(here.root).run(inputs="data", outputs=["out.txt"]):
        (here.root / "out.txt").write_text("x")

    (record,) = records(here)
    assert [row.path for row in record.inputs + record.outputs] == [b"data", b"out.txt"]
    assert record.section("inside")["folder"] == "/"


def test_secrets_of_the_environment_are_in_no_value_that_python_gives(
    here: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MY_API_TOKEN", "tok_very_secret_1")
    with datavc.run() as run:
        run.params |= {
            "url": "https://me:pa55word@example.org",
            "api_token": "abcdefgh",
            "seen": "tok_very_secret_1",
        }
        run.metrics["note"] = "tok_very_secret_1"
        print("tok_very_secret_1")

    (record,) = records(here)
    everything = json.dumps(record.values).encode() + content(here, record, "stdout")
    for secret in (b"tok_very_secret_1", b"pa55word", b"abcdefgh"):
        assert secret not in everything


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        max_leaves=20,
    )
)
def test_any_value_can_be_given(value: object):
    found = plain_values({"x": value})

    text = json.dumps(found, allow_nan=False)
    assert all(-(2**63) <= number < 2**63 for number in _whole_numbers(json.loads(text)))


def _whole_numbers(value: object) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _whole_numbers(inner)


def test_values_that_are_large_deep_or_odd_are_named_and_left_out():
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    looped: list[Any] = []
    looped.append(looped)

    found = plain_values({"long": "x" * 100_000, "deep": deep, "looped": looped, "odd": object(), "set": {1}})

    assert found["long"] == "<str> of 100,002 bytes, left out"
    assert found["deep"].startswith("<list> of")
    assert (found["looped"], found["odd"], found["set"]) == ("<list>", "<object>", "<set>")
