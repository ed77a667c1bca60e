"""What the hook noted, made into files that were read and written, and what nobody could see."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from datavc.lineage.preload import PRELOAD_VARIABLE, is_log, lost_events, preloaded, read_events, split_events

HOOK = Path(__file__).parent / "hook"
_MANY = 64
_LISTED_PER_NAME = 4
_PATHS = (b"r", b"w", b"m", b"d")
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

    read: set[bytes] = field(default_factory=set)
    written: set[bytes] = field(default_factory=set)
    moved: set[bytes] = field(default_factory=set)
    removed: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Observed:
    """What was seen of a run. Paths are absolute and real; what lies in an environment of Python or the system is left out.

    ``blind`` names the libraries and programs whose reading nobody saw. ``seen`` are the programs that had the preload
    library in them, ``unseen`` those that were started without it, ``command`` is the one that the run itself started.
    ``lost`` counts the events for which there was no room.
    """

    read: set[bytes] = field(default_factory=set)
    written: set[bytes] = field(default_factory=set)
    removed: set[bytes] = field(default_factory=set)
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
        self.read |= other.read
        self.written |= other.written
        self.removed |= other.removed
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
    paths = {b"r": raw.read, b"w": raw.written, b"m": raw.moved, b"d": raw.removed}
    for letter, text in _events(log):
        if letter in paths:
            paths[letter].add(text)
        else:
            _note(observed, letter, text.decode("utf-8", "surrogateescape"))
    take_paths(observed, raw, began)
    return observed


def take_paths(observed: Observed, raw: Raw, began: os.stat_result | None) -> None:
    """Add to ``observed`` the files that tell something, of those that were noted."""
    prefixes = tuple(
        os.fsencode(os.path.join(prefix, ""))
        for found in observed.interpreters
        for prefix in {found.prefix, found.base_prefix} - {"/", "/usr", "/usr/local"}
    )
    written = raw.written | {path for top in raw.moved for path in _files_below(top)}
    observed.read |= set(telling_files(raw.read, prefixes))
    observed.written |= {
        path for path in telling_files(written, prefixes) if began is None or _has_changed(path, began)
    }
    made = raw.written | raw.moved
    observed.removed |= {path for path in raw.removed - made if not os.path.lexists(path)}


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


def telling_files(paths: set[bytes], prefixes: tuple[bytes, ...] = ()) -> Iterator[bytes]:
    """Of absolute ``paths`` the files that are there, by their real paths, without those of Python and the system."""
    passed_over = (*_SYSTEM, *prefixes)
    folders: dict[bytes, set[bytes]] = {}
    for path in paths:
        folder, _, name = path.rpartition(b"/")
        folders.setdefault(folder, set()).add(name)
    for folder, names in folders.items():
        if folder.endswith(b"/__pycache__"):
            # Compiled: the source stands for it.
            folder = folder.removesuffix(b"/__pycache__")
            names = {name.partition(b".")[0] + b".py" for name in names}
        # Following symlinks takes a system call for each part of a path, and many files lie in one folder.
        real = os.path.realpath(folder or b"/").rstrip(b"/") + b"/"
        if _is_passed_over(real, passed_over):
            continue
        plain = _plain_files(real, names)
        yield from (real + name for name in plain)
        for name in names - plain:
            path = os.path.realpath(real + name)
            if os.path.isfile(path) and not _is_passed_over(path, passed_over):
                yield path


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
                listed = [
                    (entry.name, entry.is_file(follow_symlinks=False)) for entry in islice(entries, room)
                ]
        except OSError:
            return found
        found = names.intersection([name for name, is_file in listed if is_file])
        rest = names - found if len(listed) == room else set()
    return found | {name for name in rest if stat.S_ISREG(_mode(folder + name))}


def _mode(path: bytes) -> int:
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0


def _events(log: Path) -> Iterator[tuple[bytes, bytes]]:
    for file in sorted(log.iterdir(), key=lambda file: file.stat().st_mtime_ns):
        folder = b"/"
        for event in read_events(file) if is_log(file) else split_events(file.read_bytes()):
            letter, text = event[:1], event[1:]
            if letter == b"c":
                folder = text
            elif letter in _PATHS and not text.startswith(b"/"):
                yield letter, folder + b"/" + text
            elif letter:
                yield letter, text


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
