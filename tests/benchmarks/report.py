"""What was measured, as a Markdown text or as JSON. Medians everywhere: one disturbed run must not decide."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from cases import PYTHON, Bench, Sample
from measure import Measurement

TITLES = {
    "add": "add, nothing known yet",
    "status": "status, nothing changed",
    "edit": "add after one file changed",
    "checkout": "checkout from the cache into an emptied workspace",
    "big-add": "add one big file",
    "big-checkout": "checkout of one big file",
    "csv-add": "add a table",
    "csv-edit": "add its twin with ten edited rows",
    "version": "start-up: `--version`",
    "small-status": "start-up: `status` in a repo of 20 files",
}
_MIB = 1 << 20
# Creating a file takes this many times as long after a mass deletion as otherwise, or more.
_SLOW_CREATION = 5

Key = TypeVar("Key")
Table = tuple[str, list[Sample]]


def markdown(bench: Bench, machine: dict[str, str]) -> str:
    lines = [f"- {key}: {value}" for key, value in machine.items()] + [""]
    for title, samples in _tables(bench.samples):
        lines += [f"**{title}**", "", *_rows(samples), ""]
    lines += [f"- Note: {note}" for note in bench.notes + _warnings(bench)]
    return "\n".join(lines).rstrip() + "\n"


def as_json(bench: Bench, machine: dict[str, str]) -> dict[str, Any]:
    return {
        "machine": machine,
        "medians": [
            {"title": title, **_summary(tool, samples)}
            for title, table in _tables(bench.samples)
            for tool, samples in _by(table, lambda sample: sample.tool)
        ],
        "samples": [dataclasses.asdict(sample) for sample in bench.samples],
        "create_seconds": bench.create_seconds,
        "notes": bench.notes + _warnings(bench),
    }


def describe_machine(folder: Path, versions: dict[str, str]) -> dict[str, str]:
    """What a reader must know to believe the figures: processor, memory, kernel, file system, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{os.cpu_count()} x {_processor()}, {memory:.0f} GiB, {platform.system()} {platform.release()}",
        "file system": _file_system(folder),
        "tools": ", ".join(f"{name} ({version})" for name, version in versions.items()),
    }


def _tables(samples: Iterable[Sample]) -> list[Table]:
    """Samples by data, in the order of measuring, then by case, in the order of the titles."""
    tables = []
    for data, measured in _by(samples, lambda sample: sample.data):
        cases = dict(_by(measured, lambda sample: sample.case))
        for case, title in TITLES.items():
            if case in cases:
                tables.append((title if data == "start-up" else f"{title} ({data})", cases[case]))
    return tables


def _rows(samples: list[Sample]) -> list[str]:
    tools = dict(_by(samples, lambda sample: sample.tool))
    base = {name: _seconds(tools[name]) for name in ("cp", "dvc", PYTHON) if name in tools}
    references = [name for name in ("cp", "dvc") if name in base] if PYTHON not in base else []
    head = ["tool", "seconds", "from - to", *(f"x {name}" for name in references), "CPU s", "sync after"]
    head += ["largest process MiB", "tree PSS MiB", "tree RSS MiB", "newly stored MB"]
    if PYTHON in base:
        head.insert(2, "over Python ms")
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for name, chosen in tools.items():
        cells = _cells(name, chosen)
        ratios = [f"{_seconds(chosen) / base[reference]:.2f}" for reference in references]
        if PYTHON in base:
            ratios = []
            cells.insert(2, f"{(_seconds(chosen) - base[PYTHON]) * 1000:.0f}")
        lines.append("| " + " | ".join([*cells[:3], *ratios, *cells[3:]]) + " |")
    return lines


def _cells(name: str, samples: list[Sample]) -> list[str]:
    seconds = [sample.measurement.seconds for sample in samples]
    summary = _summary(name, samples)
    stored = summary["stored"]
    return [
        name,
        _figure(summary["seconds"]),
        f"{_figure(min(seconds))} - {_figure(max(seconds))}" if len(seconds) > 1 else "one run",
        _figure(summary["cpu_seconds"]),
        _figure(summary["sync_seconds"]),
        *(_mebibytes(summary[key]) for key in ("largest", "tree_pss", "tree_rss")),
        "" if stored is None else f"{stored / 1e6:.1f}",
    ]


def _summary(name: str, samples: list[Sample]) -> dict[str, Any]:
    """Medians, but of memory the highest."""
    found = [sample.measurement for sample in samples]
    stored = [sample.stored for sample in samples if sample.stored is not None]
    return {
        "tool": name,
        "runs": len(samples),
        "seconds": median(one.seconds for one in found),
        "cpu_seconds": median(one.cpu_seconds for one in found),
        "sync_seconds": median(one.sync_seconds for one in found),
        "largest": _highest(found, lambda one: one.largest),
        "tree_pss": _highest(found, lambda one: one.tree_pss),
        "tree_rss": _highest(found, lambda one: one.tree_rss),
        "stored": median(stored) if stored else None,
    }


def _highest(found: list[Measurement], read: Callable[[Measurement], int | None]) -> int | None:
    return max((value for one in found if (value := read(one)) is not None), default=None)


def _warnings(bench: Bench) -> list[str]:
    notes = []
    if bench.create_seconds and max(bench.create_seconds) > _SLOW_CREATION * min(bench.create_seconds):
        low, high = (f"{value * 1e6:.0f}" for value in (min(bench.create_seconds), max(bench.create_seconds)))
        notes.append(
            f"creating an empty file took {low} microseconds at best and {high} at worst: something deletes or "
            "creates many files here meanwhile, or did so before; measure again later"
        )
    load = max((sample.load for sample in bench.samples), default=0.0)
    if load > 2 * (os.cpu_count() or 1):
        notes.append(f"the machine had other work to do: load average up to {load:.1f}")
    return notes


def _by(samples: Iterable[Sample], key: Callable[[Sample], Key]) -> list[tuple[Key, list[Sample]]]:
    groups: dict[Key, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    return list(groups.items())


def _seconds(samples: Sequence[Sample]) -> float:
    return median(sample.measurement.seconds for sample in samples)


def _figure(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}"


def _mebibytes(value: int | None) -> str:
    return "" if value is None else f"{value / _MIB:.0f}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder, where `df` can say it."""
    done = subprocess.run(["df", "-T", folder], capture_output=True, text=True, check=False)
    words = done.stdout.splitlines()[-1].split() if done.returncode == 0 else []
    return words[1] if len(words) > 1 else "unknown"
