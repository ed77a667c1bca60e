"""The pages hold together: links lead somewhere, the reference is that of the code, blocks call commands that exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from datavc.cli import table
from datavc.formats.config import SETTINGS

REPO = Path(__file__).resolve().parents[2]
PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?:^|&& |\$ |`)datavc (?:-[a-zA-Z-]+ )*([a-z]+)", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _name(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_pages_and_headings_that_exist(page: Path):
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_of_this_repository_that_a_page_names_exist(page: Path):
    named = re.findall(r"`((?:datavc|tests|docs|\.ci)/[\w./-]*)`", page.read_text(encoding="utf-8"))

    assert [name for name in named if not (REPO / name).exists()] == []


def _typed(code: str) -> str:
    """What of a piece of code is typed: in console blocks, the lines that begin with ``$``."""
    if not code.startswith("```console"):
        return code
    return "\n".join(line for line in code.splitlines() if line.startswith("$"))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_that_a_page_calls_exist(page: Path):
    # `datavc log` and its like may be named where a page says that they do not exist yet.
    planned = {"log", "gc", "push", "pull", "fetch", "run"}
    text = page.read_text(encoding="utf-8")
    called = {verb for code in CODE.findall(text) for verb in CALL.findall(_typed(code))}

    assert {verb for verb in called if table.find(verb) is None and not table.family(verb)} <= planned


def test_the_command_reference_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("generate_cli", REPO / "docs" / "generate_cli.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)

    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), "run: python docs/generate_cli.py"


def test_every_setting_is_explained():
    page = (REPO / "docs" / "reference" / "config.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `([A-Za-z._]+)` \|", page, re.MULTILINE) == list(SETTINGS)


def test_every_page_can_be_reached_from_the_index():
    index = REPO / "docs" / "index.md"
    reached, waiting = {REPO / "README.md"}, [index]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links if "://" not in link]
        waiting += [target for target in targets if target.is_file()]

    assert [_name(page) for page in PAGES if page not in reached] == []
