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


# Put together, so that nobody who scans this repository takes them for real ones.
KEYS = [
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDEFG0" + "x" * 30,
    "glpat-" + "aB3_" * 5,
    "hf_" + "aBcD" * 8,
    "sk-" + "aB3x" * 12,
    "sk-proj-" + "aB3x" * 12,
    "sk-" + "0a1b" * 8,
    "sk_live_" + "aB3x" * 6,
    "xoxb-" + "123456789012-abcdef",
    "xapp-" + "1-A0123-456789-abcdef",
    "https://hooks.slack.com/services/" + "T00000000/B00000000/abcdefgh",
    "AIza" + "aB3-_" * 7,
    "ya29." + "aB3-_" * 7,
    "GOCSPX-" + "aB3-_" * 5,
    "npm_" + "aB3x" * 9,
    "pypi-AgE" + "aB3x" * 9,
    "dapi" + "0a1b" * 8,
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "abc-def_ghi",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n",
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\nMIIEow\n-----END EC PRIVATE KEY-----",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "key {} end", "x='{}'", "[{}]", "https://h/{}"])
def test_what_can_be_nothing_but_a_secret_is_left_out_wherever_it_stands(key: str, around: str):
    shown = redact(around.format(key))

    body = key.removeprefix("https://hooks.slack.com/services/").splitlines()[
        -1 if "-----END" not in key else -2
    ]
    assert body not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "--password SECRET-123", "--password=SECRET-123", "--db-password 'SECRET-123'", "PASSWORD=SECRET-123",
        "password: SECRET-123", 'password = "SECRET-123"', '{"password": "SECRET-123"}', '{"password":"SECRET-123"}',
        "export AWS_SECRET_ACCESS_KEY=SECRET-123", "aws_secret_access_key = SECRET-123", "DB_PASS=SECRET-123",
        "Authorization: Bearer SECRET-123", "authorization: bearer SECRET-123", "Authorization: SECRET-123",
        "'Authorization': 'Token SECRET-12345678901234567890'", "-H 'X-Api-Key: SECRET-123'",
        "postgresql://me:SECRET-123@db:5432/x", "mongodb+srv://me:SECRET-123@db/x", "redis://:SECRET-123@cache:6379/0",
        "jdbc:postgresql://db/x?user=me&password=SECRET-123", "host=db user=me password=SECRET-123 dbname=x",
        "Server=db;User Id=me;Password=SECRET-123;", "AccountName=x;AccountKey=SECRET-123;EndpointSuffix=y",
        "https://b/x?X-Amz-Signature=SECRET-123", "https://a/x?sv=1&sig=SECRET-123", "url=https://a/x?sig=SECRET-123&y=1",
        "https://SECRET-123@github.com/x", "HF_TOKEN=SECRET-123", "wandb_api_key=SECRET-123", "client_secret=SECRET-123",
        "OPENAI_API_KEY=SECRET-123", "access_token=SECRET-123", "session-token SECRET-123 --session-token SECRET-123",
        "private_key: SECRET-123", "secret=SECRET-123", "jwt=SECRET-123", "--auth SECRET-123", "smtp_pass=SECRET-123",
    ],
)  # fmt: skip
def test_what_is_called_a_secret_is_left_out(text: str):
    shown = redact(text)

    assert "SECRET-123" not in shown.removeprefix("session-token SECRET-123")
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tokenizer=bert-base-uncased", "--tokenizer bert-base", "max_tokens=4096", "--max-tokens 4096", "num_tokens: 1000000",
        "tokens=12", "tokens_per_second: 1234.5", "loss per token: 0.3412", "pad_token=<pad>", "--pad-token '<pad>'",
        "eos_token: </s>", "token_type_ids=[0, 0]", "token_dim=512", "n_token=5", "token_file=/run/x", "key_columns=id,name",
        "keys=a,b", "key=value", "primary_key=id", "SORT_KEY=name", "--key name", "keyboard=us", "monkey=1", "passes=3",
        "n_passes: 100000", "forward_pass=12.5", "first_pass=true", "bypass=1", "passenger=9", "compass=north", "sigma=0.5",
        "sigmoid", "author=ada", "authors: Ada Lovelace", "secretary=ada", "signature_version=2", "design=new",
        "password_file=/run/secrets/db", "PWD=/home/me/project", "basic training of networks",
        "bearer of news", "basic configuration",
        "sk-learn-pipeline-with-gridsearch", "ghost_in_the_shell", "hf_model", "task-1234567890abcdefghijkl",
        "a token of thanks",
        "token = read_token()", "password is asked for", "epoch 3/10: 100%|####| 5/5 [00:01<00:00]", "s3://bucket/key/x",
        "std::string token; // the next", "accuracy: 0.97, tokens: 512000", "data@v1.0:train/labels.csv",
    ],
)  # fmt: skip
def test_ordinary_words_of_machine_learning_stay_readable(text: str):
    assert redact(text) == text


def test_a_name_and_a_password_in_base64_are_left_out():
    import base64

    word = base64.b64encode(b"me:open sesame").decode()

    assert redact(f"Authorization: Basic {word}") == "Authorization: Basic ***"
    assert redact(f"basic {word}") == "basic ***"


_NOISE = st.text(st.characters(exclude_categories=("C",)), max_size=40)


@given(_NOISE, _NOISE, st.sampled_from(KEYS[:19]))
def test_no_key_is_shown_whatever_stands_around_it(before: str, after: str, key: str):
    shown = redact(f"{before} {key} {after}")

    assert key.rpartition("/")[2] not in shown


@given(st.text(), st.text())
def test_leaving_out_twice_is_leaving_out_once_and_any_text_is_taken(before: str, after: str):
    shown = redact(before + "password=" + after)

    assert redact(shown) == shown


@pytest.mark.parametrize(
    "piece",
    [
        "y", "y=", "a://", "a@", "a:", "a: ", "--", "bearer ", "basic ", "://@", ".=@", "eyJ-", "eyJaaaaaaaa.", "sk-a", "gh",
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nA: b\n", "password=", "password:", "--password ",
        "token='", 'token="', "TOKEN=", "\nA=", "https://a", "https://u:p", "x://:", "key\":\"", "token\t\t\t", "\n", "pass",
    ],
)  # fmt: skip
def test_a_million_letters_take_no_time(piece: str):
    # In proportion to the square of it, each of these would take an hour.
    redact(piece * (1_000_000 // len(piece)))
