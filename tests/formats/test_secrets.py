"""Nothing secret is shown, whatever it stands in; what is no secret stays readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.formats.secrets import carries_secret, names_secret, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:p@ss/w@host/x", "https://user:***@ss/w@host/x"),
        ("https://user:hidden@host/x", "https://user:***@host/x"),
        ("https://user:hi@dden@host/x", "https://user:***@host/x"),
        ("https://token@host/x", "https://***@host/x"),
        ("HTTPS://token@host", "HTTPS://***@host"),
        ("sftp://user@host/x", "sftp://user@host/x"),
        ("git@host:team/project.git", "git@host:team/project.git"),
        ("https://b/x?X-Amz-Signature=ab12&X-Amz-Date=1", "https://b/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("https://b/x?X-Amz-Credential=AK/1&x=2", "https://b/x?X-Amz-Credential=***&x=2"),
        ("https://b/x?X-Amz-Security-Token=ab%2F", "https://b/x?X-Amz-Security-Token=***"),
        ("https://a/x?sv=1&sig=ab%3D&se=2", "https://a/x?sv=1&sig=***&se=2"),
        ("https://g/x?GoogleAccessId=me&Signature=q", "https://g/x?GoogleAccessId=me&Signature=***"),
        ("AWS4 Credential=AK/2, SignedHeaders=host, Signature=0a", "AWS4 Credential=***, SignedHeaders=host, Signature=***"),
        ("aws_secret_access_key=abc", "aws_secret_access_key=***"),
        ("next: datavc add 'a=b' --jobs=2", "next: datavc add 'a=b' --jobs=2"),
        ("design=new", "design=new"),
    ],
)  # fmt: skip
def test_secrets_are_left_out_and_nothing_else(text: str, shown: str):
    assert redact(text) == shown
    assert redact(redact(text)) == redact(text)


@given(st.text(st.characters(exclude_characters="/@\0", exclude_categories=("Z", "C")), min_size=8))
def test_no_password_in_a_url_is_shown(password: str):
    hidden = redact(f"cannot reach s3+x://user:{password}@host/path")

    assert hidden == "cannot reach s3+x://user:***@host/path"
    assert carries_secret(f"https://u:{password}@h/")


@pytest.mark.parametrize("key", ["remote.a.password", "AWS_SECRET_ACCESS_KEY", "x.api_key", "session_token"])
def test_keys_that_are_called_like_secrets(key: str):
    assert names_secret(key)


@pytest.mark.parametrize("key", ["remote.a.url", "cache.dir", "hash", "remote.default"])
def test_other_keys(key: str):
    assert not names_secret(key)
