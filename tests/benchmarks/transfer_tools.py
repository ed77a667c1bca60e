"""The tools whose push and pull are compared: for each, the commands that do equal work. Measures nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple

from data import file_bytes
from measure import CommandFailed
from tools import CHECKOUT_OF_DATAVC, imports_datavc

KEYS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark-key"}
BUCKET = "benchmark"
_HIDDEN = ("DATAVC_", "DVC_", "RESTIC_", "AWS_", "GIT_", "PYTHON")


class Place(NamedTuple):
    """Where a turn pushes to: a folder, or a prefix of the bucket of the server at ``endpoint``."""

    folder: Path
    endpoint: str | None
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}" if self.endpoint else str(self.folder / self.prefix)


class Step(NamedTuple):
    """One measured command; ``words`` are run in ``cwd``."""

    name: str
    words: list[str | Path]
    cwd: Path


class Tool(ABC):
    """One tool in one turn, which lies in ``turn``; ``data`` is a name in ``work``."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ("folder", "s3")

    def __init__(self, start: list[str], turn: Path, place: Place, data: str) -> None:
        self.start, self.turn, self.place, self.data = start, turn, place, data
        self.work, self.clone = turn / "work", turn / "clone"
        self.log = turn / "log"
        for folder in (self.work, turn / "home", turn / "tmp"):
            folder.mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see: none of the user's settings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_HIDDEN)}
        home = str(self.turn / "home")
        git = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@example.org"}
        git |= {"GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@example.org"}
        aws = {**KEYS, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
        return {**kept, **git, **aws, "HOME": home, "TMPDIR": str(self.turn / "tmp")}

    def run(self, *words: str | Path, cwd: Path | None = None) -> None:
        """Something that is not measured."""
        done = subprocess.run(
            words, cwd=cwd or self.work, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise CommandFailed(f"{' '.join(map(str, words))}: {(done.stderr or done.stdout).strip()[-300:]}")

    def take_in(self) -> None:  # noqa: B027  (some have nothing to do)
        """Whatever comes before the first push."""

    def take_edit(self) -> None:  # noqa: B027
        """The same, after the data was edited."""

    @abstractmethod
    def push(self) -> list[str | Path]:
        """The command that sends what was taken in."""

    @abstractmethod
    def pull(self) -> Step:
        """The command that brings it all into a folder where nothing is."""

    @property
    def pulled(self) -> Path | None:
        """What :meth:`pull` brought, to be compared; None where it keeps nothing."""
        return self.clone / self.data

    def requests(self) -> int | None:
        """How many the last command made, where it says so."""
        return None


class Cp(Tool):
    name = "cp"
    kinds = ("folder",)

    def take_in(self) -> None:
        (self.place.folder / self.place.prefix).mkdir(parents=True)
        self.clone.mkdir()

    def push(self) -> list[str | Path]:
        return ["cp", "-ru", self.data, self.place.url]

    def pull(self) -> Step:
        return Step("pull", ["cp", "-r", Path(self.place.url) / self.data, self.clone], self.work)


class Objects(Tool):
    name = "objects"
    kinds = ("s3",)

    def push(self) -> list[str | Path]:
        return self._move("up")

    def pull(self) -> Step:
        return Step("pull", self._move("down"), self.work)

    @property
    def pulled(self) -> None:
        return None

    def _move(self, way: str) -> list[str | Path]:
        place = self.work / self.data
        size = file_bytes(place) if place.is_dir() else place.stat().st_size
        script = Path(__file__).with_name("objects.py")
        return [sys.executable, script, way, str(self.place.endpoint), BUCKET, self.place.prefix, str(size)]


class S5cmd(Tool):
    name = "s5cmd"
    kinds = ("s3",)

    def push(self) -> list[str | Path]:
        source = f"{self.data}/" if (self.work / self.data).is_dir() else self.data
        target = f"{self.place.url}/{self.data}" + ("/" if source != self.data else "")
        return [
            *self.start,
            "--endpoint-url",
            str(self.place.endpoint),
            "--log",
            "error",
            "cp",
            source,
            target,
        ]

    def pull(self) -> Step:
        self.clone.mkdir()
        folder = (self.work / self.data).is_dir()
        source = f"{self.place.url}/{self.data}" + ("/*" if folder else "")
        target = f"{self.clone / self.data}" + ("/" if folder else "")
        words = [*self.start, "--endpoint-url", str(self.place.endpoint), "--log", "error", "cp"]
        return Step("pull", [*words, source, target], self.work)


class Restic(Tool):
    name = "restic"

    @property
    def environment(self) -> dict[str, str]:
        url = (
            f"s3:{self.place.endpoint}/{BUCKET}/{self.place.prefix}"
            if self.place.endpoint
            else self.place.url
        )
        own = {"RESTIC_REPOSITORY": url, "RESTIC_PASSWORD": "benchmark"}
        return {**super().environment, **own, "RESTIC_CACHE_DIR": str(self.turn / "cache")}

    def take_in(self) -> None:
        self.run(*self.start, "init", "-q")

    def push(self) -> list[str | Path]:
        return [*self.start, "backup", "-q", self.data]

    def pull(self) -> Step:
        return Step(
            "pull", [*self.start, "restore", "-q", "latest", "--no-cache", "--target", self.clone], self.work
        )


class Versioned(Tool):
    """A tool with pointer files in git."""

    pointer: ClassVar[str]

    def take_in(self) -> None:
        self.run("git", "init", "-q")
        self.prepare()
        self.run(*self.start, "add", "-q", self.data)
        self._commit()

    @abstractmethod
    def prepare(self) -> None:
        """Make the store, and name the remote."""

    def take_edit(self) -> None:
        self.run(*self.start, "add", "-q", self.data)
        self._commit()

    def pull(self) -> Step:
        self.run("git", "clone", "-q", self.work, self.clone)
        return Step("pull", [*self.start, "pull", "-q"], self.clone)

    def _commit(self) -> None:
        self.run("git", "add", "-A", ".")
        self.run("git", "commit", "-q", "-m", "data")


class Dvc(Versioned):
    name = "dvc"

    @property
    def environment(self) -> dict[str, str]:
        own = {"DVC_SITE_CACHE_DIR": str(self.turn / "site"), "DVC_NO_ANALYTICS": "1"}
        return {**super().environment, **own}

    def prepare(self) -> None:
        self.run(*self.start, "init", "-q")
        self.run(*self.start, "config", "core.analytics", "false")
        self.run(*self.start, "remote", "add", "-q", "-d", "origin", self.place.url)
        if self.place.endpoint:
            self.run(*self.start, "remote", "modify", "origin", "endpointurl", self.place.endpoint)

    def push(self) -> list[str | Path]:
        return [*self.start, "push", "-q"]


class Datavc(Versioned):
    name = "datavc"

    @property
    def environment(self) -> dict[str, str]:
        environment = super().environment
        if "-m" in self.start and not imports_datavc(self.start[0]):
            environment["PYTHONPATH"] = str(CHECKOUT_OF_DATAVC)
        return environment

    def prepare(self) -> None:
        self.run(*self.start, "init", "-q")
        endpoint = ["--endpoint", self.place.endpoint] if self.place.endpoint else []
        self.run(*self.start, "remote", "add", "origin", self.place.url, *endpoint)

    def push(self) -> list[str | Path]:
        return [*self.start, "push", "--json"]

    def pull(self) -> Step:
        self.run("git", "clone", "-q", self.work, self.clone)
        # What a committed file says of a server is allowed by each user once.
        if self.place.endpoint:
            self.run(*self.start, "config", "--local", "remote.origin.allow", self.place.url, cwd=self.clone)
        return Step("pull", [*self.start, "pull", "--json"], self.clone)

    def requests(self) -> int | None:
        text = self.log.read_text(errors="replace")
        try:
            found = json.loads(text[text.rindex("\n{\n") if "\n{\n" in text else text.index("{") :])
        except ValueError:
            return None
        counts = found.get("fetched", found).get("traffic", {}).get("requests", {})
        return sum(counts.values())


TOOLS: dict[str, type[Tool]] = {tool.name: tool for tool in (Cp, Objects, S5cmd, Datavc, Dvc, Restic)}
