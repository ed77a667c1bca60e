"""``run``: what a record says, what becomes of outputs, and how commands end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project, content, records

from datavc.formats.record import Record
from datavc.repo import Repo

PYTHON = sys.executable
COPY = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() * 2)"


def last(project: Project) -> Record:
    return records(project)[0]


def files(project: Project, record: Record) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in json.loads(content(project, record, "files"))}


@pytest.fixture
def data(project: Project) -> Project:
    project.write({"data/a.txt": "one\n", "data/b.txt": "two\n", "twice.py": COPY})
    project.run("add", "data")
    project.commit()
    return project


def test_an_output_becomes_a_dataset_whose_pointer_names_the_record(data: Project):
    done = data.datavc(
        "run", "-n", "twice", "-o", "out.txt", "-i", "data", PYTHON, "twice.py", "data/a.txt", "out.txt"
    )

    pointer = data.read("out.txt.datavc").decode()
    record = last(data)
    assert 'stage = "twice"' in pointer
    assert data.read("out.txt") == b"one\none\n"
    assert [(row.path, row.declared) for row in record.inputs] == [(b"data", True)]
    assert [(row.path, row.declared, str(row.digest) in pointer) for row in record.outputs] == [
        (b"out.txt", True, True)
    ]
    assert record.status == "ok"
    assert record.argv[1:] == ("twice.py", "data/a.txt", "out.txt")
    assert "made out.txt" in done.err
    assert "next: git add .gitignore out.txt.datavc" in done.err
    assert "clean" in data.run("status").out or data.run("status", "--exit-code").code == 0


def test_nothing_need_be_declared(data: Project):
    done = data.datavc("run", PYTHON, "twice.py", "data/a.txt", "out.txt")

    record = last(data)
    assert [(row.path, row.declared) for row in record.inputs] == [(b"data", False)]
    assert [(row.path, row.declared) for row in record.outputs] == [(b"out.txt", False)]
    assert "also read data" in done.err
    assert "also wrote out.txt" in done.err
    assert not (data.root / "out.txt.datavc").exists()
    assert files(data, record)["twice.py"]["role"] == "code"
    assert files(data, record)["data/a.txt"]["way"] == "read"


def test_the_same_output_again_leaves_the_pointer_alone_and_is_recorded(data: Project):
    command = ("run", "-o", "out.txt", PYTHON, "twice.py", "data/a.txt", "out.txt")
    data.datavc(*command)
    before = data.read("out.txt.datavc")
    data.datavc(*command)

    assert data.read("out.txt.datavc") == before
    assert len(records(data)) == 2


@pytest.mark.parametrize(
    ("command", "code", "status"),
    [
        ("exit 3", 3, "failed"),
        ("exit 0", 0, "ok"),
        ("kill -9 $$", 137, "killed"),
        ("exit 125", 125, "failed"),
    ],
)
def test_the_exit_code_is_the_commands_own_and_every_end_is_recorded(
    data: Project, command: str, code: int, status: str
):
    data.datavc("run", "--shell", command, code=code)

    assert last(data).status == status


def test_what_datavc_cannot_do_is_exit_code_125(data: Project, tmp_path: Path):
    assert "no program" in data.datavc("run", "no-such-program", code=125).err
    (tmp_path / "locked").mkdir(mode=0)
    data.environment["PATH"] = f"{tmp_path / 'locked'}:{data.environment['PATH']}"
    assert "no program" in data.datavc("run", "no-such-program", code=125).err
    assert data.datavc("run", "-i", "nowhere", "true", code=125).err
    assert data.datavc("run", "-p", "nowhere.toml", "true", code=125).err
    assert data.datavc("run", code=125).err
    assert records(data) == []


def test_a_command_that_fails_gives_the_earlier_output_back(data: Project):
    data.datavc("run", "-o", "out.txt", PYTHON, "twice.py", "data/a.txt", "out.txt")
    pointer = data.read("out.txt.datavc")

    gone = "import os, sys; assert not os.path.exists('out.txt'); open('out.txt', 'w').write('half'); sys.exit(1)"
    data.datavc("run", "-o", "out.txt", PYTHON, "-c", gone, code=1)

    assert data.read("out.txt") == b"one\none\n"
    assert data.read("out.txt.datavc") == pointer
    failed = last(data)
    half = failed.outputs[0].digest
    assert failed.status == "failed"
    assert data.run("cat", str(half)).out == "half"


def test_an_output_that_was_never_added_is_saved_before_it_is_replaced(data: Project):
    data.write({"out.txt": "precious"})

    done = data.datavc("run", "-o", "out.txt", PYTHON, "twice.py", "data/a.txt", "out.txt")

    digest = next(word for word in done.err.split() if word.startswith("xxh128:")).rstrip(";,")
    assert data.run("cat", digest).out == "precious"


def test_what_is_kept_stays_in_place_and_the_next_record_names_the_one_it_resumes(data: Project):
    step = (
        "import os, sys; os.makedirs('ckpt', exist_ok=True); n = len(os.listdir('ckpt'));"
        "open(f'ckpt/{n}', 'w').write('x'); sys.exit(n == 0)"
    )
    data.write({"step.py": step})
    command = ("run", "--keep", "ckpt", PYTHON, "step.py")

    data.datavc(*command, code=1)
    data.datavc(*command)

    second, first = records(data)
    assert [first.status, second.status] == ["failed", "ok"]
    assert len(list((data.root / "ckpt").iterdir())) == 2
    assert len(second.parents) == 1
    assert (data.root / "ckpt.datavc").exists()


def test_an_output_that_was_not_made_is_a_failure(data: Project):
    data.datavc("run", "-o", "out.txt", PYTHON, "twice.py", "data/a.txt", "out.txt")

    done = data.datavc("run", "-o", "out.txt", "true", code=125)

    assert "did not make out.txt" in done.err
    assert data.read("out.txt") == b"one\none\n"
    assert last(data).status == "failed"


def test_the_output_of_the_command_is_shown_and_kept(data: Project):
    done = data.datavc("run", PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr)")

    assert done.out == "out\n"
    assert "err\n" in done.err
    assert content(data, last(data), "stdout") == b"out\n"
    assert content(data, last(data), "stderr") == b"err\n"


def test_options_behind_the_command_are_the_commands(data: Project):
    done = data.datavc(
        "run",
        "-n",
        "x",
        PYTHON,
        "-c",
        "import sys; print(sys.argv[1:])",
        "-v",
        "-q",
        "-C",
        "x",
        "--json",
        "-n",
    )

    assert done.out == "['-v', '-q', '-C', 'x', '--json', '-n']\n"
    assert last(data).stage == "x"


def test_the_code_is_kept_as_it_was_committed_or_not_and_git_gets_nothing(data: Project):
    data.write(
        {
            "twice.py": COPY + "\n# edited\n",
            "new.py": "# untracked\n",
            "ignored.log": "x",
            ".gitignore": "*.log\n/data\n",
        }
    )
    before = sorted((data.root / ".git").rglob("*"))
    data.datavc("run", "true")

    from datavc.operations.steps.trees.trees import TreeSource

    repo, record = Repo.find(data.root), last(data)
    trees = TreeSource(repo.cache, None, record.objects["code"].digest, "folder")
    names = set(trees.tree(trees.top).names)
    assert {b"twice.py", b"new.py"} <= names
    assert not names & {b"ignored.log", b"data"}
    assert record.section("code")["commit"] == data.git("rev-parse", "HEAD").strip()
    outside = [path for path in sorted((data.root / ".git").rglob("*")) if "datavc" not in path.parts]
    assert outside == [path for path in before if "datavc" not in path.parts]


def test_code_that_somebody_edits_meanwhile_is_noticed_and_both_states_are_kept(data: Project):
    edit = "import pathlib; pathlib.Path('other.py').write_text('# after')"
    data.write({"other.py": "# before", "edit.sh": f'env -i {PYTHON} -S -E -c "{edit}"'})
    data.datavc("run", "sh", "edit.sh")

    record = last(data)
    assert record.section("code")["mutated"] is True
    assert record.objects["code"].digest != record.objects["code_end"].digest


def test_without_git_the_code_is_kept_too(bare_project: Project):
    bare_project.run("init", "--no-git")
    bare_project.write({"twice.py": COPY, "a.txt": "1"})
    bare_project.datavc("run", "-o", "b.txt", PYTHON, "twice.py", "a.txt", "b.txt")

    record = last(bare_project)
    assert record.section("code")["vcs"] == "none"
    assert record.objects["code"].files >= 2


SECRETS = [
    "hunter2hunter2",
    "s3cr3t-in-url",
    "tok_from_environment",
    "AKIAABCDEFGHIJKLMNOP",
    "bearer-value-1234",
]


def test_secrets_are_in_no_object_of_the_cache(data: Project):
    data.environment["MY_API_TOKEN"] = SECRETS[2]
    data.write(
        {"leak.py": f"key = '{SECRETS[3]}'\nimport os, sys\nprint(sys.argv, os.environ['MY_API_TOKEN'])\n"}
    )
    data.git("remote", "add", "origin", f"https://me:{SECRETS[1]}@example.org/x.git")
    data.datavc(
        "run", "-o", "out.txt", "--shell",
        f"{PYTHON} leak.py --password {SECRETS[0]} -H 'Authorization: Bearer {SECRETS[4]}' "
        f"https://me:{SECRETS[1]}@example.org; echo {SECRETS[2]} >&2; echo x > out.txt",
    )  # fmt: skip
    data.datavc(
        "run", "-o", "out2.txt", PYTHON, "-c", "open('out2.txt','w').write('x'); print(__import__('sys').argv)",
        "--password", SECRETS[0], f"--token={SECRETS[2]}", f"https://me:{SECRETS[1]}@example.org/?sig={SECRETS[4]}",
    )  # fmt: skip

    repo = Repo.find(data.root)
    found = b"".join(data.read(name) for name in ("out.txt.datavc", "out2.txt.datavc"))

    for record in records(data):
        found += json.dumps(record.values).encode()
        for name, kept in record.objects.items():
            if kept.kind == "file":
                found += content(data, record, name)
    from datavc.operations.steps.trees.trees import TreeSource, entries

    for record in records(data):
        trees = TreeSource(repo.cache, None, record.objects["code"].digest, "folder")
        for _, tree in trees.walk():
            for entry in entries(tree):
                if entry.kind != 3:
                    found += b"".join(repo.cache.reader(record.objects["code"].digest).stream(entry.digest))
    assert [secret for secret in SECRETS if secret.encode() in found] == []
    assert b"***" in found


def test_parameters_metrics_seeds_and_the_environment_are_recorded(data: Project):
    data.write({"params.toml": "lr = 0.1\n[model]\nlayers = 3\n", "m.json": "{}"})
    program = "import json, random; json.dump({'loss': 0.5}, open('m.json', 'w')); print(random.random(), hash('x'))"
    data.datavc(
        "run",
        "-p",
        "params.toml:model",
        "-m",
        "m.json",
        "--seed",
        "7",
        "--image",
        "sha256:12",
        PYTHON,
        "-c",
        program,
    )
    data.datavc("run", "--seed", "7", PYTHON, "-c", program)

    second, first = records(data)
    assert content(data, first, "stdout") == content(data, second, "stdout")
    params = first.section("params")
    assert params["files"][0]["values"] == {"layers": 3}
    assert (params["seed"], params["seeded"]) == (7, ["PYTHONHASHSEED", "random"])
    assert first.section("metrics") == {"m.json": {"loss": 0.5}}
    environment = first.section("environment")
    assert environment["container"] == {"image": "sha256:12", "source": "option"}
    assert environment["python"]["version"].startswith("3.")
    assert "xxhash" in json.loads(content(data, first, "distributions"))
    assert environment["cpu"]["count"] == os.cpu_count()
    assert not (data.root / "m.json.datavc").exists()


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_workers_are_seen(data: Project, way: str):
    data.write(
        {
            "work.py": "import multiprocessing as m\ndef read(name):\n    return open(name).read()\n"
            f"if __name__ == '__main__':\n    with m.get_context('{way}').Pool(2) as pool:\n"
            "        print(pool.map(read, ['data/a.txt', 'data/b.txt']))\n"
        }
    )
    data.datavc("run", PYTHON, "work.py")

    assert {"data/a.txt", "data/b.txt"} <= files(data, last(data)).keys()


def test_the_sitecustomize_of_the_user_still_runs(data: Project, tmp_path: Path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import builtins; builtins.mine = 'mine'")
    data.environment["PYTHONPATH"] = str(tmp_path / "site")

    done = data.datavc(
        "run", PYTHON, "-c", "import sys; print(mine, [p for p in sys.path if 'datavc/lineage' in p])"
    )

    assert done.out == "mine []\n"


def test_what_cannot_be_seen_is_named(data: Project):
    data.datavc(
        "run", "--trace", "python", PYTHON, "-c", "import subprocess; subprocess.run(['cat', 'data/a.txt'])"
    )

    record = last(data)
    assert record.reads == "partial"
    assert record.section("observed")["blind"] == ["cat"]
    assert record.section("observed")["by"] == ["hook"]


def test_a_program_that_is_no_python_is_recorded_as_unseen(data: Project):
    data.datavc("run", "--trace", "python", "cat", "data/a.txt")

    assert last(data).reads == "none"


def test_an_input_is_linked_to_the_record_that_made_it_wherever_it_was_copied_to(
    data: Project, tmp_path: Path
):
    data.datavc("run", "-o", "model", "--shell", "mkdir model; echo weights > model/w.bin")
    (first,) = json.loads(data.run("runs", "--json").out)
    (tmp_path / "elsewhere.bin").write_bytes(data.read("model/w.bin"))

    data.datavc("run", "-o", "out.txt", PYTHON, "twice.py", str(tmp_path / "elsewhere.bin"), "out.txt")
    data.datavc("run", PYTHON, "twice.py", "out.txt", "again.txt")

    third, second, _ = records(data)
    assert [str(row.record) for row in second.inputs] == [first["record"]]
    assert third.inputs[0].record is not None


@contextlib.contextmanager
def _running(project: Project, first: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run of its own that makes out.txt: its program has done what comes ``first``, and waits for a signal."""
    program = f"import sys, time; {first}; print('ready', flush=True); time.sleep(600)"
    command = [sys.executable, "-m", "datavc", "run", "-o", "out.txt", PYTHON, "-c", program]
    with subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        yield running


