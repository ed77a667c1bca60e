"""What the hook noted, made into files that were read and written, and what nobody could see."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from datavc.lineage.byfolder import ByFolder
from datavc.lineage.preload import PRELOAD_VARIABLE, is_log, lost_events, preloaded, read_events, split_events

HOOK = Path(__file__).parent / "hook"
_MANY = 64
_LISTED_PER_NAME = 4
_COMPILED = b"/__pycache__/"
_OF_PATHS = b"rwmd"
_MOVED = ord("c")
RUN_LOG = "DATAVC_RUN_LOG"
"""The variable that names the folder in which watched processes note what they do."""
# Extension modules that open files through Python alone, or none at all. Of any other, who knows.
_SEEN_THROUGH = frozenset(
    """numpy pandas scipy sklearn matplotlib PIL yaml markupsafe regex cffi_backend cffi greenlet msgpack psutil xxhash
    simplejson ujson orjson rpds charset_normalizer multidict yarl aiohttp frozenlist propcache kiwisolver contourpy brotli
    pydantic_core tornado zmq coverage wrapt bcrypt cryptography nacl backports pyfastcdc blake3
    cyutility""".split()  # noqa: SIM905
)
# Of libraries that Python programs load by ctypes, those that compute.
_COMPUTING = (
    "libgomp",
    "libomp",
    "libiomp",
    "libopenblas",
    "libscipy_openblas",
    "libmkl",
    "libblas",
    "libcu",
    "libnv",
    "libpython",
)
_SYSTEM = (
    b"/usr/", b"/lib/", b"/lib64/", b"/bin/", b"/sbin/", b"/etc/", b"/proc/", b"/sys/", b"/run/",
    b"/opt/conda/", b"/System/", b"/Library/", b"/private/etc/",
)  # fmt: skip


@dataclass(slots=True)
class Interpreter:
    """A Python that ran."""

    executable: str
    version: str
    prefix: str
    base_prefix: str
    flags: str


@dataclass(slots=True)
class Raw:
    """Paths as they were noted, absolute: what was read, written, moved to a place, and removed."""

    read: ByFolder = field(default_factory=ByFolder)
    written: ByFolder = field(default_factory=ByFolder)
    moved: ByFolder = field(default_factory=ByFolder)
    removed: ByFolder = field(default_factory=ByFolder)


@dataclass(slots=True)
class Observed:
    """What was seen of a run. Paths are absolute and real; what lies in an environment of Python or the system is left out.

    ``blind`` names the libraries and programs whose reading nobody saw. ``seen`` are the programs that had the preload
    library in them, ``unseen`` those that were started without it, ``command`` is the one that the run itself started.
    ``lost`` counts the events for which there was no room.
    """

    read: ByFolder = field(default_factory=ByFolder)
    written: ByFolder = field(default_factory=ByFolder)
    removed: ByFolder = field(default_factory=ByFolder)
    imported: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    seeded: set[str] = field(default_factory=set)
    interpreters: list[Interpreter] = field(default_factory=list)
    extensions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    lost: int = 0
    is_traced: bool = False

    @property
    def blind(self) -> list[str]:
        """Libraries and programs that may have read what is not in ``read``."""
        if self.is_traced:
            return []
        foreign = {name.lstrip("_") for name in self.extensions} - _SEEN_THROUGH
        programs = _names(self.started)
        if self.seen:
            programs = (programs | _names({self.command})) - _names(self.seen) | _names(self.unseen)
        else:
            programs = {name for name in programs if not name.startswith(("python", "pypy"))}
        return sorted(foreign | programs)

    def include(self, other: Observed) -> None:
        """Add what was seen of a part of the run."""
        self.read.include(other.read)
        self.written.include(other.written)
        self.removed.include(other.removed)
        self.imported |= other.imported
        self.started |= other.started
        self.seen |= other.seen
        self.unseen |= other.unseen
        self.seeded |= other.seeded
        self.interpreters += other.interpreters
        self.extensions.update(other.extensions)
        self.lost += other.lost

    @property
    def reads(self) -> str:
        """The record's word for how much was seen."""
        if self.is_traced:
            return "full"
        if not self.interpreters and not self.seen:
            return "none"
        return "partial" if self.blind or self.lost else "full"

    @property
    def means(self) -> list[str]:
        """By what it was seen: ``hook`` of Python, ``preload`` library, ``strace``."""
        found = {"hook": self.interpreters, "preload": self.seen, "strace": self.is_traced}
        return [name for name, there in found.items() if there]


