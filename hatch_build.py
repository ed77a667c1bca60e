"""Builds the preload library with the machine's C compiler, where there is one; without, datavc is installed without it.

Why it is built like this: docs/decisions/0007-the-preload-library.md
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "datavc/lineage/preload/preload.c"
LIBRARY = "datavc/lineage/preload/preload.so"
# Without versions of symbols and start files it asks nothing of the C library it will meet: that may be older than the one
# here, or musl. What is fortified here would call functions that are not everywhere.
_OPTIONS = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-nostdlib", "-fvisibility=hidden", "-fno-stack-protector",
            "-U_FORTIFY_SOURCE", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,--no-as-needed", "-s"]  # fmt: skip
# Until glibc 2.34, dlsym was in a library of its own. An empty one of its name, to be linked with, is found anywhere.
_DLSYM_IS_IN = "libdl.so.2"


def build_library(source: Path, target: Path) -> bool:
    """Compile ``source``. False where that cannot be done here."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return False
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / _DLSYM_IS_IN
        made = Path(folder) / target.name
        empty = [
            "-shared",
            "-nostdlib",
            f"-Wl,-soname,{_DLSYM_IS_IN}",
            "-x",
            "c",
            "/dev/null",
            "-o",
            str(named),
        ]
        try:
            subprocess.run([*compiler, *empty], check=True, capture_output=True, stdin=subprocess.DEVNULL)
            words = [*compiler, *_OPTIONS, "-o", str(made), str(source), str(named)]
            subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            # Never into the old one: programs that run have it mapped.
            new = target.with_name(f".{target.name}.{os.getpid()}")
            new.write_bytes(made.read_bytes())
            new.chmod(0o755)
            new.replace(target)
        except (OSError, subprocess.SubprocessError):
            return False
    return True


class PreloadHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library to a wheel, which then is one for this kind of machine alone."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; ``version`` is ``editable`` for a checkout that is worked on."""
        if self.target_name != "wheel":
            return
        source = Path(self.root) / SOURCE
        if version == "editable":
            build_library(source, Path(self.root) / LIBRARY)
            return
        self._folder = tempfile.TemporaryDirectory()
        built = Path(self._folder.name) / "preload.so"
        if build_library(source, built):
            build_data["force_include"][str(built)] = LIBRARY
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the wheel is there."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()