def test_ctrl_c_is_recorded_as_killed_and_the_earlier_output_comes_back(data: Project):
    data.datavc("run", "-o", "out.txt", PYTHON, "twice.py", "data/a.txt", "out.txt")
    half = "open('out.txt', 'w').write('half')"
    with _running(data, half) as running:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)

    assert running.returncode in (1, 130)
    assert last(data).status == "killed"
    assert data.read("out.txt") == b"one\none\n"


def test_what_a_killed_run_had_put_aside_is_put_back_by_the_next(data: Project):
    data.datavc("run", "-o", "out.txt", PYTHON, "twice.py", "data/a.txt", "out.txt")
    with _running(data, "pass") as running:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
    assert not (data.root / "out.txt").exists()

    done = data.datavc("run", "true")

    assert "out.txt is back" in done.err
    assert data.read("out.txt") == b"one\none\n"


@pytest.mark.parametrize("output", ["data/inner", ".", ".git/x", "x.datavc"])
def test_outputs_that_cannot_become_datasets_are_refused_before_anything_runs(data: Project, output: str):
    data.datavc("run", "-o", output, "touch", "ran", code=125)

    assert not (data.root / "ran").exists()


@pytest.mark.parametrize("trace", ["auto", "python", "full"])
def test_what_is_removed_and_moved_is_in_the_files_of_the_record(data: Project, trace: str):
    if trace == "full" and not shutil.which("strace"):
        pytest.skip("strace is not installed")
    data.write({"old.txt": "old", "moved.txt": "moved"})
    program = (
        "import os; os.unlink('old.txt'); os.rename('moved.txt', 'here.txt'); "
        "open('made', 'w').close(); os.unlink('made')"
    )
    data.datavc("run", "--trace", trace, PYTHON, "-c", program)

    found = {path: row["way"] for path, row in files(data, last(data)).items()}
    assert found == {"old.txt": "removed", "moved.txt": "removed", "here.txt": "written"}


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_with_strace_nothing_is_unseen(data: Project):
    data.datavc("run", "--trace", "full", "cat", "data/a.txt")

    record = last(data)
    assert (record.status, record.reads) == ("ok", "full")
    assert [row.path for row in record.inputs] == [b"data"]
    data.datavc("run", "--trace", "full", "--shell", "exit 3", code=3)


