"""Pete Warden's account of why machine learning cannot be reproduced, as ten stories: each question takes one command.

The job is a small, real one: a linear classifier, trained with scikit-learn on the data that comes with it.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project, environment_of
from remotes import add_folder

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None,
    reason="scikit-learn is not installed: pip install 'datavc[test]'",
)

PREPARE = """
import csv, os
from sklearn.datasets import load_iris
iris = load_iris()
os.makedirs("data/raw", exist_ok=True)
for number, (row, kind) in enumerate(zip(iris.data, iris.target)):
    with open(f"data/raw/{number:03}.csv", "w") as file:
        csv.writer(file).writerow([*row, kind])
"""
TRAIN = """
import glob, json, os, sys
import numpy as np
from sklearn.linear_model import SGDClassifier
from settings import ALPHA, EPOCHS

rows = np.vstack([np.loadtxt(name, delimiter=",") for name in sorted(glob.glob("data/raw/*.csv"))])
x, y = rows[:, :-1], rows[:, -1]
model = SGDClassifier(alpha=ALPHA, random_state=0)
model.partial_fit(x, y, classes=[0, 1, 2])
if len(sys.argv) > 1:
    start = np.load(sys.argv[1])
    model.coef_, model.intercept_ = start["coef"], start["intercept"]
os.makedirs("model", exist_ok=True)
done = len(os.listdir("model"))
for epoch in range(done, EPOCHS):
    if epoch == getattr(__import__("settings"), "BUG", None):
        raise RuntimeError("a bug near the end")
    model.partial_fit(x, y)
    np.savez(f"model/{epoch}.npz", coef=model.coef_, intercept=model.intercept_)
print("trained on", len(rows), "rows")
json.dump({"accuracy": model.score(x, y), "rows": len(rows)}, open("metrics.json", "w"))
"""
RUN = ("run", "-n", "train", "-o", "model", "-m", "metrics.json", sys.executable, "train.py")


def train(project: Project, *words: str, code: int = 0) -> str:
    """Train, commit, and tell the record."""
    project.datavc(*RUN, *words, code=code)
    project.commit("trained")
    return newest(project)


def newest(project: Project) -> str:
    record: str = json.loads(project.run("runs", "--json").out)[0]["record"]
    return record


def asked(project: Project, *words: str) -> str:
    """The answer of one command."""
    return project.run(*words).out


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with prepared data and one trained model; every story goes on with a copy of it."""
    place = tmp_path_factory.mktemp("stories")
    (place / "home").mkdir()
    (place / "project").mkdir()
    project = Project(place / "project", environment_of(place / "home"))
    project.git("init", "--quiet")
    project.run("init")
    project.write({"prepare.py": PREPARE, "train.py": TRAIN, "settings.py": "ALPHA = 0.001\nEPOCHS = 2\n"})
    project.commit("code")
    project.datavc("run", "-n", "prepare", "-o", "data/raw", sys.executable, "prepare.py")
    project.commit("data")
    train(project)
    return project


