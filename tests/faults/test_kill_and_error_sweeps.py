"""Killed or failed at every file-changing call, ``add`` and ``checkout`` lose nothing, and the same command finishes.

The quick part of each sweep takes every few points; ``-m slow`` takes all of them. How many there were becomes a property
of the test, for ``--junit-xml``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
from faultcases import CASES, make_case
from projects import Project
from sweeps import (
    DOCUMENTED_CODES,
    failing_at_each,
    killed_at_each,
    run_with_few_files,
    run_writing_short,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_MOST_POINTS = 2000
_QUICK_STRIDE = 11

Record = Callable[[str, object], None]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "stride", [_QUICK_STRIDE, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_killed_at_any_change_it_loses_nothing_and_finishes_when_run_again(
    project: Project, record_property: Record, name: str, stride: int
):
    case = make_case(project, name)
    points = 0
    for _ in killed_at_each(project, case.command, case.fresh, stride):
        case.assert_nothing_lost()
        case.assert_it_finishes()
        points += 1
    assert points * stride > 20, "the sweep saw no changes at all"
    record_property("points", points)


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC,
        errno.EIO,
        *(
            pytest.param(number, marks=pytest.mark.slow)
            for number in (errno.EDQUOT, errno.EMFILE, errno.EINTR)
        ),
    ],
    ids=["full disk", "input output error", "quota used up", "too many open files", "interrupted"],
)
@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "stride", [5 * _QUICK_STRIDE, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_failing_disk_is_reported_loses_nothing_and_the_next_run_finishes(
    project: Project, record_property: Record, name: str, number: int, once: bool, stride: int
):
    case = make_case(project, name)
    points = 0
    for point, code in failing_at_each(
        project, case.command, case.fresh, number, once=once, stride=stride, first=2
    ):
        case.assert_nothing_lost()
        if code == 0:
            assert project.tree("data") == case.after, point
        case.assert_it_finishes()
        points += 1
    record_property("points", points - 1)


@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "stride", [_QUICK_STRIDE, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_write_that_takes_only_half_is_gone_on_with(
    project: Project, record_property: Record, name: str, once: bool, stride: int
):
    case = make_case(project, name)
    for point in range(1, _MOST_POINTS, stride):
        case.fresh()
        code, reached = run_writing_short(project, case.command, point, once=once)
        assert code == 0, point
        assert project.tree("data") == case.after, point
        case.assert_nothing_lost()
        if not reached:
            break
    assert point > 1, "the sweep saw no writes at all"
    record_property("points", (point - 1) // stride)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_too_few_descriptors_are_reported_and_lose_nothing(
    project: Project, record_property: Record, name: str, stride: int
):
    case = make_case(project, name)
    code = 1
    for most in range(0, 100, stride):
        case.fresh()
        code = run_with_few_files(project, case.command, most)
        assert code in DOCUMENTED_CODES, most
        case.assert_nothing_lost()
        case.assert_it_finishes()
        if code == 0:
            break
    assert code == 0, "100 descriptors were not enough"
    assert most > 0, "no limit was in force"
    record_property("points", most // stride)
