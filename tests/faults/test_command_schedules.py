"""Commands of two clones that meet on caches and a remote, request by request: what is needed is never lost.

Half of the schedules are drawn by lot: three to five parties in any order, one of which may be killed at any request, and
then runs its command again. The others are counted out: one party stops at each of its requests, another does all of its
work, and the first goes on. Each has a number; ``--seed NUMBER`` plays that one alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from parties import PARTIES, World, Worlds
from schedules import at_random, in_turns

_SCHEDULES = 2_400
_CHUNKS = 12
_SETTLED = 20  # one of so many is followed to its end
_MANY = 10_000

_WRITERS = (
    "a adds and pushes",
    "b adds and pushes",
    "a adds again what was dropped",
    "b adds what a has dropped",
    "a pushes",
    "b pulls",
    "b fetches what a has dropped",
    "b checks out",
    "a runs",
    "a drops a version",
)
_CACHE, _REMOTE = "gc of a's cache", "gc of the remote by a"
_COLLECTORS = (
    (_CACHE,),
    (_REMOTE,),
    ("gc of b's cache",),
    ("gc of the remote by b",),
    ("restore in a's cache",),
    ("restore on the remote",),
    ("b evicts",),
    ("a grace", _CACHE, "a grace", _CACHE),
    ("a grace", _REMOTE, "a grace", _REMOTE),
)
_PLACES = [
    (phase, shares, writer, others, first)
    for phase in Worlds.PHASES
    for shares in (False, True)
    for writer in _WRITERS
    for others in _COLLECTORS
    for first in (0, 1)
]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    return Worlds(tmp_path_factory.mktemp("worlds"))


def play(worlds: Worlds, number: int) -> World:
    """The schedule of that number."""
    return _drawn(worlds, number) if number % 2 else _counted(worlds, number // 2)


def _drawn(worlds: Worlds, number: int) -> World:
    chance = random.Random(number)
    phase, shares = chance.choice([*Worlds.PHASES]), chance.random() < 0.5
    with worlds.at(phase, at_random(number), shares=shares) as world:
        names = chance.choices([*PARTIES], k=chance.randint(3, 5))
        dying = chance.randrange(len(names)) if chance.random() < 0.6 else None
        for place, name in enumerate(names):
            dies_at = chance.randrange(150) if place == dying else None
            world.schedule.add(world.attempt(_named(world, name), times=chance.randint(1, 2)), dies_at)
        return _ended(world, number)


def _counted(worlds: Worlds, number: int) -> World:
    # A prime step, so that each few of them go everywhere.
    phase, shares, writer, others, first = _PLACES[number * 787 % len(_PLACES)]
    stop = random.Random(number).randrange(160)
    with worlds.at(phase, in_turns((first, stop), (1 - first, _MANY)), shares=shares) as world:
        world.schedule.add(world.attempt(_named(world, writer)))
        for_others = [_named(world, name) for name in others]
        world.schedule.add(lambda: [world.attempt(each)() for each in for_others] and None)
        return _ended(world, number)


def _named(world: World, name: str) -> Callable[[], None]:
    return lambda: PARTIES[name](world)


def _ended(world: World, number: int) -> World:
    world.schedule.run(world.check)
    for failure in world.schedule.failures:
        raise failure
    world.check_contents()
    if number % _SETTLED == 0:
        world.settle()
    return world


def _play_all(worlds: Worlds, numbers: Iterable[int]) -> tuple[int, int, int]:
    done = refused = requests = 0
    for number in numbers:
        try:
            world = play(worlds, number)
        except BaseException as error:
            raise AssertionError(f"--seed {number}: {error!r}") from error
        done, refused = done + world.done, refused + len(world.refused)
        requests += sum(world.schedule.requests)
    return done, refused, requests


@pytest.mark.parametrize(
    "chunk",
    [None, *(pytest.param(n, marks=pytest.mark.slow) for n in range(_CHUNKS))],
    ids=["some", *(f"{n + 1} of {_CHUNKS}" for n in range(_CHUNKS))],
)
def test_what_is_needed_is_there_after_every_request_of_anybody(
    worlds: Worlds, seed: int | None, chunk: int | None, record_property: Callable[[str, object], None]
):
    numbers = range(12) if chunk is None else range(chunk, _SCHEDULES, _CHUNKS)
    done, refused, requests = _play_all(worlds, numbers if seed is None else [seed])
    record_property("schedules", len(numbers))
    record_property("commands", done)
    record_property("refused", refused)
    record_property("requests", requests)
    assert done > refused
