"""What every Python that ``datavc run`` starts loads first: it notes which files are opened, what is imported and started.

Found through PYTHONPATH, so that no user code changes, and by forked and spawned workers alike. It imports nothing of
datavc, runs on any Python 3.8, and writes each event as it happens: a worker that is killed runs no exit handler. An event
is a letter, a text, and NUL: ``r`` read, ``w`` written, ``i`` imported, ``x`` an extension module, ``e`` a program that
was started, ``s`` a generator that was seeded, ``P`` this interpreter.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EXTENSIONS = (".so", ".dylib", ".pyd")
_LOG = "DATAVC_RUN_LOG"
_SEED = "DATAVC_SEED"


class Observer:
    """Notes events in the log at ``place``, each once for a process and what it forks."""

    def __init__(self, place: str) -> None:
        self._fd = _out_of_the_way(os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        mine = os.fstat(self._fd)
        self._mine = mine.st_dev, mine.st_ino
        self._seen: set[tuple[bytes, Any]] = set()
        own = {sys.prefix, sys.base_prefix, "/proc", "/sys"} - {"/"}
        self._passed_over = tuple(path.rstrip("/") + "/" for path in own)
        self._take: dict[str, Callable[[Any], None]] = {
            "open": self._open,
            "import": self._import,
            "os.rename": self._rename,
            "sqlite3.connect": self._connect,
            "subprocess.Popen": self._start,
            "os.exec": self._start,
            "os.posix_spawn": self._start,
            "os.system": self._start,
            "os.chdir": self._move,
        }

    def hook(self, event: str, arguments: Any) -> None:
        """Python calls it for everything that it does, some hundred times for an import."""
        take = self._take.get(event)
        if take is not None:
            try:
                take(arguments)
            except Exception:  # noqa: BLE001  whatever is odd about an event must not be felt by the program
                return

    def note(self, letter: bytes, text: bytes) -> None:
        """Write one event."""
        if (letter, text) in self._seen:
            return
        self._seen.add((letter, text))
        self._write(letter + text + b"\0")

    def _write(self, event: bytes) -> None:
        now = os.fstat(self._fd)
        # A program may have closed all its files, and opened one of its own under our number.
        if (now.st_dev, now.st_ino) == self._mine:
            os.write(self._fd, event)

    def _note_path(self, letter: bytes, path: Any) -> None:
        if path.__class__ is int or (letter, path) in self._seen:
            return
        self._seen.add((letter, path))
        path = os.fspath(path)
        if path.__class__ is not bytes:
            if path.startswith(self._passed_over):
                return
            path = os.fsencode(path)
        if not path.startswith(b"/"):
            path = os.fsencode(os.getcwd()) + b"/" + path
        self._write(letter + path + b"\0")

    def _open(self, arguments: Any) -> None:
        path, _, flags = arguments
        self._note_path(b"w" if flags & _WRITING else b"r", path)
        if flags & os.O_RDWR:
            self._note_path(b"r", path)

    def _import(self, arguments: Any) -> None:
        name = arguments[0].partition(".")[0]
        self.note(b"i", name.encode())
        if arguments[1] and str(arguments[1]).endswith(_EXTENSIONS):
            self.note(b"x", os.fsencode(name + " " + str(arguments[1])))

    def _rename(self, arguments: Any) -> None:
        if arguments[2:] == (-1, -1):
            self._note_path(b"w", arguments[1])

    def _connect(self, arguments: Any) -> None:
        if arguments[0] not in ("", ":memory:", b":memory:"):
            self._note_path(b"r", arguments[0])
            self._note_path(b"w", arguments[0])

    def _start(self, arguments: Any) -> None:
        self.note(b"e", os.fsencode(arguments[0] or arguments[1][0]))

    def _move(self, arguments: Any) -> None:
        # Relative paths mean other files from now on.
        self._seen.clear()


def _out_of_the_way(fd: int) -> int:
    """The same file under a number that no program counts on."""
    try:
        import fcntl

        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200)
    except (ImportError, OSError):
        return fd
    os.close(fd)
    return high


def _seed_imports(number: int, note: Callable[[bytes, bytes], None]) -> None:
    """Seed the generators of modules as they are imported."""
    from importlib.machinery import PathFinder

    ways: dict[str, Callable[[Any], object]] = {
        "random": lambda module: module.seed(number),
        "numpy": lambda module: module.random.seed(number % 2**32),
        "torch": lambda module: module.manual_seed(number),
    }

    class Seeder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
            way = ways.pop(name, None)
            spec: Any = PathFinder.find_spec(name, path, target) if way is not None else None
            if spec is None or spec.loader is None or way is None:
                return None
            execute = spec.loader.exec_module

            def execute_and_seed(module: Any) -> None:
                execute(module)
                way(module)
                note(b"s", name.encode())

            spec.loader.exec_module = execute_and_seed
            return spec

    sys.meta_path.insert(0, Seeder)
    if "random" in sys.modules:
        ways.pop("random")(sys.modules["random"])
        note(b"s", b"random")


def _give_way() -> None:
    """Load the ``sitecustomize`` that would have been loaded without this one, and leave ``sys.path`` as it would be."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    ours = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours


def _begin() -> None:
    place = os.environ.get(_LOG)
    if place:
        try:
            observer = Observer(place)
            about = (sys.executable or "", sys.version, sys.prefix, sys.base_prefix, repr(tuple(sys.flags)))
            observer.note(b"P", os.fsencode("\n".join(word.replace("\n", " ") for word in about)))
            sys.addaudithook(observer.hook)
            if os.environ.get(_SEED):
                _seed_imports(int(os.environ[_SEED]), observer.note)
        except (OSError, ValueError):
            pass
    _give_way()


if __name__ == "sitecustomize":
    _begin()
