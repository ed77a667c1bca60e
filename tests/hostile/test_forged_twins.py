"""Two contents with one xxh128, made without any search: what that does to a repo, and that ``--hash blake3`` is not fooled.

XXH3 adds, for each eight bytes of a stripe, their value to one sum and the product of their two halves, each xored with a
known secret, to another. Where the lower half is the secret's own the product is nought, and the upper half can be
anything, as long as two of them in one block have the same sum.
"""

from __future__ import annotations

import shutil

import pytest
import xxhash
from projects import Project

# The first bytes of each of the first two stripes' secrets (xxHash, doc/xxhash_spec.md, "Default secret").
_SECRETS = bytes.fromhex("b8fe6c39"), bytes.fromhex("7c01812c")
_BODY = bytes(range(256)) * 16


def _twin(first: bytes, second: bytes) -> bytes:
    """A content of 4 KiB; all that have the same sum of the two numbers of four bytes have one digest."""
    data = bytearray(_BODY)
    data[0:8] = _SECRETS[0] + first
    data[64:72] = _SECRETS[1] + second
    return bytes(data)


GOOD, FORGED = _twin(b"good", b"\0\0\0\0"), _twin(b"\0\0\0\0", b"good")


def test_twins_are_made_in_no_time():
    assert GOOD != FORGED and len(GOOD) == len(FORGED)
    assert xxhash.xxh3_128_digest(GOOD) == xxhash.xxh3_128_digest(FORGED)
    assert xxhash.xxh3_64_digest(GOOD) == xxhash.xxh3_64_digest(FORGED)


def _with_a_blob(project: Project, algorithm: str) -> Project:
    project.run("init", "--hash", algorithm)
    project.run("config", "--local", "cache.link", "hardlink")
    project.run("config", "--local", "cache.share_above", "100")
    project.write({"data/file": GOOD})
    project.run("add", "data")
    return project


def _forge(project: Project) -> None:
    """Put the twin where the good content is stored, as whoever may write there can."""
    shutil.rmtree(project.root / "data")
    (blob,) = (path for path in (project.root / ".git/datavc/cache/blobs").rglob("*") if path.is_file())
    blob.unlink()
    blob.write_bytes(FORGED)
    blob.chmod(0o444)


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
def test_a_repo_with_a_cryptographic_digest_refuses_a_forged_twin(git_project: Project, algorithm: str):
    project = _with_a_blob(git_project, algorithm)
    _forge(project)

    assert "is not what its name says" in project.run("fsck", code=12).out
    project.run("checkout", code=12)
    assert not (project.root / "data/file").exists()


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
def test_it_keeps_both_twins_apart(git_project: Project, algorithm: str):
    project = _with_a_blob(git_project, algorithm)
    project.commit("good")
    (project.root / "data/file").unlink()
    project.write({"data/file": FORGED})
    project.run("add", "data")
    project.commit("forged")
    for revision, content in (("HEAD~1", GOOD), ("HEAD", FORGED)):
        project.run("checkout", revision)
        assert project.read("data/file") == content


def test_the_default_digest_is_fooled_as_the_threat_model_says(git_project: Project):
    """Not wanted, but so: this fails when it is no longer true, and then the documents are to be changed."""
    project = _with_a_blob(git_project, "xxh128")
    _forge(project)

    project.run("fsck")
    project.run("checkout")
    assert project.read("data/file") == FORGED
