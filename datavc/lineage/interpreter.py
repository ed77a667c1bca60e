"""What a command's Python says of itself and of its distributions: asked once, and again when something was installed.

Asking takes some 0.2 s, mostly for reading what each distribution is called. So answers are kept in a file of the clone, with
what they hang on: the interpreter, the variables that it heeds, and the state of each folder that it imports from.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from datavc.lineage.observed import Interpreter

_SECONDS = 20
_KEPT = 8
_FORMAT = 1
# Younger than this when it was looked at, a folder may change once more and keep its time.
_SETTLED_NS = 2_000_000_000
_TELLING = (".dist-info", ".egg-info", ".egg-link", ".pth")
_HEEDED = ("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "HOME")

# Run by the command's own interpreter, which need not be ours; it prints one line. The standard library's way to the same
# parses all metadata as e-mail, and RECORD as objects: ten times as long.
_QUESTION = """
import importlib.metadata as m, json, platform, sys, sysconfig
found, names = {}, {}
for d in m.distributions():
    text = d.read_text("METADATA") or d.read_text("PKG-INFO") or d.read_text("") or ""
    head = dict(l.split(": ", 1) for l in text.split("\\n\\n", 1)[0].splitlines() if l.startswith(("Name: ", "Version: ")))
    name = head.get("Name", "").strip()
    if not name or name in found:
        continue
    direct = d.read_text("direct_url.json")
    found[name] = {"version": head.get("Version", "").strip(), **({"direct_url": json.loads(direct)} if direct else {})}
    tops = (d.read_text("top_level.txt") or "").split() or {
        l.partition(",")[0].strip('"').partition("/")[0].partition(".")[0] for l in (d.read_text("RECORD") or "").splitlines()
        if ".dist-info/" not in l and not l.startswith((".", "/", "__pycache__"))
    }
    for top in tops:
        names.setdefault(top, []).append(name)
print(json.dumps({"distributions": found, "names": names, "implementation": platform.python_implementation(),
    "version": platform.python_version(), "build": " ".join(platform.python_build()), "path": sys.path,
    "compiler": platform.python_compiler(), "abi": sysconfig.get_config_var("SOABI"), "executable": sys.executable}))
"""


def ask(interpreter: Interpreter, notes: Path) -> dict[str, Any] | None:
    """What the ``interpreter``, which has just run, says of itself: as the file ``notes`` has it, or asked anew.

    None where it gives no answer.
    """
    if not os.path.isabs(interpreter.executable):
        return None
    key = _key(interpreter)
    kept = _read(notes)
    found = kept.get(key)
    if found is not None and all(_state(folder) == state for folder, state in found["folders"].items()):
        return dict(found["answer"])
    began = time.time_ns()
    answer = _ask(interpreter.executable)
    if answer is None:
        return None
    folders = {folder: _state(folder) for folder in answer.pop("path") if folder}
    if key and _newest(list(folders.values())) < began - _SETTLED_NS:
        _write(notes, {**dict(list(kept.items())[-_KEPT + 1 :]), key: {"folders": folders, "answer": answer}})
    return dict(answer)


def _ask(executable: str) -> dict[str, Any] | None:
    from subprocess import DEVNULL, SubprocessError, run

    try:
        # -P: nothing of the current folder is imported. -I would hide what PYTHONPATH brings, which the command saw.
        safe = ["-P"] if sys.version_info >= (3, 11) and executable == sys.executable else ["-I"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DATAVC_")}
        done = run(
            [executable, *safe, "-c", _QUESTION],
            capture_output=True,
            timeout=_SECONDS,
            stdin=DEVNULL,
            env=environment,
            cwd="/",
            check=False,
        )
        found = json.loads(done.stdout.decode().splitlines()[-1])
    except (OSError, SubprocessError, ValueError, IndexError):
        return None
    return found if isinstance(found, dict) else None


def _key(interpreter: Interpreter) -> str:
    """What the answer hangs on besides the folders; empty where the program is gone."""
    try:
        program = os.stat(interpreter.executable)
    except OSError:
        return ""
    settings = os.path.join(interpreter.prefix, "pyvenv.cfg")
    words = [
        interpreter.executable,
        interpreter.version,
        interpreter.prefix,
        program.st_ino,
        program.st_size,
        program.st_mtime_ns,
        _state(settings),
        [os.environ.get(name) for name in _HEEDED],
    ]
    return json.dumps(words)


def _state(folder: str) -> list[Any] | None:
    """When a folder, and what in it tells of distributions and of further folders, was changed."""
    try:
        telling = []
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                telling = sorted(
                    [entry.name, entry.stat().st_mtime_ns]
                    for entry in entries
                    if entry.name.endswith(_TELLING)
                )
        return [os.stat(folder).st_mtime_ns, telling]
    except OSError:
        return None


def _newest(states: list[list[Any] | None]) -> int:
    return max(
        (at for state in states if state for at in (state[0], *(row[1] for row in state[1]))), default=0
    )


def _read(notes: Path) -> dict[str, Any]:
    try:
        found = json.loads(notes.read_bytes())
    except (OSError, ValueError):
        return {}
    return found["answers"] if isinstance(found, dict) and found.get("format") == _FORMAT else {}


def _write(notes: Path, answers: dict[str, Any]) -> None:
    """Keep answers; where that fails, the next run asks again."""
    temporary = notes.with_name(f"{notes.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps({"format": _FORMAT, "answers": answers}))
        temporary.replace(notes)
    except OSError:
        temporary.unlink(missing_ok=True)
