"""Writes ``docs/reference/python.md`` from the docstrings and signatures of ``datavc.Repo`` and of what its methods return.

python docs/generate_python.py            write it
python docs/generate_python.py --check    exit with 1 if it is not what would be written
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import datavc
from datavc import api, errors
from datavc.api.running import Run
from datavc.filesystem import DatavcFileSystem
from datavc.operations.add import AddedDataset, AddResult
from datavc.operations.checkout import CheckoutResult
from datavc.operations.diff import DatasetDiff
from datavc.operations.fetch import FetchedDataset, FetchResult
from datavc.operations.log import LoggedVersion, LogResult
from datavc.operations.ls import ListedEntry
from datavc.operations.pull import PullResult
from datavc.operations.push import PushedDataset, PushResult
from datavc.operations.recording import RunResult
from datavc.operations.status import DatasetStatus
from datavc.operations.steps.comparing.compare import Change
from datavc.operations.steps.delivering.switching import CheckedOut
from datavc.operations.steps.transfers.transfer import Traffic

PAGE = Path(__file__).parent / "reference" / "python.md"
RESULTS: tuple[type[Any], ...] = (
    AddResult,
    AddedDataset,
    CheckoutResult,
    CheckedOut,
    DatasetStatus,
    DatasetDiff,
    Change,
    LogResult,
    LoggedVersion,
    ListedEntry,
    PushResult,
    PushedDataset,
    FetchResult,
    FetchedDataset,
    PullResult,
    RunResult,
    Traffic,
)
_HEAD = """\
# Python

<!-- Written by docs/generate_python.py. Change the docstrings, then run it. -->

How to use it, with examples that run: [Work with datasets from Python](../how-to/python.md).

{module}

Each verb is a method of `Repo`, and a function of `datavc`, which works on the repository above the current folder:
{verbs}.
"""


def page() -> str:
    """The whole page, as text."""
    verbs = ", ".join(f"`datavc.{name}`" for name in datavc._VERBS)
    module = (inspect.getdoc(api) or "").partition("\n\n")[2]
    parts = [_HEAD.format(module=_markdown(module), verbs=verbs)]
    parts.append(f"## Repo\n\n```python\ndatavc.Repo{_signature(api.Repo)}\n```\n\n{_documented(api.Repo)}\n")
    for name in sorted(datavc._VERBS):
        method = getattr(api.Repo, name)
        parts.append(f"### {name}\n\n```python\n{name}{_signature(method)}\n```\n\n{_documented(method)}\n")
    parts.append(f"## Run\n\n{_documented(Run)}\n\n### as a decorator\n\n{_documented(Run.__call__)}\n")
    parts.append(f"## datavc:// for fsspec\n\n{_documented(DatavcFileSystem)}\n")
    parts.append("## What the verbs return\n")
    parts += [_result(kind) for kind in RESULTS]
    tree = (inspect.getdoc(errors) or "").partition("\n\n")[2].partition("\n\n")[0]
    parts.append(
        f"## Errors\n\nIn `datavc.errors`; `hint` is what to do next.\n\n```\n{inspect.cleandoc(tree)}\n```\n"
    )
    return "\n".join(parts)


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    given = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    # Annotations are strings in the code, and shown as what they say.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature.replace(parameters=given)))


def _documented(thing: Any) -> str:
    return _markdown(inspect.getdoc(thing) or "")


def _markdown(text: str) -> str:
    """reStructuredText's few marks as Markdown's; the errors that are raised as a list."""
    text = re.sub(r":(?:class|meth|func|mod):`~?([^`]*)`", r"`\1`", text).replace("``", "`")
    return "\n\n".join(_paragraph(paragraph) for paragraph in text.split("\n\n"))


def _paragraph(paragraph: str) -> str:
    first, _, rest = paragraph.partition("\n")
    if first != "Raises:":
        return " ".join(paragraph.split())
    raised = " ".join(rest.split())
    names = r"(?<![\w.])((?:[A-Z]\w+(?:Error|Mismatch|Found|Space|Failure)(?:, )?)+): "
    return "Raises: " + re.sub(names, r"`\1`: ", raised)


def _result(kind: type[Any]) -> str:
    rows = "\n".join(f"| `{field.name}` | `{field.type}` |" for field in fields(kind)).replace(
        " | None", " or None"
    )
    return f"### {kind.__name__}\n\n{_documented(kind)}\n\n| field | type |\n|---|---|\n{rows}\n"


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
