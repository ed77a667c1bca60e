"""Work spread over processes and threads: all of it is done, in bounded memory, and the first error stops the rest."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from datavc import parallel
from datavc.errors import DigestMismatch, OutOfSpace, StorageError
from datavc.parallel import Workers, default_jobs, map_ahead, process_pool, read_ahead, run_batches

HERE = Path(__file__)


def double(number: int) -> int:
    return 2 * number


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise DigestMismatch("seven is damaged", "datavc fsck")
    return number


def die_at_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture(scope="module")
def processes():
    """Two workers for all tests that leave them alive."""
    with Workers(2, preload="datavc.parallel") as workers:
        yield workers.executor(expected_seconds=10)


@pytest.fixture(params=["here", "threads", "processes"])
def executor(request: pytest.FixtureRequest, processes: Executor):
    if request.param == "threads":
        with ThreadPoolExecutor(2) as threads:
            yield threads
    else:
        yield processes if request.param == "processes" else None


def test_every_batch_is_done_once_wherever(executor: Executor | None):
    assert sorted(run_batches(double, range(300), executor)) == [2 * number for number in range(300)]
    assert list(run_batches(double, [], executor)) == []
    assert sorted(run_batches(double, iter(range(10)), executor, ahead=1)) == list(range(0, 20, 2))


def test_an_error_in_a_worker_comes_out_as_it_was_raised(executor: Executor | None):
    with pytest.raises(DigestMismatch, match="seven is damaged") as caught:
        list(run_batches(fail_at_seven, range(100), executor))

    assert caught.value.hint == "datavc fsck"


def test_all_our_errors_come_back_from_workers():
    for error in (OutOfSpace("full", "free some"), StorageError("one word")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.message, copy.hint) == (type(error), error.message, error.hint)


def test_the_first_error_stops_what_was_not_begun():
    done = []
    seen = threading.Event()

    def work(number: int) -> int:
        done.append(number)
        if number == 0:
            raise StorageError("the first")
        seen.wait(60)
        return number

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(StorageError, match="the first"):
            list(run_batches(work, range(50), threads))
        seen.set()

    assert done in ([0], [0, 1])


def test_no_more_batches_are_made_than_may_wait():
    made = taken = 0
    most = 0

    def batches():
        nonlocal made, most
        for number in range(200):
            made += 1
            most = max(most, made - taken)
            yield number

    with ThreadPoolExecutor(2) as threads:
        for _ in run_batches(double, batches(), threads, ahead=8):
            taken += 1

    assert taken == 200
    # Those that wait, and the results of one round.
    assert most <= 16


def test_a_worker_that_dies_is_an_error_that_says_what_to_do():
    started = time.monotonic()
    with (
        pytest.raises(StorageError, match="worker process died") as caught,
        Workers(2, preload="datavc.parallel") as workers,
    ):
        list(run_batches(die_at_seven, range(100), workers.executor(expected_seconds=10)))

    assert "-j 1" in str(caught.value.hint)
    assert time.monotonic() - started < 30


def test_little_work_and_one_job_need_no_processes():
    with Workers(4, preload="datavc.parallel") as workers:
        assert workers.executor(expected_seconds=0.1) is None
    with Workers(1, preload="datavc.parallel") as workers:
        workers.start()
        assert workers.executor(expected_seconds=1000) is None
    with process_pool(1, expected_seconds=1000, preload="datavc.parallel") as pool:
        assert pool is None


def test_processes_that_were_started_ahead_of_time_are_used_whatever_is_expected():
    with Workers(2, preload="datavc.parallel") as workers:
        workers.start()
        workers.start()
        pool = workers.executor(expected_seconds=0)
        assert pool is not None
        assert pool.submit(os.getpid).result() != os.getpid()


def sleep_long(_: int) -> int:
    time.sleep(600)
    return 0


def test_an_interruption_ends_the_workers_at_once():
    pids = []
    started = time.monotonic()

    def interrupted() -> None:
        with Workers(2, preload="datavc.parallel") as workers:
            pool = workers.executor(expected_seconds=10)
            pids.append(pool.submit(os.getpid).result())
            for _ in range(10):
                pool.submit(sleep_long, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert time.monotonic() - started < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


_PARENT = """
    import sys, time
    sys.path.insert(0, {folder!r})
    from test_parallel import sleep_long
    from datavc.parallel import Workers, run_batches
    if __name__ == "__main__":
        with Workers(2, preload="datavc.parallel") as workers:
            pool = workers.executor(expected_seconds=10)
            import os
            print(pool.submit(os.getpid).result(), flush=True)
            for _ in run_batches(sleep_long, range(4), pool):
                pass
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_workers_end_with_their_parent_and_say_nothing(tmp_path: Path, sent: int):
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(_PARENT).format(folder=str(HERE.parent)))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE.parents[1],
        start_new_session=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    # Ctrl-C goes to every process of the terminal.
    os.killpg(parent.pid, sent) if sent == signal.SIGINT else os.kill(parent.pid, sent)
    _, said = parent.communicate(timeout=60)

    assert parent.returncode != 0
    # The parent may say that it was interrupted; the workers have nothing to add.
    assert said.count("KeyboardInterrupt") == (sent == signal.SIGINT)
    deadline = time.monotonic() + 30
    while _is_alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # What nobody has asked about is a zombie, and dead.
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_results_come_in_the_order_of_the_items():
    first = threading.Event()

    def work(number: int) -> int:
        if number:
            first.set()
        else:
            first.wait(10)
        return number

    with ThreadPoolExecutor(4) as threads:
        assert list(map_ahead(work, range(50), threads, 4)) == list(range(50))


