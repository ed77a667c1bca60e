"""Configuration: what ``datavc.toml``, the local and the user's file may say, how they are merged, and how one is edited.

No disk and no environment here: callers bring text and mappings. Specified in ``docs/reference/config.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from datavc.errors import UsageError
from datavc.formats.digest import ALGORITHMS, DEFAULT_ALGORITHM
from datavc.formats.header import FORMAT, KNOWN_FORMATS, UPGRADE_HINT
from datavc.formats.secrets import carries_secret, names_secret, redact
from datavc.formats.toml import read_toml

CONFIG_FORMAT = FORMAT
MAX_CONFIG_BYTES = 256 << 10
LINK_TYPES = ("reflink", "hardlink", "symlink", "copy")
DEFAULT_LINKS = ("reflink", "copy")
DEFAULT_SHARE_ABOVE = 1 << 20

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}
KEEP_CHOICES = ("all", "unpushed")
PUSH_CHOICES = ("refuse", "push", "off")
_REMOTE_NAME = re.compile(r"(?!default$)[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_REMOTE_KEY = re.compile(r"remote\.(.+)\.([a-z_]+)", re.DOTALL)

Layer = tuple[str, Mapping[str, Any]]


class Setting(NamedTuple):
    """A known key: how its value is ``parse``d (raising ValueError with what it must be), and where it may stand."""

    key: str
    parse: Callable[[Any], Any]
    default: Any
    committed: bool
    local: bool


def _repo_id(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{32}", value):
        raise ValueError("must be 32 hex digits, as datavc init writes them")
    return value


def _algorithm(value: Any) -> str:
    if not isinstance(value, str) or value not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
    return value


def _format(value: Any) -> int:
    if value not in KNOWN_FORMATS or type(value) is not int:
        known = " or ".join(map(str, KNOWN_FORMATS))
        raise ValueError(f"must be {known}; this version of datavc knows no other ({UPGRADE_HINT})")
    return value


def _folder(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("must be the path of a folder")
    return value


def _links(value: Any) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words or any(word not in LINK_TYPES for word in words):
        raise ValueError(f"must be a list of {', '.join(LINK_TYPES)}")
    return tuple(words)


def parse_size(value: Any) -> int:
    """Bytes, as a number or as text such as ``1MiB``. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("must be a number of bytes, such as 1048576 or 1MiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def _keep(value: Any) -> str:
    if value not in KEEP_CHOICES:
        raise ValueError(f"must be one of {', '.join(KEEP_CHOICES)}")
    return str(value)


def _push(value: Any) -> str:
    if value not in PUSH_CHOICES:
        raise ValueError(f"must be one of {', '.join(PUSH_CHOICES)}")
    return str(value)


def remote_name(value: Any) -> str:
    """The name of a remote. Raises ValueError."""
    if not isinstance(value, str) or not _REMOTE_NAME.fullmatch(value):
        raise ValueError("must be a name of letters, digits, - and _, other than default")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("must be text of printable characters")
    return value


def _switch(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


# NAME in a key stands for the name of any remote.
SETTINGS = {
    setting.key: setting
    for setting in (
        Setting("format", _format, CONFIG_FORMAT, True, False),
        Setting("repo", _repo_id, None, True, False),
        Setting("hash", _algorithm, DEFAULT_ALGORITHM, True, False),
        Setting("cache.dir", _folder, None, False, True),
        Setting("cache.link", _links, DEFAULT_LINKS, True, True),
        Setting("cache.share_above", parse_size, DEFAULT_SHARE_ABOVE, True, True),
        Setting("cache.keep", _keep, KEEP_CHOICES[0], False, True),
        Setting("git.push", _push, PUSH_CHOICES[0], True, True),
        Setting("remote.default", remote_name, None, True, True),
        Setting("remote.NAME.url", _text, None, True, True),
        Setting("remote.NAME.endpoint", _text, None, True, True),
        Setting("remote.NAME.region", _text, None, True, True),
        # Profiles are of one user's machine, and may name programs that give out credentials.
        Setting("remote.NAME.profile", _text, None, False, True),
        Setting("remote.NAME.path_style", _switch, None, True, True),
        Setting("remote.NAME.anonymous", _switch, None, True, True),
        Setting("remote.NAME.read_only", _switch, None, True, True),
        Setting("remote.NAME.allow", _text, None, False, True),
    )
}


def setting_of(key: str) -> Setting | None:
    """What is known of a key. Raises UsageError where it is about a remote whose name is none."""
    match = _REMOTE_KEY.fullmatch(key)
    setting = SETTINGS.get(f"remote.NAME.{match[2]}") if match is not None else SETTINGS.get(key)
    if match is None or setting is None:
        return setting
    try:
        remote_name(match[1])
    except ValueError as error:
        raise UsageError(f"the name of the remote in {key!r} {error}") from None
    return setting._replace(key=key)


class Config:
    """Merged settings; each knows from which layer it came."""

    def __init__(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self._values = values
        self._origins = origins

    def get(self, key: str) -> Any:
        """The value of a dotted key, parsed where the key is known; None where nothing sets it. Raises UsageError."""
        setting = setting_of(key)
        if key in self._values:
            value = self._values[key]
            return value if setting is None else _parsed(setting, value, self._origins[key])
        return setting.default if setting is not None else None

    def origin(self, key: str) -> str:
        """The layer that sets ``key``, or ``default``."""
        return self._origins.get(key, "default")

    def overlaid(self, origin: str, layer: Mapping[str, Any]) -> Config:
        """These settings, with those of ``layer`` over them."""
        return Config({**self._values, **layer}, {**self._origins, **dict.fromkeys(layer, origin)})

    def names(self) -> list[str]:
        """Every key that is set or has a default, sorted."""
        return sorted({*self._values, *(key for key, known in SETTINGS.items() if known.default is not None)})

    def tables_in(self, table: str, key: str) -> list[str]:
        """The NAMEs for which ``TABLE.NAME.KEY`` is set, in the order of the files."""
        start, end = f"{table}.", f".{key}"
        return [
            name[len(start) : -len(end)]
            for name in self._values
            if name.startswith(start) and name.endswith(end) and len(name) > len(start + end)
        ]

    @property
    def repo_id(self) -> str:
        """The random id of the repo. Raises UsageError where it is missing."""
        repo_id = self.get("repo")
        if repo_id is None:
            raise UsageError("datavc.toml has no key repo", "take datavc.toml from git again")
        return str(repo_id)

    @property
    def hash(self) -> str:
        """The digest algorithm."""
        return str(self.get("hash"))

    @property
    def cache_dir(self) -> str | None:
        """The folder of the cache where it is not the default one."""
        value: str | None = self.get("cache.dir")
        return value

    @property
    def link_types(self) -> tuple[str, ...]:
        """How files are shared between cache and workspace, the preferred way first."""
        links: tuple[str, ...] = self.get("cache.link")
        return links

    @property
    def share_above(self) -> int:
        """Files of at least this many bytes are shared, where that is possible."""
        return int(self.get("cache.share_above"))


def read_config(data: bytes, where: str, *, committed: bool = False) -> dict[str, Any]:
    """The dotted keys and values of a configuration file; unknown keys are kept.

    ``committed`` is for the file in git, which everybody who clones it obeys.

    Raises:
        UsageError: a value is none that its key takes, or must not stand in a committed file.
        MalformedError: it is no TOML, or too long.
    """
    values = flatten(read_toml(data, where, MAX_CONFIG_BYTES))
    for key, value in values.items():
        check_value(key, value, where, committed=committed)
    return values


def check_value(key: str, value: Any, where: str, *, committed: bool) -> None:
    """Refuse what ``key`` does not take, or what must not be in git. Raises UsageError."""
    setting = setting_of(key)
    if setting is not None:
        _parsed(setting, value, where)
        if not (setting.committed if committed else setting.local):
            option = "--local " if committed else ""
            raise UsageError(
                f"{key} does not belong into {where}",
                f"datavc config {option}{key} VALUE" if committed else None,
            )
    if committed and _holds_secret(key, value):
        raise UsageError(
            f"{where} is committed to git, and {key} looks like a secret",
            f"datavc config --local {key} VALUE",
        )


def _holds_secret(key: str, value: Any) -> bool:
    """Whether the key is called like a secret or its value has one in it, in arrays and the tables in them too."""
    if isinstance(value, Mapping):
        return any(_holds_secret(f"{key}.{name}", inner) for name, inner in value.items())
    if isinstance(value, list):
        return any(_holds_secret(key, inner) for inner in value)
    return _names_secret(key) or (isinstance(value, str) and carries_secret(value))


def _names_secret(key: str) -> bool:
    """Whether the key is called like a secret; how a remote is called says nothing."""
    return names_secret(_REMOTE_KEY.sub(r"\2", key))


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def environment_config(environment: Mapping[str, str]) -> dict[str, Any]:
    """What ``DATAVC_CACHE_DIR`` and its like set: one variable for each key that may stand in a local file."""
    names = {
        f"DATAVC_{key.replace('.', '_').upper()}": key
        for key, known in SETTINGS.items()
        if known.local and "NAME" not in key
    }
    found = {key: environment[name] for name, key in names.items() if environment.get(name)}
    for key, value in found.items():
        check_value(key, value, "the environment", committed=False)
    return found


def merge_config(layers: Sequence[Layer]) -> Config:
    """Later layers win. What identifies the repo and its data (format, repo, hash) comes from the committed file alone."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for key, value in layer.items():
            values[key] = value
            origins[key] = origin
    return Config(values, origins)


def edit_config(text: str, key: str, value: Any | None) -> str:
    """``text`` with ``key`` set to ``value``, or removed where that is None; comments and order stay.

    Raises:
        UsageError: the key is no dotted name, lies in something that is no table, or in tables that are written so that
            tomlkit cannot change them.
    """
    from tomlkit.exceptions import TOMLKitError

    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", key):
        raise UsageError(f"{key!r} is no key of the configuration")
    try:
        edited = _edited(text, key.split("."), list(value) if isinstance(value, tuple) else value)
    except UsageError:
        raise
    except (ValueError, TOMLKitError):
        edited = ""
    _check_edit(text, edited, key, value)
    return edited


def _edited(text: str, keys: Sequence[str], value: Any | None) -> str:
    import tomlkit
    from tomlkit.container import OutOfOrderTableProxy
    from tomlkit.items import AbstractTable

    document = tomlkit.parse(text)
    *tables, last = keys
    place: Any = document
    for name in tables:
        if name not in place:
            if value is None:
                return text
            place[name] = tomlkit.table()
        place = place[name]
        if not isinstance(place, AbstractTable | OutOfOrderTableProxy):
            raise UsageError(f"{name} in {'.'.join(keys)} is a value, not a table")
    if value is None:
        place.pop(last, None)
    elif isinstance(place.get(last), AbstractTable | OutOfOrderTableProxy):
        raise UsageError(f"{'.'.join(keys)} is a table, not a value", "choose a key in it")
    else:
        place[last] = value
    return tomlkit.dumps(document)


def _check_edit(before: str, after: str, key: str, value: Any | None) -> None:
    """Nothing but ``key`` may have changed: some ways to write tables are beyond tomlkit. Raises UsageError."""
    import tomllib

    wanted = {
        name: old
        for name, old in flatten(tomllib.loads(before)).items()
        if not f"{name}.".startswith(f"{key}.")
    }
    if value is not None:
        wanted[key] = list(value) if isinstance(value, tuple) else value
    try:
        found = flatten(tomllib.loads(after))
    except tomllib.TOMLDecodeError:
        found = {}
    if found != wanted:
        raise UsageError(
            f"{key} cannot be changed by datavc in a file that is written as this one is",
            "edit it by hand",
        )


def _parsed(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.parse(value)
    except ValueError as error:
        raise UsageError(f"{setting.key} in {where} {error}, not {redact(repr(value))}") from None
