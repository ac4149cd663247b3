"""What is seen of long work, with a terminal and without."""

import io

import pytest

from kerascnn.cli import output
from kerascnn.cli.output import SafeConsole, show_progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def seen(monkeypatch, clock, is_terminal, steps):
    """What is printed while so many images are done at those seconds."""
    stream = io.StringIO()
    console = SafeConsole(file=stream, force_terminal=is_terminal, width=100)
    monkeypatch.setattr(output, "err", console)
    with show_progress() as tell:
        for second, done in steps:
            clock[0] = 100.0 + second
            tell("look", done, 12_000)
    return stream.getvalue()


def test_without_a_terminal_a_line_comes_every_half_minute(monkeypatch, clock):
    steps = [(second, 100 * second) for second in range(0, 100, 5)]
    lines = seen(monkeypatch, clock, False, steps).splitlines()
    assert lines == [
        "look: 3,500/12,000 images, 100/s, about 85 seconds left",
        "look: 7,000/12,000 images, 100/s, about 50 seconds left",
    ]


def test_slow_work_that_goes_on_counts_its_own_speed_alone(monkeypatch, clock):
    lines = seen(monkeypatch, clock, False, [(40, 6000), (50, 6015), (75, 6050)]).splitlines()
    assert lines == [
        "look: 6,000/12,000 images",
        "look: 6,050/12,000 images, 1.4/s, about 69 minutes left",
    ]


def test_on_a_terminal_a_bar_comes_after_a_second_and_goes(monkeypatch, clock):
    assert not seen(monkeypatch, clock, True, [(0, 10), (0.9, 90)])
    text = seen(monkeypatch, clock, True, [(0, 0), (2, 2000), (3, 3000)])
    assert "3,000/12,000 images, 1,000/s" in text
    assert text.endswith("\x1b[2K")


def test_each_thing_has_its_bar_and_a_download_counts_mebibytes(monkeypatch, clock):
    stream = io.StringIO()
    monkeypatch.setattr(output, "err", SafeConsole(file=stream, force_terminal=True, width=100))
    with show_progress() as tell:
        for what, total in (("download", 3 << 20), ("write images", 2000)):
            for done in (total // 2, total):
                clock[0] += 2
                tell(what, done, total)
    last = stream.getvalue().rpartition("download")[2]
    assert "3/3 MiB" in last
    assert last.index("write images") < last.index("2,000/2,000 images")