def test_nothing_is_watched_when_that_is_asked(data: Project):
    data.datavc("run", "--trace", "off", PYTHON, "-c", "open('data/a.txt')")

    assert (last(data).reads, last(data).inputs) == ("none", ())
    data.datavc("run", "--trace", "sometimes", "true", code=125)


@pytest.mark.parametrize("words", [["x"] * 3000, ["y" * 60_000] * 2])
def test_a_long_command_is_kept_beside_the_record(data: Project, words: list[str]):
    data.datavc("run", PYTHON, "-c", "pass", *words)

    record = last(data)
    assert record.argv[-1].endswith("more words")
    assert json.loads(content(data, record, "argv")) == [PYTHON, "-c", "pass", *words]


def test_before_the_first_commit_and_in_a_folder_below(git_project: Project):
    git_project.run("init")
    git_project.write({"sub/in.txt": "1", "sub/twice.py": COPY})

    git_project.datavc("run", "-o", "out.txt", PYTHON, "twice.py", "in.txt", "out.txt", cwd="sub")

    record = last(git_project)
    assert record.section("code")["commit"] is None
    assert record.section("command")["folder"] == "sub"
    assert [row.path for row in record.outputs] == [b"sub/out.txt"]
    assert [row.path for row in record.inputs] == []
    assert (git_project.root / "sub/out.txt.datavc").exists()


def test_names_that_are_no_text_are_recorded(data: Project):
    data.write({b"caf\xe9.csv": "1"})
    (data.root / ".gitignore").write_text("*.csv\n")

    data.datavc(
        "run", PYTHON, "-c", "import os; [open(n).read() for n in os.listdir(b'.') if n.endswith(b'.csv')]"
    )

    assert [row.path for row in last(data).inputs] == [b"caf\xe9.csv"]
