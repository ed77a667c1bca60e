"""Counts what ten files of a remote of ten million objects cost, beside the same ten of a small one: requests and bytes.

    python tests/benchmarks/large_remote.py --folder /scratch
    python tests/benchmarks/large_remote.py --folder /scratch --objects 20000,1000000

The remotes are made by hand: trees and ten files are real, of all other files there are only the rows of pack indexes.
In a new clone of each, ten files are pulled, one is edited and added, and the change is pushed. Prints a table, and
ends with 1 where the large remote costs more requests than the small one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datavc.backends.folder import FolderBackend
from datavc.formats.digest import Digest, hash_function
from datavc.formats.pack import DATA, MAX_PACK_BYTES, META
from datavc.formats.pointer import Pointer, format_pointer
from datavc.formats.tree import FILE, FOLDER, Tree, encode_tree
from datavc.store.index import IndexBuilder
from datavc.store.note import check_note
from datavc.store.packstream import PackStream
from datavc.store.roots import begin_writing, new_root, publish_root

FILES_IN_FOLDER = 1000
REAL = 10
FILE_BYTES = 8192
HASH = hash_function("xxh128")


class Cost(NamedTuple):
    """What one command asked of the remote."""

    requests: int
    received: int
    sent: int
    seconds: float


def main() -> int:
    options = _options()
    base: Path = options.folder.resolve() / "datavc-large-remote"
    base.mkdir(parents=True)
    costs: dict[int, dict[str, Cost]] = {}
    try:
        for objects in options.objects:
            costs[objects] = _measure(base / str(objects), objects)
    finally:
        shutil.rmtree(base)
    print("| objects | command | requests | KiB received | KiB sent | seconds |")
    print("|--:|---|--:|--:|--:|--:|")
    for objects, found in costs.items():
        for name, cost in found.items():
            kib = f"{cost.received / 1024:.1f} | {cost.sent / 1024:.1f}"
            print(f"| {objects:,} | {name} | {cost.requests} | {kib} | {cost.seconds:.2f} |")
    small, large = costs[min(costs)], costs[max(costs)]
    return int(any(large[name].requests > small[name].requests + 2 * 16 for name in small))


def _measure(base: Path, objects: int) -> dict[str, Cost]:
    origin, clone = base / "origin", base / "clone"
    origin.mkdir(parents=True)
    _run("git", "init", "-q", cwd=origin)
    _datavc("init", "-q", cwd=origin)
    _datavc("remote", "add", "--no-probe", "store", str(base / "store"), cwd=origin)
    began = time.monotonic()
    pointer = _make_store(base, objects, _repo_id(origin))
    _say(f"a remote of {objects:,} objects, made in {time.monotonic() - began:.0f} s")
    (origin / "data.datavc").write_bytes(format_pointer(pointer))
    (origin / ".gitignore").write_text("/data\n")
    _run("git", "add", "-A", cwd=origin)
    _run("git", "commit", "-q", "-m", "data", cwd=origin)
    _run("git", "clone", "-q", str(origin), str(clone))
    _datavc("config", "--local", "remote.store.allow", str(base / "store"), cwd=clone)
    names = [f"data/d00000/f{number:04}" for number in range(REAL)]
    found = {"pull ten files": _cost("pull", "--json", *names, cwd=clone)}
    (clone / names[0]).write_bytes(os.urandom(FILE_BYTES))
    _datavc("add", names[0], cwd=clone)
    _run("git", "commit", "-q", "-a", "-m", "edit", cwd=clone)
    found["push one change"] = _cost("push", "--json", cwd=clone)
    found["push again"] = _cost("push", "--json", cwd=clone)
    return found


def _make_store(base: Path, objects: int, repo: str) -> Pointer:
    """The remote, and the pointer of its one dataset."""
    backend = FolderBackend(base / "store", create=True)
    check_note(backend, create=True)
    scratch = base / "scratch"
    scratch.mkdir()
    builder = IndexBuilder("xxh128")
    generator = random.Random(objects)
    streams = {
        content: PackStream(backend, scratch, "xxh128", content, published=builder.add_pack)
        for content in (DATA, META)
    }
    real = [generator.randbytes(FILE_BYTES) for _ in range(REAL)]
    for content in real:
        streams[DATA].add(HASH(content), content)
    folders: list[bytes] = []
    counts = array("Q")
    pack, offset = generator.randbytes(16), 0
    for start in range(0, objects, FILES_IN_FOLDER):
        count = min(FILES_IN_FOLDER, objects - start)
        digests = [generator.randbytes(16) for _ in range(count)]
        if not start:
            digests[:REAL] = map(HASH, real)
        for digest in digests[REAL if not start else 0 :]:
            if offset + FILE_BYTES > MAX_PACK_BYTES - (1 << 20):
                pack, offset = generator.randbytes(16), 0
            builder.add(digest, (pack, offset + 16, FILE_BYTES, FILE_BYTES, 0), MAX_PACK_BYTES)
            offset += FILE_BYTES
        file_names = [b"f%04d" % number for number in range(count)]
        tree = Tree(
            "xxh128",
            file_names,
            bytes([FILE]) * count,
            array("Q", [FILE_BYTES]) * count,
            array("Q", [1]) * count,
            digests,
        )
        encoded = encode_tree(tree)
        folders.append(HASH(encoded))
        counts.append(count)
        streams[META].add_tree(folders[-1], encoded, lambda _: False)
    sizes = array("Q", [count * FILE_BYTES for count in counts])
    folder_names = [b"d%05d" % number for number in range(len(folders))]
    top = Tree("xxh128", folder_names, bytes([FOLDER]) * len(folders), sizes, counts, folders)
    encoded = encode_tree(top)
    digest = Digest("xxh128", HASH(encoded))
    streams[META].add_tree(digest.raw, encoded, lambda _: False)
    for stream in streams.values():
        stream.close()
    names = builder.publish(backend)
    pointer = Pointer("folder", digest, objects * FILE_BYTES, objects)
    make = new_root(repo, digest, kind="folder", size=pointer.size, files=objects, path=b"data", commit=None)
    publish_root(backend, "xxh128", make, names, begin_writing(backend, "xxh128"))
    return pointer


def _repo_id(origin: Path) -> str:
    import tomllib

    found: str = tomllib.loads((origin / "datavc.toml").read_text())["repo"]
    return found


def _cost(*words: str, cwd: Path) -> Cost:
    began = time.monotonic()
    found: dict[str, Any] = json.loads(_datavc(*words, cwd=cwd))
    seconds = time.monotonic() - began
    traffic = found.get("fetched", found)["traffic"]
    return Cost(sum(traffic["requests"].values()), traffic["received_bytes"], traffic["sent_bytes"], seconds)


def _datavc(*words: str, cwd: Path) -> str:
    return _run(sys.executable, "-m", "datavc", *words, cwd=cwd)


def _run(*words: str, cwd: Path | None = None) -> str:
    who = {
        f"GIT_{role}_{what}": "x@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    paths = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **who, **paths}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )

    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where data goes, in a new folder")
    parser.add_argument(
        "--objects",
        type=numbers,
        default=[20_000, 10_000_000],
        help="sizes to compare (default: 20000,10000000)",
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
