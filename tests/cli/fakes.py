"""Commands and operations put in place of the real ones, for tests of what the command line makes of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


def put_command(monkeypatch: pytest.MonkeyPatch, name: str, function: Callable[..., Any]) -> None:
    """Let ``datavc NAME`` call ``function``."""
    module = ModuleType(f"datavc.cli.commands.{name}")
    setattr(module, name, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def put_operation(monkeypatch: pytest.MonkeyPatch, name: str, function: Callable[..., Any]) -> None:
    """Let the command of that name find ``function`` as its operation, and any folder to be a repo."""
    module = ModuleType(f"datavc.operations.{name}")
    setattr(module, name, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
