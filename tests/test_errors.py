"""The error tree: its shape, its exit codes, and that an error survives the way from a worker process."""

from __future__ import annotations

import pickle

import pytest

from datavc import errors
from datavc.errors import DatavcError

# Every error, with the one it is a kind of and its exit code. Scripts rely on these: add, never change.
TREE = {
    "DatavcError": ("Exception", 1),
    "UsageError": ("DatavcError", 2),
    "NotFoundError": ("DatavcError", 1),
    "RepoNotFound": ("NotFoundError", 10),
    "ObjectNotFound": ("NotFoundError", 1),
    "PurgedError": ("ObjectNotFound", 1),
    "StoredFileNotFound": ("NotFoundError", 1),
    "ConflictError": ("DatavcError", 1),
    "Locked": ("ConflictError", 11),
    "StorageError": ("DatavcError", 1),
    "OutOfSpace": ("StorageError", 1),
    "TransientError": ("StorageError", 1),
    "IntegrityError": ("DatavcError", 12),
    "DigestMismatch": ("IntegrityError", 12),
    "MalformedError": ("IntegrityError", 12),
    "UnsupportedFormat": ("MalformedError", 12),
    "PartialFailure": ("DatavcError", 3),
}


def _kinds() -> dict[str, type[DatavcError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, DatavcError)
    }


def test_the_tree_has_exactly_these_errors():
    shape = {name: (kind.__bases__[0].__name__, kind.exit_code) for name, kind in _kinds().items()}

    assert shape == TREE


def test_the_docstring_draws_every_error():
    drawn = errors.__doc__ or ""

    assert [name for name in TREE if name not in drawn] == []


def test_builtin_handlers_catch_what_they_would_expect():
    assert issubclass(errors.UsageError, ValueError)
    assert issubclass(errors.NotFoundError, LookupError)


@pytest.mark.parametrize("name", TREE)
def test_an_error_pickles_with_its_hint(name: str):
    error = _kinds()[name]("no room on /cache", "free some, then run the command again")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (copy.message, copy.hint) == (error.message, error.hint)


@pytest.mark.parametrize("name", TREE)
def test_an_error_reads_as_its_message_alone(name: str):
    assert str(_kinds()[name]("no room on /cache", "free some")) == "no room on /cache"


def test_a_hint_may_be_left_out():
    assert errors.StorageError("disk failed").hint is None
