"""What datavc, DVC, git-lfs, git-annex and Oxen lose: after a power cut, from a damaged remote, by a checkout that fails.

    sudo python tests/reliability/compare.py --folder /dev/shm/reliability --path ~/dvc-venv/bin --oxen ~/oxen-venv/bin/python
    sudo python tests/reliability/compare.py --folder /dev/shm/reliability --tools datavc,dvc --times 2

Linux, root (loop devices), mkfs.ext4. The table goes to standard output, talk to standard error. Tools that are not
there, or that fail before anything is done to them, are skipped with a note; all run with their defaults, in a repository
on a new ext4 of its own, on the same files: 200 of 1 to 20 kB. What is counted is files, byte by byte:

- *power cut*: the files were synced before. The tool keeps them and ends with 0. The device (an image) is copied at
  once, and 8 seconds later, as it is: what only the kernel's memory has is not in it. The copy is mounted, ``data`` is
  deleted there, and the tool brings it back. Counted: files that it does not bring back as they were; and, where a
  store keeps whole files, files whose content is not in it any more, for a tool may be let down by its git alone.
- *damaged remote*: a tenth of the files of a folder remote (in datavc's packs: as many places) get one flipped bit, or
  are cut to half (of packs: the largest). A new clone pulls. Counted: files in its workspace with wrong and with right
  content; and what the pull ended with.
- *pull cut short*: a new clone pulls, and is killed at one of several moments, or its disk fills up; then, with room, it
  pulls again until that ends with 0, three times at the most. Counted: files with wrong content, and files that are
  not there.
- *failing checkout*: the workspace is at the first version. The second, whose changed files are three times as large,
  cannot be had: a tenth of what it stored is gone (of packs: the largest), or the disk is full, or five files have
  unsaved edits. Counted: files of the workspace that are then neither as they were nor as the second version has them.
  The first version is still in each tool's store.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools import TOOLS, Failed, Tool, find

FILES = 200
_SIZE = 96 << 20
_LARGE = 512 << 20  # git-annex keeps 100 MB free
Tree = dict[str, bytes]
Row = dict[str, str]


class Disk:
    """An ext4 in an image, mounted at one place, as are copies of it."""

    def __init__(self, folder: Path, size: int = _SIZE) -> None:
        self.image, self.top, self.size = folder / "disk.img", folder / "disk", size
        self.top.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def new(self) -> Iterator[Path]:
        with open(self.image, "wb") as file:
            file.truncate(self.size)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)
        with self.mounted(self.image) as top:
            yield top

    @contextlib.contextmanager
    def mounted(self, image: Path) -> Iterator[Path]:
        subprocess.run(["mount", "-o", "loop", str(image), str(self.top)], check=True)
        try:
            yield self.top
        finally:
            for _ in range(50):
                if subprocess.run(["umount", str(self.top)], capture_output=True).returncode == 0:
                    break
                time.sleep(0.2)
            else:
                raise RuntimeError(f"{self.top} stays in use")

    def cut(self, name: str) -> Path:
        copy = self.image.with_name(name)
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(self.image), str(copy)], check=True)
        return copy


def make(work: Path, seed: int, times: int = 1) -> None:
    """Write ``data``; half of the files are the same for every seed, the others ``times`` as large."""
    for number in range(FILES):
        lot = random.Random(number if number % 2 else number + 1000 * seed)
        path = work / "data" / str(number % 10) / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(lot.randbytes(lot.randrange(1000, 20_000) * (1 if number % 2 else times)))


def read(work: Path) -> Tree:
    """Every readable file of ``data``; a symlink counts as what it shows."""
    found = {}
    for folder, _, names in os.walk(work / "data"):
        for name in names:
            path = Path(folder) / name
            with contextlib.suppress(OSError):
                found[str(path.relative_to(work / "data"))] = path.read_bytes()
    return found


def delete(work: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", str(work / "data")], check=False, capture_output=True)
    shutil.rmtree(work / "data", ignore_errors=True)


def start(tool: Tool, top: Path) -> Path:
    work = top / "work"
    work.mkdir()
    tool.init(work)
    return work


def power_cuts(tool: Tool, folder: Path, times: int) -> Row:
    lost: dict[int, list[int]] = {0: [], 8: []}
    unstored: dict[int, list[int]] = {0: [], 8: []}
    disk = Disk(folder)
    for number in range(times):
        with disk.new() as top:
            work = start(tool, top)
            make(work, number)
            os.sync()
            kept = read(work)
            tool.keep(work)
            first = disk.cut("first.img")
            time.sleep(8)
            second = disk.cut("second.img")
            delete(work)
            tool.restore(work)
            if read(work) != kept:
                raise Failed("undisturbed, it does not bring back what it kept")
        for wait, image in ((0, first), (8, second)):
            with disk.mounted(image) as top:
                stored = {path.read_bytes() for path in tool.own_objects(top / "work")}
                unstored[wait].append(sum(data not in stored for data in kept.values()))
                delete(top / "work")
                tool.restore(top / "work")
                back = read(top / "work")
            lost[wait].append(sum(back.get(name) != data for name, data in kept.items()))
            image.unlink()
    total = times * FILES
    row = {}
    for wait, found in lost.items():
        row[f"not brought back, cut {wait} s after exit 0"] = f"{sum(found):,} of {total:,}"
        of_store = "keeps packs" if tool.has_packs else f"{sum(unstored[wait]):,} of {total:,}"
        row[f"content not in the store, cut {wait} s after exit 0"] = of_store
    return row


def _shared(tool: Tool, top: Path) -> tuple[Path, Tree]:
    """A remote that has ``data``, and nothing else that the tool could take it from."""
    work = start(tool, top)
    make(work, 0)
    tool.keep(work)
    tool.commit(work, "one")
    kept = read(work)
    tool.share(work, top / "remote")
    subprocess.run(["chmod", "-R", "u+w", str(work)], check=True)
    shutil.rmtree(work)
    return top / "remote", kept


def damaged_remote(tool: Tool, folder: Path, times: int) -> Row:
    row = {}
    for how in ("bit flipped", "cut to half"):
        with Disk(folder, _LARGE).new() as top:
            remote, kept = _shared(tool, top)
            _undisturbed(tool, remote, kept)
            _damage(tool.objects(remote), how)
            tool.clone(remote, top / "clone")
            code = tool.pull(top / "clone")
            wrong, found = _wrong(top / "clone", kept), read(top / "clone")
            right = sum(found.get(name) == data for name, data in kept.items())
            row[f"pulled, {how}"] = f"{wrong} wrong, {right} right of {FILES}, {_ended(code)}"
    return row


def _undisturbed(tool: Tool, remote: Path, kept: Tree) -> None:
    tool.clone(remote, remote.parent / "undisturbed")
    tool.pull(remote.parent / "undisturbed")
    if read(remote.parent / "undisturbed") != kept:
        raise Failed("undisturbed, it does not pull what it shared")


def _ended(code: int) -> str:
    return "exit 0" if code == 0 else "exit not 0"


def _damage(objects: list[Path], how: str) -> None:
    lot = random.Random(0)
    chosen = lot.sample(objects, FILES // 10) if len(objects) >= FILES // 10 else objects
    times = 1 if len(objects) >= FILES // 10 else -(-FILES // 10 // len(objects))
    if how == "cut to half" and len(objects) < FILES // 10:
        chosen = [max(objects, key=lambda path: path.stat().st_size)]
    for path in chosen:
        mode, data = path.stat().st_mode, bytearray(path.read_bytes())
        if how == "cut to half":
            data = data[: len(data) // 2]
        else:
            for _ in range(times):
                data[lot.randrange(len(data))] ^= 1
        os.chmod(path.parent, 0o755)
        os.chmod(path, 0o644)
        path.write_bytes(data)
        os.chmod(path, mode)


def _wrong(work: Path, kept: Tree) -> int:
    """Files that are there with another content, not counting the little texts that stand for files that are not."""
    found = read(work)
    return sum(
        found[name] != data for name, data in kept.items() if name in found and not _stands_in(found[name])
    )


def _stands_in(data: bytes) -> bool:
    return data.startswith((b"version https://git-lfs", b"/annex/objects/"))


def interrupted_pull(tool: Tool, folder: Path, times: int) -> Row:
    row = {}
    for how in ("killed", "disk full"):
        wrong = missing = 0
        for number in range(times):
            with Disk(folder, _LARGE).new() as top:
                remote, kept = _shared(tool, top)
                if number == 0:
                    _undisturbed(tool, remote, kept)
                os.sync()
                clone = top / "clone"
                tool.clone(remote, clone)
                if how == "killed":
                    _pull_killed(tool, clone, number)
                else:
                    with _full(top, 300_000 * (number + 1)):
                        tool.pull(clone)
                for _ in range(3):
                    if tool.pull(clone) == 0:
                        break
                wrong += _wrong(clone, kept)
                found = read(clone)
                missing += sum(name not in found or _stands_in(found[name]) for name in kept)
        row[f"pull again after one {'killed' if how == 'killed' else 'on a full disk'}"] = (
            f"{wrong} wrong, {missing} missing of {times * FILES:,}"
        )
    return row


def _pull_killed(tool: Tool, clone: Path, number: int) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        with contextlib.suppress(Exception):
            tool.pull(clone)
        os._exit(0)
    # From before it begins to after it is done, as no two tools take equally long.
    time.sleep(0.4 * (number + 1))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    time.sleep(0.2)


@contextlib.contextmanager
def _full(top: Path, room: int) -> Iterator[None]:
    with open(top / "filler", "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(1 << 20)):
                pass
        os.fsync(file.fileno())
        file.truncate(max(0, file.tell() - room))
        os.fsync(file.fileno())
    try:
        yield
    finally:
        (top / "filler").unlink()


def failing_checkout(tool: Tool, folder: Path, times: int) -> Row:
    row = {}
    for how in ("objects missing", "disk full", "unsaved edits"):
        with Disk(folder).new() as top:
            work, first, second = _two_versions(tool, top, lose=how == "objects missing")
            if how == "unsaved edits":
                for name in sorted(name for name in first if first[name] != second[name])[:5]:
                    (work / "data" / name).unlink()
                    (work / "data" / name).write_bytes(b"unsaved " + name.encode())
            before = read(work)
            with _full(top, 50_000) if how == "disk full" else contextlib.nullcontext():
                code = _switched(tool, work)
                after = read(work)
            gone = sum(after.get(name) not in (data, second.get(name)) or (
                how == "unsaved edits" and data.startswith(b"unsaved ") and after.get(name) != data
            ) for name, data in before.items())  # fmt: skip
            row[f"gone from the workspace, {how}"] = f"{gone} of {len(before)}, {_ended(code)}"
    return row


def _two_versions(tool: Tool, top: Path, *, lose: bool) -> tuple[Path, Tree, Tree]:
    """A workspace at the first of two versions; with ``lose``, a tenth of what the second stored is gone."""
    work = start(tool, top)
    make(work, 1)
    tool.keep(work)
    tool.commit(work, "one")
    first, stored = read(work), set(tool.own_objects(work))
    delete(work) if isinstance(tool, TOOLS["git-annex"]) else None
    make(work, 2, times=3)
    tool.keep(work)
    tool.commit(work, "two")
    second = read(work)
    tool.switch(work, "one")
    if read(work) != first:
        raise Failed("it did not go back to the first version")
    if lose:
        fresh = sorted(set(tool.own_objects(work)) - stored)
        for path in (
            fresh[: max(1, len(fresh) // 10)]
            if len(fresh) > 10
            else [max(fresh, key=lambda p: p.stat().st_size)]
        ):
            os.chmod(path.parent, 0o755)
            path.unlink()
    return work, first, second


def _switched(tool: Tool, work: Path) -> int:
    try:
        return tool.switch(work, "two")
    except Failed:
        return 1


CASES = {
    "power": power_cuts,
    "damage": damaged_remote,
    "pull": interrupted_pull,
    "checkout": failing_checkout,
}


def main() -> int:
    options = _options()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        sys.exit("this needs Linux, root and mkfs.ext4: it mounts images")
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True)
    rows: dict[str, Row] = {}
    versions, notes = {}, []
    try:
        for name in options.tools:
            words = find(TOOLS[name], options.path, options.oxen)
            if words is None:
                notes.append(f"{name} is not on PATH nor in a --path folder: skipped")
                continue
            tool = TOOLS[name](words, folder / f"home-{len(rows)}")
            versions[name], rows[name] = tool.version(), {}
            for case in options.cases:
                if case in ("damage", "pull") and not tool.has_remotes:
                    notes.append(f"{name}, {case}: its remotes need a server, not measured")
                    continue
                print(f"{name}: {case}", file=sys.stderr, flush=True)
                try:
                    rows[name] |= CASES[case](tool, folder, options.times)
                except Failed as error:
                    notes.append(f"{name}, {case}: not measured: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(_markdown(rows, versions, notes))
    return 0


def _markdown(rows: dict[str, Row], versions: dict[str, str], notes: list[str]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    names = list(rows)
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {column} | " + " | ".join(rows[name].get(column, "–") for name in names) + " |"
        for column in columns
    ]
    lines += [
        "",
        *(f"- {name}: {version}" for name, version in versions.items()),
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, required=True, help="a folder to be made, in memory if it can be"
    )
    parser.add_argument(
        "--path", type=Path, action="append", default=[], help="a folder with tools, before PATH"
    )
    parser.add_argument("--oxen", help="a Python that can import oxen")
    parser.add_argument(
        "--times",
        type=int,
        default=5,
        help="power cuts at each of two moments, pulls cut short in each of two ways",
    )
    parser.add_argument("--tools", type=lambda text: text.split(","), default=list(TOOLS))
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
