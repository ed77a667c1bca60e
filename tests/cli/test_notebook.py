"""``%%datavc_run`` and ``with datavc.run(...)`` in IPython: in a shell of this process, and in a real notebook."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project, content, records

from datavc.lineage.notebook import cells_of_script, notebook_of, script_of_cells

IPython = pytest.importorskip("IPython", reason="IPython is not installed: pip install 'datavc[notebook]'")
Run = Callable[[str], Any]


def newest(project: Project) -> str:
    return str(json.loads(project.run("runs", "--json").out)[0]["record"])


@pytest.fixture
def here(here: Project) -> Project:
    """With a dataset ``data``."""
    here.write({"data/a.txt": "one\n", "data/b.txt": "two\n"})
    here.run("add", "data")
    here.commit()
    return here


@pytest.fixture
def run(here: Project) -> Iterator[Run]:
    """Runs a cell in a shell of its own, as a notebook does, with the extension loaded."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=settings)

    def cell(text: str) -> Any:
        return shell.run_cell(text, store_history=True)

    cell("%load_ext datavc\nfrom pathlib import Path").raise_error()
    yield cell
    InteractiveShell.clear_instance()


def test_a_cell_is_recorded_with_all_cells_before_it(
    here: Project, run: Run, capsys: pytest.CaptureFixture[str]
):
    run("factor = 3").raise_error()
    done = run(
        "%%datavc_run -n triple -i data -o out.txt --seed 5\n"
        "text = Path('data/a.txt').read_text() * factor\n"
        "Path('out.txt').write_text(text)\n"
        "run.metrics['length'] = len(text)\n"
        "factor + 1"
    )
    done.raise_error()

    (record,) = records(here)
    printed = capsys.readouterr().out
    assert done.result is None or done.result == 4
    assert "made out.txt; record xxh128:" in printed
    assert "next: git add .gitignore out.txt.datavc" in printed
    assert record.argv == ("%%datavc_run -n triple -i data -o out.txt --seed 5",)
    assert record.stage == "triple"
    assert record.section("inside") == {"kind": "cell", "cell": 3}
    assert record.section("metrics") == {"length": 12}
    assert [(row.path, row.declared) for row in record.inputs] == [(b"data", True)]
    assert [row.path for row in record.outputs] == [b"out.txt"]
    assert (
        content(here, record, "cells")
        .decode()
        .startswith(
            "# %% [1]\n%load_ext datavc\nfrom pathlib import Path\n\n# %% [2]\nfactor = 3\n\n# %% [3]\n%%datavc_run -n triple"
        )
    )


def test_names_of_a_cell_stay_and_run_is_its_own_again(here: Project, run: Run):
    run("run = 'mine'").raise_error()
    run("%%datavc_run\nassert run != 'mine'\nmade = 1").raise_error()

    run("assert (run, made) == ('mine', 1)").raise_error()


@pytest.mark.parametrize(
    "wrong", ["raise ValueError('bad')", "1 +", "%no_such_magic", "import no_such_module"]
)
def test_what_a_cell_raises_is_recorded_shown_once_and_raised(
    here: Project, run: Run, wrong: str, capsys: pytest.CaptureFixture[str]
):
    run("%%datavc_run -o out.txt\nPath('out.txt').write_text('whole')").raise_error()
    capsys.readouterr()

    done = run(f"%%datavc_run -o out.txt\n{wrong}")

    printed = capsys.readouterr()
    assert not done.success
    assert [record.status for record in records(here)] == ["failed", "ok"]
    assert here.read("out.txt") == b"whole"
    assert (printed.out + printed.err).count("Traceback (most recent call last)") <= 1
    assert (
        type(done.error_in_exec or done.error_before_exec).__name__
        in printed.out + printed.err + "UsageError"
    )


@pytest.mark.parametrize("line", ["--no-such", "-i nowhere", "-o data/a.txt", "--seed x", "-o 'open"])
def test_a_line_that_means_nothing_runs_nothing(here: Project, run: Run, line: str):
    done = run(f"%%datavc_run {line}\nran = True")

    assert not done.success
    assert not run("ran").success
    assert records(here) == []


def test_a_block_in_a_cell_is_known_by_its_line(here: Project, run: Run):
    run(
        "import datavc\n\nwith datavc.run(outputs='out.txt'):\n    Path('out.txt').write_text('x')"
    ).raise_error()

    (record,) = records(here)
    assert record.argv == ("with datavc.run(outputs='out.txt'):",)
    assert record.section("inside") == {"kind": "block", "cell": 2}
    assert "write_text('x')" in content(here, record, "cells").decode()


def test_a_notebook_that_is_saved_while_it_runs_is_no_code_that_changed(
    here: Project, run: Run, monkeypatch: pytest.MonkeyPatch
):
    here.write({"work.ipynb": "{}"})
    monkeypatch.setenv("JPY_SESSION_NAME", str(here.root / "work.ipynb"))
    save = "!env -i sh -c 'echo > work.ipynb'"
    run(f"%%datavc_run\n{save}").raise_error()

    (record,) = records(here)
    assert record.section("inside")["notebook"] == "work.ipynb"
    assert record.section("code")["mutated"] is False


