"""Secrets are planted wherever a run could pick them up; after a push, nothing on the remote has any, packed or not."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from projects import Project
from remotes import add_folder

from datavc.formats.pack import MAX_PACK_BYTES
from datavc.store.packreader import decode_entry, locations, open_pack

# Put together, so that nobody who scans this repository takes them for real ones.
PLANTED = {
    "an option": "hunter2-in-argv",
    "an option with =": "hunter3-in-argv",
    "a url": "pa55word/in+url",
    "a signed url": "sig4ture-in-url",
    "a header": "bearer5-in-header",
    "basic auth": base64.b64encode(b"me:open6sesame").decode(),
    "curl -u": "curl7-password",
    "the environment": "tok8-in-environment",
    "a connection string of the environment": "db9-in-environment",
    "git's remote": "git10-in-remote",
    "code": "code11-api-key",
    "a shape in code": "AKIA" + "ABCDEFGHIJKLMNOP",
    "a parameter": "correct-horse-battery",
    "the log": "hf_" + "aBcD" * 8,
    "json in the log": "json12-password",
    "a private key in the log": "MIIEowIBAAKCAQEA0key",
    "a notebook's parameter": "python13-given",
}
JOB = f"""
import os, sys
AWS = "{PLANTED["a shape in code"]}"
api_key = "{PLANTED["code"]}"
print(sys.argv, dict(os.environ))
print("using {PLANTED["the log"]}")
print('{{"password": "{PLANTED["json in the log"]}"}}', open("params.toml").read())
print("-----BEGIN PRIVATE KEY-----\\n{PLANTED["a private key in the log"]}\\n-----END PRIVATE KEY-----", file=sys.stderr)
open("out.txt", "w").write("harmless")
"""


def test_after_a_push_no_planted_secret_is_on_the_remote(project: Project, tmp_path: Path):
    project.environment |= {
        "MY_API_TOKEN": PLANTED["the environment"],
        "DATABASE_URL": f"postgres://me:{PLANTED['a connection string of the environment']}@db/x",
    }
    project.write(
        {
            "job.py": JOB,
            "params.toml": f"lr = 0.1\n[db]\npassword = '{PLANTED['a parameter']}'\n",
            "block.py": "import datavc\nwith datavc.run('block', outputs='out2.txt') as run:\n"
            f"    run.params['api_token'] = '{PLANTED['a notebook' + chr(39) + 's parameter']}'\n"
            "    open('out2.txt', 'w').write('harmless')\n",
        }
    )
    project.git(
        "remote", "add", "origin", f"https://me:{PLANTED['git' + chr(39) + 's remote']}@example.org/x.git"
    )
    remote = add_folder(project, tmp_path / "remote", "store")

    project.datavc(
        "run", "-o", "out.txt", "-p", "params.toml", "-i", "params.toml", sys.executable, "job.py",
        "--password", PLANTED["an option"], f"--token={PLANTED['an option with =']}",
        f"https://me:{quote(PLANTED['a url'], safe='')}@example.org/",
        f"s3://b/x?X-Amz-Signature={PLANTED['a signed url']}",
        "-H", f"Authorization: Bearer {PLANTED['a header']}", "-H", f"Authorization: Basic {PLANTED['basic auth']}",
        "-u", f"me:{PLANTED['curl -u']}",
    )  # fmt: skip
    project.datavc("run", "--shell", f"echo {PLANTED['the environment']} --api-key {PLANTED['code']}")
    ended = project.datavc("run", sys.executable, "block.py")
    project.commit()
    project.run("push", "--yes")

    found = b"\n".join([*_everything(remote), *_pointers(project), ended.err.encode()])
    assert b"harmless" in found and b"***" in found
    known = [*PLANTED.values(), "open6sesame", quote(PLANTED["a url"], safe="")]
    assert [secret for secret in known if secret.encode() in found] == []


def _everything(remote: Path) -> Iterator[bytes]:
    """Every stored file as it is, and of packs each object, decoded."""
    for path in sorted(remote.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path.name.encode()
        yield content
        if path.parent.parent.name == "packs":
            assert len(content) <= MAX_PACK_BYTES
            name = bytes.fromhex(path.name.rpartition("-")[2].partition(".")[0])
            footer = open_pack(name, content)
            for digest, place in locations(name, footer):
                _, offset, length, _, _ = place
                yield decode_entry(footer.algorithm, digest, place, content[offset : offset + length]).raw


def _pointers(project: Project) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in project.root.glob("*.datavc"))
