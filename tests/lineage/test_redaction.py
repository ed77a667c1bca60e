"""What is left out of records: secrets by their names, by their looks, and wherever a known one stands again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.formats.secrets import names_secret
from datavc.lineage.redaction import Redactor

SECRET = "correct-horse-battery"


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--password", SECRET],
        ["train", f"--password={SECRET}"],
        ["train", f"--api-key={SECRET}"],
        ["train", "--token", SECRET],
        ["train", f"AWS_SECRET_ACCESS_KEY={SECRET}"],
        ["train", f"https://user:{SECRET}@example.org/x"],
        ["train", f"https://{SECRET}@example.org/x"],
        ["train", f"s3://b/x?X-Amz-Signature={SECRET}"],
        ["curl", "-H", f"Authorization: Bearer {SECRET}"],
        ["sh", "-c", f"train --password {SECRET} | tee log"],
    ],
)
def test_a_secret_of_the_command_line_is_left_out_everywhere(argv: list[str]):
    redactor = Redactor(argv, {})

    assert SECRET not in " ".join(redactor.words(argv))
    assert SECRET.encode() not in redactor.log(f"starting {' '.join(argv)}\nusing {SECRET}\n".encode())
    assert SECRET.encode() not in redactor.code(f"x = '{SECRET}'".encode())
    assert redactor.count > 0


@pytest.mark.parametrize(
    "environment",
    [
        {"MY_TOKEN": SECRET},
        {"DB_PASS": SECRET},
        {"DATABASE_URL": f"postgres://me:{SECRET}@db/x"},
        {"HF_KEY": SECRET},
    ],
)
def test_a_secret_of_the_environment_is_left_out_of_the_log(environment: dict[str, str]):
    assert SECRET.encode() not in Redactor(["x"], environment).log(f"got {SECRET}".encode())


@pytest.mark.parametrize(
    "text",
    [
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh",
    ],
)
def test_what_can_be_nothing_but_a_secret_is_left_out_of_code(text: str):
    assert text.encode() not in Redactor(["x"], {}).code(f"key = '{text}'\n".encode())


def test_code_that_only_talks_about_secrets_is_kept_as_it_is():
    code = b"token = read_token()\npassword=getpass()\nurl = f'https://{user}@host'\n"
    redactor = Redactor(
        ["python", "train.py", "--lr=0.1", "--tokenizer=bert-base", "--max-tokens", "100000"],
        {"PATH": "/usr/bin", "HOME": "/home/me"},
    )

    assert redactor.code(code) == code
    assert redactor.words(
        ["python", "train.py", "--lr=0.1", "--tokenizer=bert-base", "--max-tokens", "100000"]
    ) == ["python", "train.py", "--lr=0.1", "--tokenizer=bert-base", "--max-tokens", "100000"]
    assert redactor.count == 0


@pytest.mark.parametrize("piece", ["y", "y=", "a://", "a@", "-", "bearer ", "://@", ".=@"])
def test_long_texts_take_no_time(piece: str):
    text = piece * (300_000 // len(piece)) + "=@"
    redactor = Redactor(["x", text], {"A": text})

    redactor.words([text])
    redactor.log(text.encode())
    redactor.code(text.encode())


@given(st.binary(max_size=200))
def test_logs_of_any_bytes_without_secrets_stay_as_they_are(content: bytes):
    harmless = content.replace(b"=", b"").replace(b"@", b"").replace(b"earer", b"").replace(b"asic", b"")

    assert Redactor(["x"], {}).log(harmless) == harmless


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("aws-secret-access-key", True),
        ("HF_TOKEN", True),
        ("lr", False),
        ("keyboard", False),
        ("tokenizer", False),
        ("max_tokens", False),
        ("primary_key", False),
        ("WANDB_API_KEY", True),
        ("secretAccessKey", True),
    ],
)
def test_names_of_secrets(name: str, secret: bool):
    assert names_secret(name) is secret


def test_a_literal_in_code_that_is_called_a_secret_is_left_out_and_nothing_else():
    code = b"""
api_key = "a1b2c3d4e5f6"
config = {"db_password": 'hunter2hunter2'}
token = tokens[0]; pad_token = "pad0pad0pad0"
password = config["password2"]
secret_name = "projects/1/secrets/2"
token_url = "https://example.org/1"
AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI0K7MDENG
"""
    clean = Redactor(["x"], {}).code(code)

    assert [
        (was, is_) for was, is_ in zip(code.splitlines(), clean.splitlines(), strict=True) if was != is_
    ] == [
        (b'api_key = "a1b2c3d4e5f6"', b'api_key = "***"'),
        (b"config = {\"db_password\": 'hunter2hunter2'}", b"config = {\"db_password\": '***'}"),
        (b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI0K7MDENG", b"AWS_SECRET_ACCESS_KEY=***"),
    ]


def test_what_a_parameter_calls_a_secret_is_left_out_of_code_and_logs():
    redactor = Redactor(["x"], {})
    redactor.learn_values({"db": {"password": SECRET, "retries": 3}, "api_tokens": ["abc"], "lr": 0.1})

    assert redactor.values(
        {"db": {"password": SECRET, "retries": 3}, "lr": 0.1, "secret": ["abcdef", 1]}
    ) == {
        "db": {"password": "***", "retries": 3},
        "lr": 0.1,
        "secret": ["***", 1],
    }
    assert SECRET.encode() not in redactor.code(f"[db]\npassword = '{SECRET}'\n".encode())
    assert SECRET.encode() not in redactor.log(f"using {SECRET}".encode())


def test_packages_that_are_called_like_secrets_keep_their_versions():
    distributions = {
        "google-auth": {"version": "2.40.1"},
        "python-jwt": {"version": "4.1"},
        "tokenizers": {"version": "0.2"},
    }

    assert Redactor(["x"], {}).texts(distributions) == distributions


def test_the_password_of_curls_option_is_left_out():
    redactor = Redactor(["curl", "-u", f"me:{SECRET}", "x"], {})

    assert redactor.words(["curl", "-u", f"me:{SECRET}", "x"]) == ["curl", "-u", "me:***", "x"]
    assert redactor.words(["docker", "-u", "1000:1000"]) == ["docker", "-u", "1000:1000"]
    assert SECRET.encode() not in redactor.log(SECRET.encode())
