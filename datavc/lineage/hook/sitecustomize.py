"""What every Python that ``datavc run`` starts loads first: it notes which files are opened, what is imported and started.

Found through PYTHONPATH, so that no user code changes, and by forked and spawned workers alike. It imports nothing of
datavc, runs on any Python 3.8, and keeps each event as it happens: a worker that is killed runs no exit handler. Where the
preload library sees the files and programs, it leaves them to it, and notes what is imported alone. Each process has a file
of its own, mapped into memory, so that noting takes no system call. An event is a letter, a text, and NUL: ``r`` read, ``w``
written, ``m`` moved there, ``d`` removed, ``i`` imported, ``x`` an extension module or a library, ``e`` a program that was
started, ``s`` a generator that was seeded, ``P`` this interpreter, ``c`` the folder from which relative paths are seen from
then on.
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


_FIRST_BYTES = 64 << 10


class Observer:
    """Notes events in a file of the folder ``place``, each once for a process and what it forks."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.begin()
        self._read: set[Any] = set()
        self._seen: set[tuple[bytes, Any]] = set()
        self._take: dict[str, Callable[[Any], None]] = {
            "import": self._import,
            "os.rename": self._rename,
            "os.remove": self._remove,
            "os.link": self._link,
            "sqlite3.connect": self._connect,
            "subprocess.Popen": self._start,
            "os.exec": self._start,
            "os.posix_spawn": self._start,
            "os.system": self._start,
            "os.chdir": self._move,
            "ctypes.dlopen": self._load,
        }

    def hook(self, event: str, arguments: Any) -> None:
        """Python calls it for everything that it does, some hundred times for an import."""
        try:
            if event == "open":
                path, _, flags = arguments
                if flags & _WRITING:
                    self._note_path(b"w", path)
                    if not flags & os.O_RDWR:
                        return
                # What is read is most of all, so it has a way of its own.
                if path not in self._read:
                    self._read.add(path)
                    if path.__class__ is str and not self._has_moved:
                        self._put(f"r{path}\0".encode("utf-8", "surrogateescape"))
                    else:
                        self._note_path(b"r", path)
            elif event in self._take:
                self._take[event](arguments)
        except UnicodeEncodeError:
            # No file has such a name.
            return
        except ValueError:
            # The map is full: once more, into a larger one.
            if self._grow():
                self._read.clear()
                self.hook(event, arguments)
        except Exception:  # noqa: BLE001  whatever is odd about an event must not be felt by the program
            return

    def note_interpreter(self) -> None:
        """Write which Python this is."""
        about = (sys.executable or "", sys.version, sys.prefix, sys.base_prefix, repr(tuple(sys.flags)))
        self.note(b"P", os.fsencode("\n".join(word.replace("\n", " ") for word in about)))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Note an import, as a finder that finds nothing.

        Where the preload library sees what is opened and started, the audit hook is not needed: Python would call it for
        each file that is opened, which takes a microsecond and a half.
        """
        try:
            self.note(b"i", name.partition(".")[0].encode())
        except Exception:  # noqa: BLE001  as above
            return

    def note(self, letter: bytes, text: bytes) -> None:
        """Write one event."""
        if (letter, text) not in self._seen:
            self._seen.add((letter, text))
            self._write(letter + text + b"\0")

    def begin(self) -> None:
        """Take a new file, also after a fork: two processes that write into one would overwrite each other."""
        self._file = os.path.join(self._place, f"{os.getpid()}-{os.urandom(8).hex()}")
        self._size = 0
        self._put: Callable[[bytes], object] = _drop
        self._has_moved = False
        self._grow()
        # Last, since opening the file was an event itself.
        self._has_moved = True

    def _grow(self) -> bool:
        """Map more of the file, behind what is there."""
        from mmap import mmap

        try:
            fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            # A daemon that outlives the run: nobody will read what it does.
            self._put = _drop
            return False
        try:
            before, self._size = self._size, max(_FIRST_BYTES, 4 * self._size)
            # Not truncated to that size: on a full disk, what has no place there yet ends the program by SIGBUS.
            os.pwrite(fd, bytes(self._size - before), before)
            # What was left of the old map stays empty: an event may be longer than that.
            found = mmap(fd, self._size)
            found.seek(before)
            self._put = found.write
        except OSError:
            # The disk is full.
            self._put = _drop
            return False
        finally:
            os.close(fd)
        return True

    def _write(self, event: bytes) -> None:
        if self._has_moved:
            self._has_moved = False
            self._write(b"c" + os.fsencode(os.getcwd()) + b"\0")
        try:
            self._put(event)
        except ValueError:
            if self._grow():
                self._put(event[:_FIRST_BYTES])

    def _note_path(self, letter: bytes, path: Any) -> None:
        if path.__class__ is not int:
            self.note(letter, os.fsencode(path))

    def _import(self, arguments: Any) -> None:
        name = arguments[0].partition(".")[0]
        self.note(b"i", name.encode())
        if arguments[1] and str(arguments[1]).endswith(_EXTENSIONS):
            self.note(b"x", os.fsencode(name + " " + str(arguments[1])))

    def _rename(self, arguments: Any) -> None:
        if arguments[2:] == (-1, -1):
            self._note_path(b"m", arguments[1])
            self._note_path(b"d", arguments[0])

    def _remove(self, arguments: Any) -> None:
        if arguments[1] == -1:
            self._note_path(b"d", arguments[0])

    def _link(self, arguments: Any) -> None:
        if arguments[3] == -1:
            self._note_path(b"w", arguments[1])

    def _connect(self, arguments: Any) -> None:
        if arguments[0] not in ("", ":memory:", b":memory:"):
            self._note_path(b"r", arguments[0])
            self._note_path(b"w", arguments[0])

    def _start(self, arguments: Any) -> None:
        self.note(b"e", os.fsencode(arguments[0] or arguments[1][0]))

    def _load(self, arguments: Any) -> None:
        if arguments[0]:
            self.note(b"x", os.path.basename(os.fsencode(arguments[0])))

    def _move(self, arguments: Any) -> None:
        # Relative paths mean other files from now on.
        self._read.clear()
        self._seen.clear()
        self._has_moved = True


def _drop(event: bytes) -> None:
    """Write nothing."""


def seed_imports(number: int, note: Callable[[bytes, bytes], None]) -> type:
    """Seed the generators of modules as they are imported, until what is returned is taken out of ``sys.meta_path``."""
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
    for name in ways.keys() & sys.modules.keys():
        ways.pop(name)(sys.modules[name])
        note(b"s", name.encode())
    return Seeder


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


def _is_preloaded(place: str) -> bool:
    """Whether the preload library is in this process, and has its log."""
    if "LD_PRELOAD" not in os.environ:
        return False
    try:
        with open("/proc/self/maps", "rb") as maps:
            return os.fsencode(os.path.realpath(place)) + b"/preload-0" in maps.read()
    except OSError:
        return False


def _begin() -> None:
    place = os.environ.get(_LOG)
    if place:
        try:
            observer = Observer(place)
            os.register_at_fork(after_in_child=observer.begin)
            observer.note_interpreter()
            if _is_preloaded(place):
                sys.meta_path.insert(0, observer)
            else:
                sys.addaudithook(observer.hook)
            if os.environ.get(_SEED):
                seed_imports(int(os.environ[_SEED]), observer.note)
        except (OSError, ValueError):
            pass
    _give_way()


if __name__ == "sitecustomize":
    _begin()
