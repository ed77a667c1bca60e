r"""Which paths `.datavcignore` files leave out, by git's rules for `.gitignore`, byte for byte.

Patterns become regular expressions over bytes, after wildmatch.c and dir.c of git, oddities included: names
that are no UTF-8 or hold a newline match as they do there, and a malformed pattern matches nothing. (pathspec
1.1, tried first, disagreed with git on a third of 900 generated rule files: it raises on ``[z-a]`` and on a
final backslash, knows no ``[[:digit:]]``, and takes a newline in a name for its end.) Two differences are
meant: case always counts, whatever core.ignorecase says, so that everyone records the same; and no pattern
takes more than quadratic time, since rules come with a clone.

Not here: which folders' rules count, and reading them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

IGNORE_FILE = b".datavcignore"

_SPECIAL = frozenset(b"*?[\\")
# What git's own ctype takes for these (no locale): "\v" and "\f" are no space to it.
_PUNCTUATION = frozenset(rb"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")
_DIGITS, _LOWER, _UPPER = frozenset(range(48, 58)), frozenset(range(97, 123)), frozenset(range(65, 91))
_ALPHA = _LOWER | _UPPER
_SPACE = frozenset(b" \t\n\r")
_CLASSES = {
    b"alnum": _ALPHA | _DIGITS,
    b"alpha": _ALPHA,
    b"blank": frozenset(b" \t"),
    b"cntrl": frozenset(range(32)) | {127},
    b"digit": _DIGITS,
    b"graph": frozenset(range(33, 127)),
    b"lower": _LOWER,
    b"print": frozenset(range(32, 127)),
    b"punct": _PUNCTUATION,
    b"space": _SPACE,
    b"upper": _UPPER,
    b"xdigit": _DIGITS | frozenset(b"abcdefABCDEF"),
}

# Tokens that are no plain regular expression: "*", "**/", and "**" elsewhere.
_STAR, _FOLDERS, _ANYTHING = object(), object(), object()
_NEVER = b"(?!)"


@dataclass(frozen=True, slots=True)
class _Rule:
    negative: bool
    folders_only: bool
    # Matched against the last name alone, not against the path from the file's folder on.
    by_name: bool
    source: bytes
    match: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class _RuleFile:
    """The rules of one file: the last one that matches has the word."""

    skip: int
    last_first: tuple[_Rule, ...]
    # All rules in one expression each: most paths match none of them.
    any_name: re.Pattern[bytes] | None
    any_path: re.Pattern[bytes] | None


class IgnoreRules:
    """The rules of several `.datavcignore` files. True in a condition where there is any rule."""

    def __init__(self, text_by_folder: Mapping[bytes, bytes]) -> None:
        """``text_by_folder``: their contents by folder, relative to the repo's root."""
        self._files: dict[bytes, _RuleFile] = {}
        for folder, text in text_by_folder.items():
            if rules := tuple(_parse(text)):
                self._files[folder] = _rule_file(folder, rules)
        # Of each folder met: whether it is ignored, and the files whose rules count in it, the nearest first.
        self._known: dict[bytes, tuple[bool, tuple[_RuleFile, ...]]] = {}
        self._known[b""] = (False, tuple(self._files[folder] for folder in self._files if not folder))

    def __bool__(self) -> bool:
        return bool(self._files)

    def for_dataset(self, path: bytes) -> IgnoreRules | None:
        """The rules that count inside the dataset ``path``: those of folders above it; None without any.

        The dataset itself and what is above it are not ignored, since it was named. A `.datavcignore` in it
        is data.
        """
        above = path.rpartition(b"/")[0]
        files = {
            folder: rules
            for folder, rules in self._files.items()
            if not folder or (above + b"/").startswith(folder + b"/")
        }
        if not files:
            return None
        chosen = IgnoreRules({})
        chosen._files = files
        chosen._known[path] = (False, tuple(files[folder] for folder in sorted(files, key=len, reverse=True)))
        return chosen

    def ignored(self, path: bytes, is_folder: bool) -> bool:
        """Whether ``path``, relative to the repo's root, is left out.

        What is in an ignored folder always is. 1.2 us a path; without rules 0.1.
        """
        if not self._files:
            return False
        parent, _, name = path.rpartition(b"/")
        known = self._known.get(parent) or self._look_at(parent)
        return known[0] or _last_word(known[1], path, name, is_folder)

    def _look_at(self, folder: bytes) -> tuple[bool, tuple[_RuleFile, ...]]:
        """Fill in what is known of ``folder`` and those above it. No recursion: paths may be deep."""
        unknown = []
        while (known := self._known.get(folder)) is None:
            unknown.append(folder)
            folder = folder.rpartition(b"/")[0]
        for folder in reversed(unknown):
            ignored, files = known
            ignored = ignored or _last_word(files, folder, folder.rpartition(b"/")[2], True)
            if folder in self._files:
                files = (self._files[folder], *files)
            known = self._known[folder] = (ignored, files)
        return known


