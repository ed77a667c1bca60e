"""What the configuration says of each remote: where it is, how it is reached, and by whom that was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datavc.formats.config import Config

# What is handed on to whoever opens the place; the rest is about the remote itself.
_PASSED_ON = ("endpoint", "region", "profile", "path_style", "anonymous")


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """The remote ``name`` at ``url``, which is as it was configured: a folder's may be relative to the repo's root.

    ``origin`` is the layer that gives the URL. ``committed`` are the addresses (URL, endpoint) that a committed file gives,
    and ``allowed`` is the one that the user allowed in spite of that.
    """

    name: str
    url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    is_default: bool = False
    origin: str = "local"
    read_only: bool = False
    committed: tuple[str, ...] = ()
    allowed: str | None = None


def remotes_of(config: Config) -> list[RemoteSettings]:
    """Every remote that has a URL: the default one first, then in the order of the files. Raises UsageError."""
    names = config.tables_in("remote", "url")
    default = default_remote(config)
    found = [_remote(config, name, is_default=name == default) for name in names]
    return sorted(found, key=lambda remote: not remote.is_default)


def default_remote(config: Config) -> str | None:
    """The name of the default remote: the one that is set, or the only one."""
    chosen: str | None = config.get("remote.default")
    if chosen is not None:
        return chosen
    names = config.tables_in("remote", "url")
    return names[0] if len(names) == 1 else None


def _remote(config: Config, name: str, *, is_default: bool) -> RemoteSettings:
    prefix = f"remote.{name}."
    values = {key: config.get(prefix + key) for key in _PASSED_ON}
    settings = {key: _text(value) for key, value in values.items() if value is not None}
    addresses = [key for key in ("url", "endpoint") if config.origin(prefix + key) == "repo"]
    return RemoteSettings(
        name=name,
        url=config.get(prefix + "url"),
        settings=settings,
        is_default=is_default,
        origin=config.origin(prefix + "url"),
        read_only=bool(config.get(prefix + "read_only")),
        committed=tuple(config.get(prefix + key) for key in addresses),
        allowed=config.get(prefix + "allow"),
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
