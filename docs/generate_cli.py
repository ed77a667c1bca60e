"""Writes ``docs/reference/cli.md`` from the command table and the commands' own help.

python docs/generate_cli.py            write it
python docs/generate_cli.py --check    exit with 1 if it is not what would be written
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datavc.cli import table

PAGE = Path(__file__).parent / "reference" / "cli.md"
_HEAD = """\
# Commands

<!-- Written by docs/generate_cli.py. Change the code, then run it. -->

```
{usage}
```

Verbs and habits are git's. Results go to standard output, progress and talk to standard error. Paths are relative to
the current folder; a path inside a dataset means that part of it.

## Global options

They may stand before or after the command, up to `--`.

| option | meaning |
|---|---|
{options}

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | an error; with `--exit-code`: there are differences |
| 2 | the command line was not understood |
| 3 | partly done, the rest is named |
| 4 | with `--exit-code`: an error |
| 10 | there is no repository |
| 11 | another command holds the lock |
| 12 | something is corrupt |
| 130 | interrupted |

## Overview

{overview}
"""


def page() -> str:
    """The whole page, as text."""
    options = "\n".join(f"| `{option}` | {meaning} |" for option, meaning in table.GLOBAL_OPTIONS)
    parts = [_HEAD.format(usage=table.USAGE, options=options, overview="\n".join(_overview()).rstrip())]
    parts += [_command(command) for command in table.COMMANDS.values()]
    return "\n".join(parts)


def _overview() -> Iterator[str]:
    for group in table.GROUPS:
        yield f"**{group}**\n"
        for command in table.COMMANDS.values():
            if command.group == group:
                summary = command.summary[:1].lower() + command.summary[1:]
                yield f"- [`{command.name}`](#datavc-{command.name.replace(' ', '-')}): {summary}"
        yield ""


def _command(command: table.Command) -> str:
    names = [alias for alias, name in table.ALIASES.items() if name == command.name]
    title = f"## datavc {command.name}\n"
    alias = f"\nAlso written `datavc {'`, `datavc '.join(names)}`.\n" if names else ""
    if command.plain:
        words = f" {command.arguments}" if command.arguments not in (table.PATHS, table.NOTHING) else ""
        return f"{title}\n```\ndatavc {command.name}{words}\n```\n\n{command.summary}.\n{alias}"
    from datavc.cli.invoke import typer_command

    parsed: Any = typer_command(command)
    with parsed.make_context(f"datavc {command.name}", [], resilient_parsing=True) as context:
        usage = re.sub(r"[{}]", "", " ".join(parsed.collect_usage_pieces(context)))
        rows = [_row(parameter, context) for parameter in parsed.get_params(context)]
    rows = [row for row in rows if row]
    listed = "\n| argument, option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"{title}\n```\ndatavc {command.name} {usage}\n```\n\n{_help(parsed.help or '')}\n{alias}{listed}"


def _row(parameter: Any, context: Any) -> str:
    """One line of the table of options and arguments; nothing for ``--help``."""
    if "--help" in parameter.opts:
        return ""
    text = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return f"| `{parameter.make_metavar(context)}` | {text} |"
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"| `{names}{value}` | {text} |"


def _help(text: str) -> str:
    """The help as Markdown: paragraphs that keep their lines are examples; the first line gets its full stop."""
    summary, *paragraphs = text.strip().split("\n\n")
    parts = [f"{summary}."]
    for paragraph in paragraphs:
        if paragraph.startswith("\b\n"):
            parts.append(_example(paragraph[2:]))
        else:
            parts.append(" ".join(paragraph.split()))
    return "\n\n".join(parts)


def _example(paragraph: str) -> str:
    """Indented lines are code; a line above them that is not indented introduces it."""
    intro = [line for line in paragraph.split("\n") if not line.startswith(" ")]
    lines = [line for line in paragraph.split("\n") if line.startswith(" ")]
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    code = "\n".join(re.sub(r"\s+$", "", line[indent:]) for line in lines)
    return "\n\n".join([*intro, f"```\n{code}\n```"])


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
