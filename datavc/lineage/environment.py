"""The machine that a run ran on: Python and its distributions, lock files, system, CPU, GPU, container. Unknown is said."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from datavc.formats.digest import Digest
from datavc.lineage.interpreter import ask
from datavc.lineage.observed import Interpreter

UNKNOWN = "unknown"
_LOCKS = (
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "requirements.txt", "environment.yml",
    "environment.yaml", "conda-lock.yml", "pixi.lock", "Dockerfile", "pyproject.toml",
)  # fmt: skip
VARIABLES = (
    "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS", "LANG", "LC_ALL",
    "TZ", "CONDA_DEFAULT_ENV", "SLURM_JOB_ID", "SLURM_NTASKS", "RANK", "WORLD_SIZE", "LOCAL_RANK", "CI",
)  # fmt: skip
"""The environment variables that a record has by value. Of all others it has nothing, not even the names."""


def machine() -> dict[str, Any]:
    """System, CPU and GPU."""
    return {
        "os": {
            "name": _os_name(),
            "kernel": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip() or UNKNOWN,
        },
        "cpu": _cpu(),
        "gpu": _gpu(),
    }


def container(image: str | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """The digest of the container image: as the user or the environment gives it, else unknown, never guessed."""
    if image:
        return {"image": image, "source": "option"}
    given = environment.get("DATAVC_IMAGE_DIGEST")
    if given:
        return {"image": given, "source": "DATAVC_IMAGE_DIGEST"}
    inside = [place for place in ("/.dockerenv", "/run/.containerenv") if os.path.exists(place)]
    inside += ["APPTAINER_CONTAINER"] if environment.get("APPTAINER_CONTAINER") else []
    return {"image": UNKNOWN if inside else None, "source": inside[0] if inside else None}


def variables(environment: Mapping[str, str], redact: Callable[[str], str]) -> dict[str, str]:
    """The chosen environment variables."""
    return {name: redact(environment[name]) for name in VARIABLES if name in environment}


def lock_files(folders: Iterable[Path], algorithm: str) -> list[dict[str, str]]:
    """The lock files in ``folders``, by digest."""
    found: dict[str, dict[str, str]] = {}
    for folder in folders:
        for name in _LOCKS:
            file = folder / name
            try:
                content = file.read_bytes()
            except OSError:
                continue
            found[str(file)] = {"path": str(file), "digest": str(Digest.of(algorithm, content))}
    return list(found.values())


def python(
    interpreters: list[Interpreter], imported: set[str], notes: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is to be said of the command's Python, and all its distributions; both empty where none ran.

    ``notes`` is a file that keeps what interpreters said before.
    """
    if not interpreters:
        return {}, {}
    first = interpreters[0]
    about = ask(first, notes)
    if about is None:
        return {"executable": first.executable, "build": first.version, "distributions": UNKNOWN}, {}
    distributions, names = about.pop("distributions"), about.pop("names")
    used = sorted({distribution for name in imported for distribution in names.get(name, ())})
    about["flags"] = first.flags
    about["prefix"] = first.prefix
    about["imported"] = {name: distributions[name]["version"] for name in used if name in distributions}
    return about, distributions


def _os_name() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", UNKNOWN)
    except OSError:
        return UNKNOWN


def _cpu() -> dict[str, Any]:
    model, flags = platform.processor() or UNKNOWN, ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                flags = value.strip()
                break
    except OSError:
        pass
    return {"model": model, "count": os.cpu_count(), "flags": " ".join(sorted(flags.split())) or UNKNOWN}


def _gpu() -> list[dict[str, Any]]:
    """NVIDIA's, by its own library, where the driver is there."""
    if not os.path.exists("/proc/driver/nvidia/version"):
        return []
    import ctypes

    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        nvml.nvmlInit_v2()
        text = ctypes.create_string_buffer(96)
        nvml.nvmlSystemGetDriverVersion(text, 96)
        driver = text.value.decode()
        count = ctypes.c_uint()
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        found = []
        for number in range(count.value):
            device = ctypes.c_void_p()
            nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device))
            nvml.nvmlDeviceGetName(device, text, 96)
            found.append({"name": text.value.decode(), "driver": driver})
        nvml.nvmlShutdown()
    except (OSError, AttributeError, ValueError):
        return [{"name": UNKNOWN, "driver": Path("/proc/driver/nvidia/version").read_text().splitlines()[0]}]
    return found
