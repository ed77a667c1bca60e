"""Who pushes, adds, pulls, collects, repacks, restores and purges, in any order that a seed gives: no promise is broken.

Each schedule is drawn by lot: who is there, how often, in which order their requests come, who is killed where and begins
again, and when a grace passes. ``--seed NUMBER -k some`` plays that one alone; ``-m slow --seed NUMBER`` begins there.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from schedules import at_random, in_turns
from stored import XXH, unpacked
from storeparties import OBJECTS, TO_PURGE, VERSIONS, World

_SCHEDULES, _CHUNKS = 10_000, 25
_ENOUGH = 12


def parties(world: World, chance: random.Random) -> list[Callable[[], None]]:
    """Two at least who push, and two who collect; most of the time those who add, pull, restore and purge besides."""
    names = chance.sample(sorted(VERSIONS), chance.randint(2, 4))
    found: list[Callable[[], None]] = [
        partial(world.push, name, chance.randint(2, 4), chance) for name in names
    ]
    found += [
        partial(world.collect, chance.randint(2, 4), repack=chance.random() < 0.4),
        partial(world.collect, chance.randint(2, 4), repack=chance.random() < 0.4),
    ]
    others: list[tuple[float, Callable[[], None]]] = [
        (0.7, partial(world.add, chance.choice(sorted(VERSIONS)), 3)),
        (0.7, partial(world.pull, chance.choice(names), 6)),
        (0.3, partial(world.collect, 2, restore=True)),
        (0.6, partial(world.purge, TO_PURGE[0], 4)),
        (0.2, partial(world.purge, TO_PURGE[1], 4)),
    ]
    return found + [party for share, party in others if chance.random() < share]


def play(seed: int, scratch: Path, patch: pytest.MonkeyPatch) -> World:
    # Random names decide whose note in the trash is read first.
    patch.setattr(os, "urandom", random.Random(f"names {seed}").randbytes)
    world, chance = World(at_random(seed), scratch, patch), random.Random(seed)
    actors = parties(world, chance)
    dying = chance.sample(range(len(actors)), chance.choice([0, 1, 1, 2]))
    for number, actor in enumerate(actors):
        world.schedule.add(actor, chance.randrange(90) if number in dying else None)
    world.schedule.add(lambda: world.age(chance.randint(2, 6)))
    if chance.random() < 0.3:
        world.schedule.add(lambda: world.forget(chance, 8))
    world.schedule.run(world.check)
    for failure in world.schedule.failures:
        raise failure
    settle(world, chance)
    return world


def settle(world: World, chance: random.Random) -> None:
    """In the end nothing hinders anybody: each command ends well, and what is purged is nowhere."""
    if world.unseen:
        world.suspect_all()
    for name in VERSIONS:
        world.clock.seconds += 86_400 / 2
        world.collect(1)
        world.push(name, 1, chance)
        world.check()
    for raw in TO_PURGE:
        if XXH(raw) in world.purged:
            world.purge_once(raw)
    world.check()
    assert not any(raw in unpacked(world.plain) for raw in TO_PURGE if XXH(raw) in world.purged)
    world.collect_once(repack=True)
    pushes = world.done["push"]
    for name in VERSIONS:
        world.push(name, 2, chance)
    assert world.done["push"] > pushes
    assert world.promised.keys() == OBJECTS.keys()
    world.check()


@pytest.mark.parametrize(
    "chunk",
    [None, *(pytest.param(n, marks=pytest.mark.slow) for n in range(_CHUNKS))],
    ids=["some", *(f"{n + 1} of {_CHUNKS}" for n in range(_CHUNKS))],
)
def test_what_was_promised_is_there_in_every_order(
    tmp_path: Path, seed: int | None, chunk: int | None, record_property: Callable[[str, object], None]
):
    first = 1_000 if seed is None else seed
    numbers = range(first + chunk, first + _SCHEDULES, _CHUNKS) if chunk is not None else range(100)
    if chunk is None and seed is not None:
        numbers = range(seed, seed + 1)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for number in numbers:
        with pytest.MonkeyPatch.context() as patch:
            try:
                world = play(number, tmp_path, patch)
            except Exception as error:  # noqa: BLE001
                failures.append(f"--seed {number}: {error!r}")
                if len(failures) == _ENOUGH:
                    break
                continue
        counts.update(world.done)
        counts.update(
            schedules=1, requests=sum(world.schedule.requests), killed=world.killed, refused=world.refused
        )
    for name, count in sorted(counts.items()):
        record_property(name, count)
    assert not failures, "\n".join(failures)
    assert seed is not None or all(counts.values()), counts


_MANY = 10_000
_STOPS, _KILLS = 30, 40


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_two_gcs_and_a_push_that_is_killed_leave_nothing_that_the_next_push_relies_on(
    tmp_path: Path, stride: int, record_property: Callable[[str, object], None]
):
    """One gc stops at each of its requests, another does all of its work, a push is killed at each of its own."""
    numbers = range(0, _STOPS * _KILLS, stride)
    killed = 0
    for number in numbers:
        stop, kill = divmod(number, _KILLS)
        with pytest.MonkeyPatch.context() as patch:
            world = World(in_turns((0, stop), (1, _MANY), (2, _MANY), (0, _MANY)), tmp_path, patch)
            chance = random.Random(number)
            world.push("a", 1, chance)
            world.clock.seconds += 20 * 86_400
            world.schedule.add(lambda world=world: world.collect(1))
            world.schedule.add(lambda world=world: world.collect(1))
            world.schedule.add(lambda world=world, chance=chance: world.push("a", 2, chance), kill)
            try:
                world.schedule.run(world.check)
                assert not world.schedule.failures, world.schedule.failures
            except AssertionError as error:
                raise AssertionError(f"gc stops after {stop}, push is killed at {kill}: {error}") from error
            killed += world.killed
    record_property("schedules", len(numbers))
    record_property("killed", killed)
    assert killed > len(numbers) / 4