def test_no_more_items_are_taken_than_may_be_ahead():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as threads:
        results = map_ahead(double, items(), threads, 5)
        for number in range(10):
            assert next(results) == 2 * number
            assert len(taken) <= number + 5
        results.close()
        assert len(taken) <= 14


def test_an_error_comes_in_its_turn_and_stops_what_was_not_begun():
    with ThreadPoolExecutor(1) as threads:
        results = map_ahead(fail_at_seven, range(100), threads, 3)
        assert [next(results) for _ in range(7)] == list(range(7))
        with pytest.raises(DigestMismatch):
            next(results)
        with pytest.raises(StopIteration):
            next(results)


@pytest.mark.parametrize("ahead", [1, 2, 7, 100])
def test_what_is_read_ahead_comes_in_order_and_is_bounded(ahead: int):
    made = 0
    lock = threading.Lock()

    def items():
        nonlocal made
        for number in range(50):
            with lock:
                made += 1
            yield number

    seen = []
    for item in read_ahead(items(), ahead):
        with lock:
            assert made <= len(seen) + 1 + ahead
        seen.append(item)

    assert seen == list(range(50))
    assert list(read_ahead(iter([]), ahead)) == []


def test_what_is_read_ahead_is_made_in_one_other_thread():
    def items():
        for _ in range(20):
            yield threading.get_ident()

    (thread,) = set(read_ahead(items(), 4))
    assert thread != threading.get_ident()


def test_an_error_while_reading_ahead_comes_after_what_was_read_before_it():
    def items():
        yield 1
        yield 2
        raise OutOfSpace("the source is broken")

    results = read_ahead(items(), 5)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(OutOfSpace):
        next(results)


@pytest.mark.parametrize(
    "end",
    [lambda results: results.close(), lambda results: results.throw(KeyboardInterrupt)],
    ids=["closed", "interrupted"],
)
def test_who_stops_reading_stops_the_thread(end):
    made = []

    def items():
        for number in range(10**9):
            made.append(number)
            yield number

    before = threading.active_count()
    results = read_ahead(items(), 4)
    next(results)
    try:
        end(results)
    except KeyboardInterrupt:
        pass

    assert threading.active_count() == before
    assert len(made) <= 7


def test_jobs_are_the_processors_of_this_process_but_no_more_than_sixteen(monkeypatch: pytest.MonkeyPatch):
    assert 1 <= default_jobs() <= 16
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(99)))
        assert default_jobs() == 16
        monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_jobs() == 1


def test_on_a_mac_workers_are_spawned(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parallel.sys, "platform", "darwin")
    with Workers(2, preload="datavc.parallel") as workers:
        pool = workers.executor(expected_seconds=10)
        assert pool._mp_context.get_start_method() == "spawn"