def _names(programs: set[str]) -> set[str]:
    return {os.path.basename(word.split()[0]) for word in programs if word.split()}


def hook_environment(
    environment: Mapping[str, str], log: Path, seed: int | None, library: Path | None = None
) -> dict[str, str]:
    """``environment`` for a command that is to be observed, by the preload ``library`` too, and seeded with ``seed``."""
    found = seed_environment(environment, seed)
    before = found.get("PYTHONPATH")
    found["PYTHONPATH"] = f"{HOOK}{os.pathsep}{before}" if before else str(HOOK)
    found[RUN_LOG] = str(log)
    found.setdefault("PYTHONUNBUFFERED", "1")
    if library is not None:
        found[PRELOAD_VARIABLE] = preloaded(found.get(PRELOAD_VARIABLE), library)
        # AddressSanitizer ends every program in which it is not the first library. It need not be.
        found["ASAN_OPTIONS"] = ":".join(
            filter(None, ("verify_asan_link_order=0", found.get("ASAN_OPTIONS")))
        )
    return found


def seed_environment(environment: Mapping[str, str], seed: int | None) -> dict[str, str]:
    """``environment`` for a command whose hashes, and what asks for ``DATAVC_SEED``, are to be seeded."""
    found = dict(environment)
    if seed is not None:
        found["PYTHONHASHSEED"] = str(seed % 2**32)
        found["DATAVC_SEED"] = str(seed)
    return found


def read_log(log: Path, began: os.stat_result | None = None) -> Observed:
    """What was noted in all processes of a run, in files of the folder ``log``, which was so when it ``began``."""
    observed = Observed(lost=lost_events(log))
    raw = Raw()
    for file in sorted(log.iterdir(), key=lambda file: file.stat().st_mtime_ns):
        _take_events(read_events(file) if is_log(file) else split_events(file.read_bytes()), observed, raw)
    take_paths(observed, raw, began)
    return observed


def _take_events(events: Iterable[bytes], observed: Observed, raw: Raw) -> None:
    """Add what one file of the log says. Paths, of which there may be a million, are cut at the last slash alone."""
    folder = b"/"
    heads: dict[bytes, set[bytes]] = {}
    for event in events:
        letter = event[0]
        if letter in _OF_PATHS:
            head, _, name = event.rpartition(b"/")
            if head in heads:
                heads[head].add(name)
            else:
                heads[head] = {name}
        elif letter == _MOVED:
            _take_names(heads, folder, raw)
            folder, heads = event[1:], {}
        else:
            _note(observed, event[:1], event[1:].decode("utf-8", "surrogateescape"))
    _take_names(heads, folder, raw)


def _take_names(heads: dict[bytes, set[bytes]], top: bytes, raw: Raw) -> None:
    """Names by letter and folder, which may be relative to ``top``."""
    ways = {b"r": raw.read, b"w": raw.written, b"m": raw.moved, b"d": raw.removed}
    for name in heads.pop(b"", ()):
        ways[name[:1]].add(top + b"/" + name[1:])
    for head, names in heads.items():
        folder = head[1:] + b"/"
        ways[head[:1]].add_names(folder if folder.startswith(b"/") else top + b"/" + folder, names)


