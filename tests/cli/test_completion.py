"""The completion scripts complete commands, options and paths; bash's is run, the others where their shells are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

from datavc.cli.completion import SHELLS, script
from datavc.cli.completion_helpers import LISTS
from datavc.cli.main import main
from datavc.cli.table import ALIASES, COMMANDS

COMPLETE = """
source "$1"; COMP_LINE="$2"; COMP_POINT="${#2}"; shift 2
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_datavc
((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
exit 0
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with a dataset that is there, one that is a pointer alone, and odd names."""
    folder = tmp_path / "workspace"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a b.csv").touch()
    (folder / "train.datavc").touch()
    (folder / "test.datavc").touch()
    (folder / "notes *.txt").touch()
    return folder


def complete(folder: Path, *words: str, line: str = "") -> set[str]:
    """What bash offers for the last of ``words``, of the ``line`` that is typed."""
    path = folder.parent / "datavc.bash"
    path.write_text(script("bash"))
    ended = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", str(path), line, "datavc", *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ended.stderr.replace("bash: compopt: not currently executing completion function\n", "") == ""
    return set(ended.stdout.splitlines())


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script(shell: str, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", shell]) == 0

    assert capsys.readouterr() == (script(shell) + "\n", "")


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_another_shell_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["completion", *words]) == 2

    assert "usage: datavc completion bash|zsh|fish" in capsys.readouterr().err


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "--help"]) == 0

    assert 'eval "$(datavc completion bash)"' in capsys.readouterr().out


def test_printing_a_script_does_not_load_typer():
    code = (
        "import sys; from datavc.cli.main import main; main(['completion', 'bash']);"
        " sys.exit('typer' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_every_script(shell: str):
    text = script(shell)

    for command in COMMANDS.values():
        assert all(word in text for word in command.name.split())
        for word in command.options.split():
            option = word.partition("=")[0]
            fish = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            assert (fish if shell == "fish" else option) in text


def test_commands_and_aliases_are_completed(workspace: Path):
    firsts = {command.partition(" ")[0] for command in COMMANDS}
    assert complete(workspace, "") == {*firsts, *ALIASES, "help"}
    assert complete(workspace, "co") == {"compare", "config", "completion"}
    assert complete(workspace, "-q", "-C", "train", "st") == {"status"}
    assert complete(workspace, "help", "st") == {"status"}


def test_options_are_those_of_the_command_and_the_global_ones(workspace: Path):
    assert complete(workspace, "status", "--") == {
        "--json",
        "--exit-code",
        "--offline",
        "--quiet",
        "--verbose",
        "--jobs",
        "--color",
        "--wait",
        "--help",
    }
    assert complete(workspace, "rm", "--d") == {"--delete", "--dry-run"}
    assert complete(workspace, "--v") == {"--verbose", "--version"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["init", "--hash", ""], {"xxh128", "blake3", "sha256"}),
        (["init", "--hash", "=", "b"], {"blake3"}),
        (["init", "--hash", "="], {"xxh128", "blake3", "sha256"}),
        (["--color", "a"], {"auto", "always"}),
        (["add", "--color", "n"], {"never"}),
        (["du", "-d", ""], set()),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["init", "t"], set()),
    ],
)
def test_values_are_those_that_the_option_takes(words: list[str], offered: set[str], workspace: Path):
    assert complete(workspace, *words) == offered


def test_a_family_completes_its_verbs_and_their_options(workspace: Path):
    assert complete(workspace, "remote", "re") == {"remove", "rename"}
    assert complete(workspace, "-q", "remote", "add", "--de") == {"--default"}
    assert complete(workspace, "remote", "add", "--path-style", "") == {"true", "false"}
    assert complete(workspace, "remote", "status", "no") == {"notes *.txt"}
    assert complete(workspace, "add", "--dry") == {"--dry-run"}


def test_paths_are_completed_whatever_is_in_their_names(workspace: Path):
    assert complete(workspace, "add", "train/") == {"train/a b.csv"}
    assert complete(workspace, "add", "no") == {"notes *.txt"}
    assert complete(workspace, "-C", "t") == {"train"}


def test_a_dataset_is_completed_from_its_pointer(workspace: Path):
    assert complete(workspace, "checkout", "te") == {"test"}
    assert complete(workspace, "checkout", "tr") == {"train"}


@pytest.fixture
def versioned(project: Project, tmp_path: Path) -> Path:
    """A repository with revisions, datasets' own tags and remotes of three layers."""
    project.write({"data/train/a": "1", "other": "2"})
    project.run("add", "data/train", "other")
    project.run("remote", "add", "origin", str(tmp_path / "one"), "--no-probe")
    project.run("remote", "add", "backup", str(tmp_path / "two"), "--no-probe", "--local")
    project.commit("one")
    project.git("tag", "v1")
    project.git("tag", "data/train@best")
    project.git("branch", "feature/x")
    shutil.rmtree(project.root / "data" / "train")
    return project.root


def test_revisions_tags_and_remotes_are_completed(versioned: Path):
    assert complete(versioned, "push", "--rev", "") == {"HEAD", "main", "feature/x", "v1", "data/train@best"}
    assert complete(versioned, "push", "--rev", "f") == {"feature/x"}
    assert complete(versioned, "push", "-r", "") == {"origin", "backup"}
    assert complete(versioned, "fetch", "--remote", "=", "b") == {"backup"}
    assert complete(versioned, "remote", "remove", "o") == {"origin"}
    assert complete(versioned, "checkout", "v") == {"v1"}
    assert complete(versioned, "checkout", "--", "v") == set()
    assert complete(versioned, "checkout", "o") == {"other"}
    assert complete(versioned, "ls", "-r", "o") == {"other"}


def test_revisions_are_those_of_the_folder_that_is_named(versioned: Path):
    assert complete(versioned.parent, "-C", "project", "push", "--rev", "v") == {"v1"}
    assert complete(versioned.parent, "-C", "project", "push", "-r", "") == {"origin", "backup"}
    assert complete(versioned / "data", "push", "-r", "") == {"origin", "backup"}
    assert complete(versioned.parent, "push", "--rev", "") == set()


def test_words_that_bash_breaks_are_completed_as_what_they_are(versioned: Path):
    assert complete(versioned, "push", "--rev", "data/train", "@", line="datavc push --rev data/train@") == {
        "@best"
    }
    assert complete(
        versioned, "push", "--rev", "data/train", "@", "b", line="datavc push --rev data/train@b"
    ) == {"best"}
    assert complete(versioned, "cat", "v1", ":", line="datavc cat v1:") == {":data/train", ":other"}
    assert complete(versioned, "cat", "v1", ":", "d", line="datavc cat v1:d") == {"data/train"}


def test_a_value_behind_an_equals_sign_is_completed_whatever_is_in_it(versioned: Path):
    line = "datavc push --rev=data/train@b"
    assert complete(versioned, "push", "--rev", "=", "data/train", "@", "b", line=line) == {"best"}
    assert complete(versioned, "push", "--rev", "=", "v", line="datavc push --rev=v") == {"v1"}
    assert complete(versioned, "push", "--remote", "=", line="datavc push --remote=") == {"origin", "backup"}


@pytest.fixture
def recorded(versioned: Path, project: Project) -> tuple[Path, str]:
    """The same, with a dataset that has a space in its name, and a record of a run."""
    project.write({"data/my set/a file": "3"})
    project.run("add", "data/my set")
    project.commit("two")
    project.run("run", "-o", "made", "--", "sh", "-c", "mkdir -p made && echo 1 > made/x")
    record = next(line for line in project.read("made.datavc").decode().splitlines() if "record" in line)
    return versioned, record.split('"')[1]


def test_records_are_completed(recorded: tuple[Path, str]):
    folder, record = recorded
    algorithm, _, digits = record.partition(":")

    assert complete(folder, "adopt", "") == {record}
    assert complete(folder, "checkout", "--record", "") == {record}
    line = f"datavc compare {algorithm}:{digits[:3]}"
    assert complete(folder, "compare", algorithm, ":", digits[:3], line=line) == {digits}
    assert complete(folder, "lineage", "da") == {"data", "datavc.toml"}


def test_a_past_dataset_with_a_space_in_its_name_is_completed_as_one_word(recorded: tuple[Path, str]):
    folder, _ = recorded

    assert complete(folder, "ls", "main", ":", "data/m", line="datavc ls main:data/m") == {"data/my\\ set"}


@pytest.mark.parametrize("shell", ["zsh", "bash"])
def test_records_are_listed_alike_in_every_shell(recorded: tuple[Path, str], shell: str):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    folder, record = recorded

    for place in (".", "data"):
        ended = subprocess.run(
            [program, "-c", LISTS + "\n_datavc_list_records"],
            cwd=folder / place,
            capture_output=True,
            text=True,
        )
        assert (ended.stdout, ended.stderr) == (f"{record}\n", "")


def test_a_remote_of_a_repository_without_git_is_completed(bare_project: Project, tmp_path: Path):
    bare_project.run("init", "--no-git")
    bare_project.run("remote", "add", "origin", str(tmp_path / "one"), "--no-probe")

    assert complete(bare_project.root, "pull", "-r", "") == {"origin"}


def test_behind_two_dashes_there_are_only_paths(workspace: Path):
    (workspace / "--json").touch()

    assert complete(workspace, "add", "--", "--j") == {"--json"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_is_one_that_its_shell_understands(shell: str, tmp_path: Path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(shell))

    subprocess.run([program, "-n", str(path)], check=True)


def test_fish_completes_commands_and_options(workspace: Path):
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    (workspace.parent / "datavc.fish").write_text(script("fish"))
    command = 'source ../datavc.fish; complete -C "datavc sta"; complete -C "datavc checkout --forc"'
    ended = subprocess.run(
        [fish, "--no-config", "-c", command], cwd=workspace, capture_output=True, text=True
    )

    assert ended.stdout.splitlines() == ["status\tSay what state each dataset is in", "--force"]


def test_fish_completes_revisions_paths_and_records(recorded: tuple[Path, str]):
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    folder, record = recorded
    (folder.parent / "datavc.fish").write_text(script("fish"))

    def offered(line: str) -> set[str]:
        command = f'source ../datavc.fish; complete -C "{line}"'
        ended = subprocess.run(
            [fish, "--no-config", "-c", command], cwd=folder, capture_output=True, text=True
        )
        return set(ended.stdout.splitlines())

    assert offered("datavc adopt ") == {record}
    assert "data/my set" in offered("datavc add data/m")
    assert {"v1", "feature/x", "data/train@best", "HEAD"} <= offered("datavc checkout ")
    assert not {"v1", "HEAD"} & offered("datavc checkout v1 -- ")
    assert offered("datavc push -r ") == {"origin", "backup"}
