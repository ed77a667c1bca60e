"""What nobody is to see: passwords in URLs, signatures, tokens, keys. The one place that knows how they look.

Two ways to know one: by its looks (:func:`redact_shapes`), and by the name that something gives it: an option, a variable, a
header, a part of an URL. Every pattern takes time in proportion to the text: it begins where it cannot have begun before, and
what it passes over is bounded. They are compiled when they are needed: ``status`` reads every key of ``datavc.toml``, and has
no millisecond to spare.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

HIDDEN = "***"
# Of tokens the beginning: no letter of theirs stands before them.
_START = rb"(?<![A-Za-z0-9_-])"
_LETTERS = rb"[A-Za-z0-9_-]"
# Also one that is cut short. Encrypted ones have headers, with the dashes that a body has not.
_PEM = (
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\s{0,4}[A-Za-z-]{1,30}: [^\n]{0,100}\n){0,4}[^-]{0,20000}"
    rb"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)
_SHAPES = (
    (b"AKIA", rb"\bAKIA[0-9A-Z]{16}\b"),  # AWS
    (b"ASIA", rb"\bASIA[0-9A-Z]{16}\b"),
    (b"gh", rb"\bgh[pousr]_[A-Za-z0-9]{20,}"),
    (b"github_pat_", rb"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    (b"gl", rb"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-" + _LETTERS + rb"{20,}"),
    (b"hf_", rb"\bhf_[A-Za-z0-9]{20,}"),
    (b"api_org_", rb"\bapi_org_[A-Za-z0-9]{20,}"),
    # OpenAI and others; what is only called sk-something has no digit and no capital.
    (b"sk-", _START + rb"sk-(?=[A-Za-z_-]{0,60}\d)(?=[a-z0-9_-]{0,60}[A-Z])" + _LETTERS + rb"{20,}"),
    (b"sk-", _START + rb"sk-[0-9a-f]{32,}\b"),
    (b"k_live_", rb"\b[sr]k_live_[A-Za-z0-9]{16,}"),  # Stripe
    (b"k_test_", rb"\b[sr]k_test_[A-Za-z0-9]{16,}"),
    (b"xox", rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    (b"xapp-", rb"\bxapp-[A-Za-z0-9-]{20,}"),
    (b"hooks.slack.com/", rb"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"),
    (b"AIza", rb"\bAIza" + _LETTERS + rb"{35}"),  # Google
    (b"ya29.", rb"\bya29\." + _LETTERS + rb"{20,}"),
    (b"GOCSPX-", rb"\bGOCSPX-" + _LETTERS + rb"{20,}"),
    (b"npm_", rb"\bnpm_[A-Za-z0-9]{30,}"),
    (b"pypi-", rb"\bpypi-AgE" + _LETTERS + rb"{20,}"),
    (b"dapi", rb"\bdapi[0-9a-f]{32}\b"),  # Databricks
    (b"eyJ", _START + rb"eyJ" + _LETTERS + rb"{8,}\.eyJ" + _LETTERS + rb"{8,}\." + _LETTERS + rb"+"),  # JWT
    (b"-----BEGIN", _PEM),
)
"""What can be nothing but a secret, each pattern behind something that has to stand there: that is quickly looked for."""
# Up to the last "@" before the path: passwords have been seen with one in them.
_USERINFO = r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://[^/\s@:]*:([^/\s]*)@"
# On the web a user name alone is a token more often than not; elsewhere it is just a user.
_WEB_USER = r"(?<![a-z0-9+.-])https?://([^/\s@:]+)@"
_HEADER = r"\b(bearer|basic|token)\s{1,8}([A-Za-z0-9._~+/=-]{8,})"
# Names begin where no letter stands before them: so a word of a million letters takes a million steps, not their square.
# What stands behind them is looked at where the name is a secret's alone.
_NAMED = (
    r"(?<![\w.-])(-{0,2}[A-Za-z_][\w.-]{0,100})"
    r"""(["']?=>?["']?|["']?[ \t]{0,3}[:=][ \t]{0,3}["']?|[ \t]{1,3}(?=[^\s-])["']?)"""
)
_VALUE = r"""[^&\s,;'"]+"""
_NUMBER = re.compile(r"[-+\d.,eE%]+")
_PLAIN = frozenset(("bearer", "digest"))  # what the secret stands behind

# A part of every word below, and what else shows a secret.
_ROOTS = (
    "@",
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "auth",
    "key",
    "sig",
    "sas",
    "jwt",
    "bearer",
    "basic",
)
# Words that make a name a secret's, wherever they stand in it.
_ALWAYS = frozenset(
    """password passwords passwd passphrase secret credential credentials authorization apikey accesskey accesskeyid
    privatekey secretkey accountkey authtoken accesstoken refreshtoken clientsecret""".split()  # noqa: SIM905
)
# Those that do so at its end.
_LAST = frozenset(["token", "signature", "sas", "jwt", "auth", "pwd"])
# Names that end so tell something about a secret, and not the secret itself.
_ABOUT = frozenset(
    """file path dir folder url uri endpoint name type kind len length size count limit field env var index idx dim ids policy
    prompt provider expiry expires ttl enabled required mode class column columns method hash version manager
    store""".split()  # noqa: SIM905
)
# Tokens of texts, and not of users.
_OF_TEXT = frozenset(
    """pad eos bos cls sep unk mask special start end stop image first last next prev previous per new prefix suffix max min
    num n text audio video eot decoder encoder think tool class by delimiter newline begin blank oov""".split()  # noqa: SIM905
)
# Keys of doors, and not of tables.
_DOORS = frozenset(
    """api access private account secret auth encryption ssh hf wandb openai anthropic shared master signing service
    storage""".split()  # noqa: SIM905
)
_TABLES = frozenset(
    """primary foreign sort partition group index row join cache public dict map hot config label target feature column
    unique natural merge""".split()  # noqa: SIM905
)
_ACCOUNTS = frozenset(
    "db user smtp ftp http proxy mail email root admin mysql pg postgres redis ssh sudo ldap login".split()  # noqa: SIM905
)


def redact(text: str) -> str:
    """``text`` as it may be shown and logged: passwords, signatures and tokens in it are replaced by ``***``."""
    raw = text.encode("utf-8", "surrogatepass")
    return redact_named(redact_shapes(raw).decode("utf-8", "surrogatepass"))


def redact_shapes(content: bytes) -> bytes:
    """``content`` without what can be nothing but a secret."""
    for literal, pattern in _SHAPES:
        if literal in content:
            content = _compiled(pattern).sub(HIDDEN.encode(), content)
    return content


def may_name_secret(text: str) -> bool:
    """Whether a word that names secrets stands in ``text``, as a look at it tells."""
    lower = text.lower()
    return any(root in lower for root in _ROOTS)


def redact_named(text: str) -> str:
    """``text`` without what URLs, options, headers and assignments in it show to be a secret."""
    if not may_name_secret(text):
        return text
    kept, done = [], 0
    for start, end in sorted(_spans(text)):
        if start >= done:
            kept += [text[done:start], HIDDEN]
        done = max(done, end)
    return "".join([*kept, text[done:]])


def secrets_named(text: str) -> Iterator[str]:
    """What :func:`redact_named` would leave out."""
    return (text[start:end] for start, end in (_spans(text) if may_name_secret(text) else ()))


def carries_secret(text: str) -> bool:
    """Whether something in ``text`` would not be shown."""
    return redact(text) != text


@lru_cache(4096)
def names_secret(name: str) -> bool:
    """Whether an option, a setting or a variable is called like a secret.

    Machine learning is full of tokens and keys that are none: ``tokenizer``, ``max_tokens``, ``pad_token``, ``key_columns``.
    """
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    if not words or words[-1] in _ABOUT:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if not _ALWAYS.isdisjoint(words):
        return True
    if last in _LAST:
        return not (last == "token" and before in _OF_TEXT) and name not in ("PWD", "OLDPWD")
    if last == "pass":
        return not before or before in _ACCOUNTS or name.isupper()
    if last == "sig":
        return not before
    if last == "id" and before == "key":
        last, before = before, words[-3] if len(words) > 2 else ""
    return last == "key" and (before in _DOORS or (name.isupper() and before not in _TABLES))


@lru_cache(len(_SHAPES))
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


@lru_cache(1)
def _patterns() -> tuple[re.Pattern[str], ...]:
    flags = re.IGNORECASE
    return (
        re.compile(_USERINFO, flags),
        re.compile(_WEB_USER, flags),
        re.compile(_HEADER, flags),
        re.compile(_NAMED),
        re.compile(_VALUE),
    )


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand, in no order; they may overlap."""
    userinfo, web_user, header, named, value_of = _patterns()
    if "@" in text:
        yield from (found.span(1) for pattern in (userinfo, web_user) for found in pattern.finditer(text))
    yield from (found.span(2) for found in header.finditer(text) if _is_in_header(found[1].lower(), found[2]))
    done = 0
    for found in named.finditer(text):
        # A value is looked at once, whatever is called like a secret inside of it.
        if found.start() >= done and names_secret(found[1].lstrip("-")):
            value = value_of.match(text, found.end())
            if value is not None:
                done = value.end()
                if _is_value(found[1], found[2], value[0]):
                    yield value.span()


def _is_value(name: str, sign: str, value: str) -> bool:
    """Whether ``value``, which stands behind a secret's name and a ``sign``, is one."""
    bare = sign.strip("\"'")
    if not bare.strip():
        return name.startswith("-")
    if bare in ("=", "=>"):
        return True
    # In prose a colon, or spaces, stand behind many a word.
    is_told = len(value) >= 6 and not _NUMBER.fullmatch(value) and "(" not in value
    return is_told and value.lower() not in _PLAIN


def _is_in_header(scheme: str, value: str) -> bool:
    if scheme == "basic":
        return _is_basic(value)
    if scheme == "token":
        return any(c.isdigit() for c in value) and len(value) >= 20
    # "Bearer" is a word of people's, too; a token has more than letters, or more than a word has.
    return not value.isalpha() or len(value) >= 20


def _is_basic(value: str) -> bool:
    """Whether it is a name and a password, as HTTP has them in base64."""
    import base64
    import binascii

    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
