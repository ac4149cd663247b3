"""Numbers of a long look on disk: whatever stops it, it goes on to the same numbers."""

import os
import resource
import shutil
import sys

import numpy as np
import pytest

from kerascnn.look import ledger as ledgers
from kerascnn.look.ledger import Ledger
from kerascnn.look.scores import SCORES

TOTAL, SIZE, WIDTH = 40, 4, 5
OPENED = []
VALUES = np.random.default_rng(0).normal(size=(3, TOTAL, WIDTH)).astype("float32")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of one's own, into which every batch is written at once."""
    monkeypatch.setenv("KERASCNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(ledgers, "FLUSH_SECONDS", -1)
    yield tmp_path / "cache"
    while OPENED:
        OPENED.pop().close(keep=True)


def opened(key):
    OPENED.append(Ledger(key))
    return OPENED[-1]


def measure(ledger, until=TOTAL):
    """Add batches; the second picture of each cannot be read."""
    ledger.batch_size = SIZE
    while ledger.next < until:
        first = ledger.next
        rows = [first, *range(first + 2, first + SIZE)]
        ledger.add(tuple(VALUES[:, rows]), {first + 1: f"no {first + 1}"}, first + SIZE)
    if until == TOTAL:
        ledger.finish()


def assert_whole(ledger):
    readable = [index for index in range(TOTAL) if index % SIZE != 1]
    assert (ledger.next, list(ledger.problems)) == (TOTAL, list(range(1, TOTAL, SIZE)))
    for name, expected in zip(SCORES, VALUES[:, readable], strict=True):
        np.testing.assert_array_equal(ledger.read()[name], expected)


def make(key="key", until=TOTAL, keep=True):
    ledger = opened(key)
    measure(ledger, until)
    ledger.close(keep)
    return ledger


def looks(cache):
    return [path for path in (cache / "looks").glob("*") if path.is_dir()]


def test_what_was_measured_is_there_for_another_process(cache):
    make()
    ledger = opened("key")
    assert ledger.is_finished
    assert_whole(ledger)
    assert not opened("other key").next


def test_a_short_look_leaves_nothing(cache, monkeypatch):
    monkeypatch.setattr(ledgers, "FLUSH_SECONDS", 5)
    ledger = opened("key")
    measure(ledger)
    assert_whole(ledger)
    ledger.close(keep=True)
    assert not cache.exists()


def test_what_is_not_to_be_kept_is_removed_with_its_lock(cache):
    make(keep=False)
    assert os.listdir(cache / "looks") == ["lock"]


def test_it_goes_on_with_the_same_batches():
    make(until=12)
    ledger = opened("key")
    assert (ledger.next, ledger.kept, ledger.batch_size) == (12, 12, SIZE)
    measure(ledger)
    assert_whole(ledger)


def at_line(number, action):
    """Call something at the so-many-th line of the ledger's code that runs from now on."""
    left = number

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename != ledgers.__file__:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                action()
        return trace

    sys.settrace(trace)


def interrupt():
    raise KeyboardInterrupt


# A file is not closed when the interruption comes between its opening and the next line.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("start", range(0, 21, 4))
def test_interrupted_at_any_line_it_goes_on(start):
    stopped = True
    for number in range(1 + start, 10**6, 21):
        ledger = opened(f"key {number}")
        at_line(number, interrupt)
        try:
            measure(ledger, 8)
            stopped = False
        except KeyboardInterrupt:
            ledger.flush()
        finally:
            sys.settrace(None)
            ledger.close(keep=True)
        again = opened(f"key {number}")
        assert again.next == ledger.kept
        measure(again)
        assert_whole(again)
        again.close(keep=False)
        if not stopped:
            break


def test_killed_at_any_line_it_goes_on():
    killed, number = True, 0
    while killed:
        number += 7
        if not (child := os.fork()):
            at_line(number, lambda: os._exit(9))
            make(f"key {number}", until=8)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        ledger = opened(f"key {number}")
        measure(ledger)
        assert_whole(ledger)
        ledger.close(keep=False)
    assert number > 100


def damage(path, how):
    content = path.read_bytes()
    if how == "removed":
        path.unlink()
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[:-1])
    else:
        place = len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


@pytest.mark.parametrize("name", ["state.json", *SCORES])
@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "changed"])
@pytest.mark.parametrize("until", [12, TOTAL])
def test_what_is_damaged_is_measured_again(cache, name, how, until):
    make(until=until)
    damage(looks(cache)[0] / name, how)
    ledger = opened("key")
    assert not ledger.next
    measure(ledger)
    assert_whole(ledger)
    ledger.close(keep=True)
    assert_whole(opened("key"))


def test_what_another_process_has_mapped_is_not_changed(cache):
    make()
    mapped = opened("key").read()
    before = {name: np.array(rows) for name, rows in mapped.items()}
    (looks(cache)[0] / "state.json").unlink()
    make(until=12)
    shutil.rmtree(cache)
    for name, rows in mapped.items():
        np.testing.assert_array_equal(rows, before[name])


@pytest.mark.parametrize("most_bytes", [0, 50, 100, 200, 260])
def test_on_a_full_disk_it_stays_in_memory_and_is_written_later(cache, most_bytes):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ledger = opened("key")
    measure(ledger, 4)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limit[1]))
    try:
        measure(ledger, 24)
        assert ledger.kept < 24
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    if most_bytes == 100:  # and the process ends there
        ledger.close(keep=True)
        ledger = opened("key")
    measure(ledger)
    assert_whole(ledger)
    assert ledger.kept == TOTAL
    ledger.close(keep=True)
    assert_whole(opened("key"))


def test_where_nothing_can_be_written_it_stays_in_memory(cache):
    cache.write_text("no directory")
    ledger = opened("key")
    measure(ledger)
    assert not ledger.kept
    assert_whole(ledger)
    ledger.close(keep=True)


def test_two_at_once_measure_the_same():
    first = opened("key")
    measure(first, 8)
    second = opened("key")
    measure(second, 12)
    measure(first)
    assert_whole(first)
    first.close(keep=True)
    measure(second)
    assert_whole(second)
    second.close(keep=True)
    assert_whole(opened("key"))


def test_a_finished_one_is_read_while_others_read_it():
    make()
    first, second = opened("key"), opened("key")
    assert_whole(first)
    assert_whole(second)


def test_the_oldest_are_removed_but_for_those_in_use(cache, monkeypatch):
    monkeypatch.setattr(ledgers, "MOST_OTHERS", 3)
    used = opened("used")
    measure(used, 8)
    for number in range(8):
        make(f"key {number}")
    assert len(looks(cache)) <= 5
    assert opened("key 7").is_finished
    assert not opened("key 0").next
    measure(used)
    assert_whole(used)
    assert len(list((cache / "looks").iterdir())) == len(looks(cache)) + 1


def test_looks_of_many_bytes_are_removed_sooner(cache, monkeypatch):
    make("key 0")
    size = sum(file.stat().st_size for file in looks(cache)[0].iterdir())
    monkeypatch.setattr(ledgers, "MOST_BYTES", 2.5 * size)
    for number in range(1, 6):
        make(f"key {number}")
    assert len(looks(cache)) == 3
