"""What IPython and Jupyter know of the notebook that runs, asked without importing either; and its cells as a notebook."""

from __future__ import annotations

import json
import linecache
import os
import re
import sys
from types import FrameType
from typing import Any

_HEAD = "# %% [{}]"
_HEAD_OF_CELL = re.compile(r"# %% \[(\d{1,9})\]")


def current_shell() -> Any:
    """The IPython that runs this process, or None."""
    module = sys.modules.get("IPython")
    ask = getattr(module, "get_ipython", None)
    return ask() if ask is not None else None


def is_cell(shell: Any, names: dict[str, Any]) -> bool:
    """Whether code with these global names is a cell's."""
    return shell is not None and names is getattr(shell, "user_global_ns", None)


def script_of_cells(shell: Any) -> str:
    """The cells that were run since the start, in the order in which they were, the current one last, as one script."""
    cells = [(number, cell.rstrip()) for number, cell in enumerate(_history(shell)) if cell.strip()]
    return "".join(f"{_HEAD.format(number)}\n{cell}\n\n" for number, cell in cells)


def cells_of_script(script: str) -> list[tuple[int, str]]:
    """The inverse: each cell with its number. Numbers rise, so that a cell which looks like two is rarely taken for such."""
    cells: list[tuple[int, list[str]]] = []
    for line in script.split("\n"):
        head = _HEAD_OF_CELL.fullmatch(line)
        if head is not None and (not cells or int(head[1]) > cells[-1][0]):
            cells.append((int(head[1]), []))
        elif cells:
            cells[-1][1].append(line)
    return [(number, "\n".join(lines).rstrip("\n")) for number, lines in cells]


def notebook_of(cells: list[tuple[int, str]]) -> bytes:
    """A notebook of format 4 with these cells, by number, and without their output."""
    rows = [
        {
            "cell_type": "code",
            "execution_count": number,
            "metadata": {},
            "outputs": [],
            "source": text.splitlines(keepends=True),
        }
        for number, text in cells
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {"cells": rows, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(book, indent=1).encode() + b"\n"


def current_number(shell: Any) -> int:
    """The number of the cell that runs, as ``In [3]`` shows it."""
    return max(0, len(_history(shell)) - 1)


def current_line(shell: Any, frame: FrameType | None = None) -> str:
    """The line of the cell at which ``frame`` is, or the first line of the cell that runs."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() if frame is not None else ""
    lines = _history(shell)[-1].strip().splitlines() or [""]
    return line or lines[0] or "cell"


def _history(shell: Any) -> list[str]:
    """By number; the first is empty."""
    return list(getattr(shell.history_manager, "input_hist_raw", None) or [""])


def notebook_path(shell: Any) -> str | None:
    """The notebook's file: as VS Code tells its cells, or a Jupyter server its kernels; others keep it to themselves."""
    found = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return found if isinstance(found, str) and found.endswith(".ipynb") else None