def _last_word(files: tuple[_RuleFile, ...], path: bytes, name: bytes, is_folder: bool) -> bool:
    for rules in files:
        relative = path[rules.skip :]
        if not (
            (rules.any_name is not None and rules.any_name.match(name))
            or (rules.any_path is not None and rules.any_path.match(relative))
        ):
            continue
        for rule in rules.last_first:
            if rule.folders_only and not is_folder:
                continue
            if rule.match.match(name if rule.by_name else relative):
                return not rule.negative
    return False


def _rule_file(folder: bytes, rules: tuple[_Rule, ...]) -> _RuleFile:
    def union(by_name: bool) -> re.Pattern[bytes] | None:
        sources = [rule.source for rule in rules if rule.by_name is by_name]
        return re.compile(b"|".join(sources), re.DOTALL) if sources else None

    return _RuleFile(len(folder) + 1 if folder else 0, rules[::-1], union(True), union(False))


def _parse(text: bytes) -> Iterator[_Rule]:
    """The rules of one file in order (git: add_patterns_from_buffer, parse_path_pattern)."""
    for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.startswith(b"#"):
            continue
        # To git a NUL ends the line.
        pattern = _without_trailing_spaces(line.removesuffix(b"\r").partition(b"\0")[0])
        negative = pattern.startswith(b"!")
        pattern = pattern.removeprefix(b"!")
        folders_only = pattern.endswith(b"/")
        pattern = pattern.removesuffix(b"/")
        if not pattern:
            continue
        by_name = b"/" not in pattern
        source = _translate(pattern if by_name else pattern.removeprefix(b"/"))
        if source is not None:
            yield _Rule(negative, folders_only, by_name, source, re.compile(source, re.DOTALL))


def _without_trailing_spaces(line: bytes) -> bytes:
    """Spaces alone, and not those after a backslash."""
    position, keep = 0, 0
    while position < len(line):
        if line[position] == ord("\\"):
            position += 1
            keep = position + 1
        elif line[position] != ord(" "):
            keep = position + 1
        position += 1
    return line[:keep]


def _translate(pattern: bytes) -> bytes | None:
    """A regular expression for all of a name or path; None for a malformed pattern, which matches nothing.

    Git compares what is before the first special byte as it is and gives the rest to wildmatch: "foo**/bar"
    is "foo" and then "**/bar".
    """
    plain = next((number for number, byte in enumerate(pattern) if byte in _SPECIAL), len(pattern))
    tokens = _tokens(pattern[plain:])
    if tokens is None:
        return None
    return re.escape(pattern[:plain]) + _join(tokens) + rb"\Z"