def test_a_secret_that_a_cell_sets_is_in_no_record(here: Project, run: Run):
    run("import os; os.environ['MY_API_TOKEN'] = 'tok_very_secret_1'").raise_error()
    run("%%datavc_run\nprint(os.environ['MY_API_TOKEN'])").raise_error()

    (record,) = records(here)
    assert (
        "tok_very_secret_1"
        not in content(here, record, "cells").decode() + content(here, record, "stdout").decode()
    )


LINES = st.lists(
    st.sampled_from(["x = 1", "", "  # indented", "# %% [0]", "# %% [x]", "%%magic", "\u2028\x0b"])
)


@given(st.lists(LINES.map("\n".join)))
def test_cells_of_the_script_are_those_that_ran(cells: list[str]):
    history: Any = SimpleNamespace(history_manager=SimpleNamespace(input_hist_raw=["", *cells]))

    found = cells_of_script(script_of_cells(history))

    expected = [(number, cell.rstrip()) for number, cell in enumerate(cells, 1) if cell.strip()]
    assert found == expected
    sources = [cell["source"] for cell in json.loads(notebook_of(found))["cells"]]
    assert ["".join(source) for source in sources] == [cell for _, cell in expected]


def test_the_cells_of_a_run_come_back_as_a_notebook_where_they_ran(here: Project, run: Run, tmp_path: Path):
    here.write({"work/cells.ipynb": "{}", "work/helper.py": "factor = 2\n"})
    run("import os; os.chdir('work')").raise_error()
    run(
        "%%datavc_run -o out.txt\nPath('out.txt').write_text(Path('../data/a.txt').read_text())"
    ).raise_error()
    run("later = 'not yet run'").raise_error()
    (record,) = records(here)

    done = here.run("checkout", "--record", newest(here), "--to", str(tmp_path / "back"))

    book = json.loads((tmp_path / "back/work/cells-2.ipynb").read_text())
    sources = ["".join(cell["source"]) for cell in book["cells"]]
    assert sources[1:] == ["import os; os.chdir('work')", record.argv[0] + sources[2][len(record.argv[0]) :]]
    assert [cell["execution_count"] for cell in book["cells"]] == [1, 2, 3]
    assert f"{tmp_path}/back/work/cells-2.ipynb: 3 cells that had run, as a notebook" in done.out
    assert (tmp_path / "back/work/cells.ipynb").read_text() == "{}"
    assert (tmp_path / "back/work/out.txt").read_text() == "one\n"
    told = json.loads(
        here.run("checkout", "--record", newest(here), "--to", str(tmp_path / "b"), "--json").out
    )
    assert (told["notebook"], told["cells"]) == ("work/cells-2.ipynb", 3)


def jupyter() -> tuple[Any, Any]:
    for package in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'datavc[notebook]'")
    import nbclient
    import nbformat

    return nbclient, nbformat


def execute(book: Any, folder: Path) -> None:
    client, _ = jupyter()
    client.NotebookClient(
        book, timeout=120, allow_errors=True, resources={"metadata": {"path": folder}}
    ).execute()


@pytest.mark.filterwarnings("ignore")  # those of Jupyter's own packages
def test_a_notebook_that_nbclient_executes(here: Project):
    _, nbformat = jupyter()
    book = nbformat.v4.new_notebook()
    sources = (
        "%load_ext datavc\nfrom pathlib import Path\nfactor = 2",
        "%%datavc_run -o out.txt\nPath('out.txt').write_text(Path('data/a.txt').read_text() * factor)\nfactor",
        "%%datavc_run -o out.txt\nraise ValueError('bad')",
    )
    book.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    execute(book, here.root)

    failed, done = records(here)
    assert [failed.status, done.status] == ["failed", "ok"]
    assert here.read("out.txt") == b"one\none\n"
    assert [(row.path, row.declared) for row in done.inputs] == [(b"data", False)]
    assert [output.data["text/plain"] for output in book.cells[1].outputs if "data" in output] == ["2"]
    assert [output.ename for output in book.cells[2].outputs if output.output_type == "error"] == [
        "ValueError"
    ]


@pytest.mark.filterwarnings("ignore")  # those of Jupyter's own packages
def test_the_notebook_that_comes_back_runs_and_makes_the_same(here: Project, run: Run, tmp_path: Path):
    _, nbformat = jupyter()
    run(
        "%%datavc_run -o out.txt\nPath('out.txt').write_text(Path('data/a.txt').read_text() * 2)"
    ).raise_error()
    here.run("checkout", "--record", newest(here), "--to", str(tmp_path / "back"))
    back = tmp_path / "back"
    (back / "out.txt").unlink()
    (back / ".datavc").mkdir()

    book = nbformat.read(back / "cells.ipynb", as_version=4)
    nbformat.validate(book)
    execute(book, back)

    assert (back / "out.txt").read_bytes() == here.read("out.txt") == b"one\none\n"
    assert "out.txt.datavc" in os.listdir(back)