@pytest.fixture
def lab(made_once: Project, tmp_path: Path) -> Project:
    shutil.copytree(made_once.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", made_once.environment)


def test_w1_images_were_removed_from_the_dataset_and_nobody_wrote_it_down(lab: Project):
    first = newest(lab)
    for number in (7, 70, 140):
        (lab.root / f"data/raw/{number:03}.csv").unlink()
    lab.run("add", "data/raw")
    second = train(lab)

    answer = asked(lab, "compare", first, second)

    assert [f"data/raw/{number:03}.csv" in answer for number in (7, 70, 140, 8)] == [True, True, True, False]
    assert "metrics.json.rows: 150 -> 147" in answer
    assert "code\n" not in answer and "environment\n" not in answer


def test_w1_a_folder_that_is_no_dataset_is_told_from_the_known_versions(lab: Project, tmp_path: Path):
    share = tmp_path / "share"
    shutil.copytree(lab.root / "data/raw", share)
    (share / "003.csv").unlink()

    answer = asked(lab, "identify", str(share))

    assert "data/raw" in answer and "minus 1 file" in answer and "003.csv" in answer


def test_w2_code_was_copied_from_elsewhere_and_pasted(lab: Project, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "borrowed.py").write_text("FACTOR = 2\n")
    lab.write(
        {
            "use.py": f"import sys; sys.path.insert(0, {str(elsewhere)!r}); import borrowed\nprint(borrowed.FACTOR)\n"
        }
    )
    lab.datavc("run", sys.executable, "use.py")

    listed = json.loads(asked(lab, "show", newest(lab), "--part", "files"))

    (row,) = [row for row in listed if row["path"].endswith("borrowed.py")]
    assert row["role"] == "code" and row["digest"].startswith("xxh128:")


def test_w3_the_code_was_copied_to_a_cluster_without_git(lab: Project, tmp_path: Path):
    store = add_folder(lab, tmp_path / "store", "store")
    lab.run("push", "--yes")
    box = Project(tmp_path / "box", {**lab.environment, "HOME": str(tmp_path / "home of the box")})
    shutil.copytree(lab.root, box.root, ignore=shutil.ignore_patterns(".git", "data", "model", "*.npz"))
    shutil.copytree(lab.root / "data", box.root / "data", ignore=shutil.ignore_patterns("raw"))
    (box.root / ".datavc").mkdir()
    box.run("remote", "add", "store", str(store), "--no-probe", "--force", code=None)
    box.run("pull", "data/raw")
    box.write({"settings.py": "ALPHA = 0.01\nEPOCHS = 3\n"})
    box.datavc(*RUN)
    there = newest(box)
    box.run("push", "--yes")
    shutil.rmtree(box.root)

    lab.run("adopt", there, "--force")
    assert f'record = "{there}"' in lab.read("model.datavc").decode()
    lab.run("checkout", "--record", there, "--to", "../restored")

    assert (lab.root.parent / "restored/settings.py").read_text() == "ALPHA = 0.01\nEPOCHS = 3\n"
    assert "settings.py" in asked(lab, "compare", "HEAD:model", there)


def test_w4_code_was_edited_while_the_job_ran(lab: Project):
    lab.write({"edit.sh": "env -i sh -c 'echo ALPHA=5 > settings.py'\n"})
    lab.datavc("run", "-m", "metrics.json", "--shell", f"{sys.executable} train.py && sh edit.sh")

    assert "changed while it ran" in asked(lab, "show", newest(lab))
    lab.run("checkout", "--record", newest(lab), "--to", "../as-it-ran")
    assert (lab.root.parent / "as-it-ran/settings.py").read_text() == "ALPHA = 0.001\nEPOCHS = 2\n"


def test_w5_a_bug_near_the_end_was_patched_and_the_job_resumed_on_another_host(lab: Project, tmp_path: Path):
    add_folder(lab, tmp_path / "store", "store")
    lab.write({"settings.py": "ALPHA = 0.001\nEPOCHS = 4\nBUG = 3\n"})
    keep = ("run", "-n", "train", "--keep", "model", "-m", "metrics.json", sys.executable, "train.py")
    lab.datavc(*keep, code=1)
    broken = newest(lab)
    lab.run("add", "model")
    lab.commit("with a bug")
    lab.run("push", "--yes")
    other = lab.clone("other host")
    other.environment = {**other.environment, "HOME": str(tmp_path / "another home")}
    other.run("pull")
    other.run("fetch", broken)
    other.write({"settings.py": "ALPHA = 0.001\nEPOCHS = 4\n"})
    other.datavc(*keep)
    mended = newest(other)
    other.run("push", "--yes")

    lab.run("adopt", mended, "--force")
    lineage = asked(lab, "lineage", "model")
    assert "a bug near the end" in asked(lab, "show", broken, "--part", "stderr")
    assert lineage.count("train  ") == 2 and "failed" in lineage
    assert "settings.py" in asked(lab, "compare", broken, mended)


def test_w6_partially_trained_weights_were_the_start(lab: Project, tmp_path: Path):
    first = newest(lab)
    shutil.copy(lab.root / "model/1.npz", lab.root / "from_a_colleague.npz")
    train(lab, "from_a_colleague.npz")

    answer = asked(lab, "lineage", "model")

    assert "from_a_colleague.npz" in answer
    assert answer.count("train  ok") == 2
    assert first[:19] in asked(lab, "show", newest(lab))


def test_w7_the_released_weights_come_from_which_run(lab: Project, tmp_path: Path):
    shutil.copy(lab.root / "model/1.npz", tmp_path / "released.bin")
    made = newest(lab)
    lab.write({"settings.py": "ALPHA = 0.1\nEPOCHS = 2\n"})
    train(lab)

    answer = asked(lab, "whence", str(tmp_path / "released.bin"))

    assert made[:19] in answer and "model/1.npz" in answer and "train" in answer


def test_w8_the_final_code_lay_in_a_personal_folder(lab: Project, tmp_path: Path):
    add_folder(lab, tmp_path / "store", "store")
    lab.write({"settings.py": "ALPHA = 0.02\nEPOCHS = 2\n", "mine/extra.py": "# never committed\n"})
    lab.datavc(*RUN)
    record = newest(lab)
    weights = lab.tree("model")
    lab.run("push", "--yes")
    other = lab.clone("other")
    shutil.rmtree(lab.root)
    other.environment = {**other.environment, "HOME": str(tmp_path / "another home")}

    restored = tmp_path / "restored"
    said = other.run("checkout", "--record", record, "--to", str(restored))
    shutil.rmtree(restored / "model")

    subprocess.run([sys.executable, "train.py"], cwd=restored, env=other.environment, check=True)

    assert (restored / "mine/extra.py").read_text() == "# never committed\n"
    assert "train.py" in said.out + said.err
    assert Project(restored, other.environment).tree("model") == weights


def test_w9_the_environment_drifted_and_nothing_else(lab: Project, tmp_path: Path):
    first = newest(lab)
    drifted = tmp_path / "upgraded"
    (drifted / "sampler-2.0.dist-info").mkdir(parents=True)
    (drifted / "sampler-2.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: sampler\nVersion: 2.0\n"
    )
    lab.environment = {**lab.environment, "PYTHONPATH": str(drifted), "OMP_NUM_THREADS": "1"}
    second = train(lab)

    assert asked(lab, "compare", first, second).splitlines() == [
        "environment",
        "  distributions.sampler: - -> 2.0",
        "  variables.OMP_NUM_THREADS: - -> 1",
    ]


def test_w10_the_author_took_no_notes(lab: Project):
    lab.write({"settings.py": "ALPHA = 0.001\nEPOCHS = 3\n"})
    lab.datavc("run", sys.executable, "train.py")

    answer = asked(lab, "show", newest(lab))
    for fact in (
        "train.py",
        "status   ok",
        "code     ",
        "ran on   Python",
        "read     data/raw",
        "made     model  ",
        "stdout",
    ):
        assert fact in answer
    assert asked(lab, "show", newest(lab), "--part", "stdout") == "trained on 150 rows\n"


def test_two_revisions_are_compared_by_data_code_and_what_the_runs_say(lab: Project):
    lab.git("tag", "before")
    lab.write({"settings.py": "ALPHA = 0.5\nEPOCHS = 2\n"})
    (lab.root / "data/raw/003.csv").unlink()
    lab.run("add", "data/raw")
    record = train(lab)

    of_revisions = asked(lab, "compare", "before", "HEAD")
    of_both = asked(lab, "compare", "before", record)

    for answer in (of_revisions, of_both):
        assert "  data/raw/003.csv: xxh128:" in answer
        assert "  settings.py: xxh128:" in answer
        assert "  metrics.json.rows: 150 -> 149" in answer
        assert ".gitignore" not in answer and ".datavc" not in answer
    assert asked(lab, "compare", "before:model", "model") == asked(lab, "compare", "before:model", record)
    assert asked(lab, "compare", "HEAD", "HEAD") == ""
    assert "  data/raw: xxh128:" in asked(lab, "compare", "before:data/raw", "data/raw")
    assert "no record, no revision and no dataset" in lab.run("compare", "HEAD", "nonsense", code=1).err