def _tokens(pattern: bytes) -> list[bytes | object] | None:
    """What wildmatch sees in ``pattern`` (git: dowild with WM_PATHNAME)."""
    tokens: list[bytes | object] = []
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        if byte == b"*":
            token, position = _stars(pattern, position)
            tokens.append(token)
            continue
        if byte == b"[":
            allowed, position = _bracket(pattern, position + 1)
            if allowed is None:
                return None
            tokens.append(allowed)
            continue
        if byte == b"?":
            tokens.append(b"[^/]")
        else:
            if byte == b"\\":
                position += 1
                byte = pattern[position : position + 1]
                if not byte:
                    return None
            tokens.append(re.escape(byte))
        position += 1
    return tokens


def _stars(pattern: bytes, start: int) -> tuple[object, int]:
    """The token of the stars at ``start``, and where the pattern goes on."""
    end = start
    while pattern[end : end + 1] == b"*":
        end += 1
    alone = start == 0 or pattern[start - 1 : start] == b"/"
    if end - start == 1 or not alone:
        return _STAR, end
    if pattern[end : end + 1] == b"/":
        return _FOLDERS, end + 1
    if end == len(pattern) or pattern[end : end + 2] == rb"\/":
        return _ANYTHING, end
    return _STAR, end


def _join(tokens: list[bytes | object]) -> bytes:
    """One expression that never tries more than it must.

    The first place where what follows a star fits is as good as any later one, so all but the last star give
    nothing back (atomic groups): "*a*a*a*a*b" would take time n**5 without.
    """
    stars = [number for number, token in enumerate(tokens) if not isinstance(token, bytes)]
    last_star = stars[-1] if stars else -1
    last_double = max((number for number in stars if tokens[number] is not _STAR), default=-1)
    joined: list[bytes] = []
    in_star = in_folders = False
    for number, token in enumerate(tokens):
        if isinstance(token, bytes):
            joined.append(token)
            continue
        if in_star:
            joined.append(b")")
            in_star = False
        if token is _STAR:
            in_star = number < last_star
            joined.append(b"(?>[^/]*?" if in_star else b"[^/]*")
            continue
        if in_folders:
            joined.append(b")")
        in_folders = token is _FOLDERS and number < last_double
        if token is _ANYTHING:
            joined.append(b".*")
        else:
            joined.append(b"(?>(?:.*?/)??" if in_folders else b"(?:.*/)?")
    return b"".join(joined)


def _bracket(pattern: bytes, start: int) -> tuple[bytes | None, int]:
    """The expression of the bracket whose inside begins at ``start``, and where the pattern goes on; None if
    malformed.
    """
    position = start
    negated = pattern[position : position + 1] in (b"!", b"^")
    position += negated
    allowed: set[int] = set()
    previous: int | None = None
    first = True
    while first or pattern[position : position + 1] != b"]":
        first = False
        if position >= len(pattern):
            return None, position
        byte = pattern[position]
        if (
            byte == ord("-")
            and previous is not None
            and pattern[position + 1 : position + 2] not in (b"", b"]")
        ):
            position += 1
            position += pattern[position] == ord("\\")
            if position >= len(pattern):
                return None, position
            allowed.update(range(previous, pattern[position] + 1))
            previous = None
        elif byte == ord("[") and pattern[position + 1 : position + 2] == b":":
            end = pattern.find(b"]", position + 2)
            if end < 0:
                return None, position
            if end > position + 2 and pattern[end - 1] == ord(":"):
                members = _CLASSES.get(pattern[position + 2 : end - 1])
                if members is None:
                    return None, position
                allowed |= members
                previous, position = None, end
            else:
                allowed.add(byte)
                previous = byte
        else:
            if byte == ord("\\"):
                position += 1
                if position >= len(pattern):
                    return None, position
                byte = pattern[position]
            allowed.add(byte)
            previous = byte
        position += 1
    # Whatever it says, a bracket is never a slash.
    chosen = (set(range(256)) - allowed if negated else allowed) - {ord("/")}
    return (
        b"[" + b"".join(rb"\x%02x" % byte for byte in sorted(chosen)) + b"]" if chosen else _NEVER
    ), position + 1