def take_paths(observed: Observed, raw: Raw, began: os.stat_result | None) -> None:
    """Add to ``observed`` the files that tell something, of those that were noted."""
    prefixes = tuple(
        os.fsencode(os.path.join(prefix, ""))
        for found in observed.interpreters
        for prefix in {found.prefix, found.base_prefix} - {"/", "/usr", "/usr/local"}
    )
    observed.read.include(telling_files(raw.read, prefixes))
    written = ByFolder(path for top in raw.moved for path in _files_below(top))
    written.include(raw.written)
    for path in telling_files(written, prefixes):
        if began is None or _has_changed(path, began):
            observed.written.add(path)
    for path in raw.removed:
        if path not in raw.written and path not in raw.moved and not os.path.lexists(path):
            observed.removed.add(path)


def _files_below(top: bytes) -> Iterator[bytes]:
    """What was moved: a file, or all that is in a folder."""
    yield top
    for folder, _, names in os.walk(top):
        yield from (os.path.join(folder, name) for name in names)


def _has_changed(path: bytes, began: os.stat_result) -> bool:
    """Whether a file that was opened for writing may have been written.

    SQLite and HDF5 open for both what they only read. The times of another file system may be by another clock.
    """
    try:
        now = os.stat(path)
    except OSError:
        return True
    return now.st_dev != began.st_dev or now.st_ctime_ns >= began.st_ctime_ns


def telling_files(paths: ByFolder, prefixes: tuple[bytes, ...] = ()) -> ByFolder:
    """Of ``paths`` the files that are there, by their real paths, without those of Python and the system."""
    passed_over = (*_SYSTEM, *prefixes)
    found = ByFolder()
    for folder, names in paths.folders.items():
        if folder.endswith(_COMPILED):
            # Compiled: the source stands for it.
            folder = folder.removesuffix(_COMPILED) + b"/"
            names = {name.partition(b".")[0] + b".py" for name in names}
        # Following symlinks takes a system call for each part of a path, and many files lie in one folder.
        real = os.path.realpath(folder).rstrip(b"/") + b"/"
        if _is_passed_over(real, passed_over):
            continue
        plain = _plain_files(real, names)
        found.add_names(real, plain)
        for name in names - plain:
            path = os.path.realpath(real + name)
            if os.path.isfile(path) and not _is_passed_over(path, passed_over):
                found.add(path)
    return found


def _is_passed_over(path: bytes, prefixes: tuple[bytes, ...]) -> bool:
    return path.startswith(prefixes) or b"/site-packages/" in path


def _plain_files(folder: bytes, names: set[bytes]) -> set[bytes]:
    """Which of the ``names`` in a folder are files, and no symlinks."""
    found: set[bytes] = set()
    rest = names
    if len(names) >= _MANY:
        # A folder is listed in a fifth of the time that looking at its files takes.
        room = _LISTED_PER_NAME * len(names)
        try:
            with os.scandir(folder) as entries:
                listed = list(islice(entries, room))
        except OSError:
            return found
        found = names.intersection([entry.name for entry in listed if entry.is_file(follow_symlinks=False)])
        rest = names - found if len(listed) == room else set()
    return found | {name for name in rest if stat.S_ISREG(_mode(folder + name))}


def _mode(path: bytes) -> int:
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0


def _note(observed: Observed, letter: bytes, text: str) -> None:
    if letter == b"i":
        observed.imported.add(text)
    elif letter == b"x":
        name, _, file = text.partition(" ")
        if (
            "/site-packages/" in file
            or "/dist-packages/" in file
            or not (file or name.startswith(_COMPUTING))
        ):
            observed.extensions[name] = file
    elif letter == b"e":
        observed.started.add(text)
    elif letter == b"u":
        observed.started.add(text)
        observed.unseen.add(text)
    elif letter == b"l":
        observed.seen.add(text)
    elif letter == b"s":
        observed.seeded.add(text)
    elif letter == b"P":
        words = text.split("\n")
        if len(words) == 5:
            observed.interpreters.append(Interpreter(*words))
