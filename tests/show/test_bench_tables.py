"""The tables of the bench, read as text."""

import pytest
from rich.console import Console

from kerascnn.records.bench import Bench, Floor, Peer, Prediction, Profile, Ratios, Spread
from kerascnn.show import bench_tables as tables


def show(table):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def spread(median):
    return Spread(median=median, low=median / 2, high=median * 2)


def make_bench(quick, share=0.0):
    peer = Peer(
        name="kerascnn", what="[bold]ours", epoch_seconds=30.0, epoch_seconds_low=29.0,
        epoch_seconds_high=31.5, step_ms=13.0, step_ms_low=12.0, step_ms_high=14.0,
        images_second=1538.0, validation_seconds=2.0, checkpoint_seconds=0.5, peak_mb=1200,
        denormal_share=share,
    )  # fmt: skip
    return Bench(
        quick=quick, backend="torch", device="cpu", threads=2, recipe="adam-lr0.001",
        dataset="shapes", batch_size=20, training_images=40_000, validation_images=10_000,
        steps=60 if quick else 2_000, rounds=3,
        floor=Floor(mflop_image=66.0, gflop_second=130.0, step_ms=10.0),
        peers=[peer],
        ratios=Ratios(
            vs_pytorch=spread(0.5), vs_expert=spread(0.75), vs_keras=spread(0.25),
            vs_floor=spread(1.5), memory_vs_pytorch=1.25,
            last_to_first_steps=None if quick else spread(1.125),
        ),
        prediction=Prediction(seconds=1.5, bare_seconds=1.2, vs_bare=spread(1.25)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("quick", "said"),
    [
        (False, "A whole epoch, 40,000 images trained on and 10,000 validated, with augmentation"),
        (True, "Quick: extrapolated from 60 steps a turn, not what an epoch takes."),
    ],
)
def test_the_title_says_what_an_epoch_is(quick, said):
    text = show(tables.table_bench(make_bench(quick)))
    assert " ".join(text.split()).startswith(said)
    assert ("extrapolated s an epoch" in text) == quick
    row = next(line for line in text.splitlines() if "[bold]ours" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["[bold]ours", "30.0", "29.0 – 31.5", "13.0", "1,200"]


def test_ratios_have_their_row_and_what_was_not_measured_has_none():
    text = show(tables.table_ratios(make_bench(quick=False)))
    assert "│ last hundred steps of an epoch, to its first   │   1.12 │ 0.56 │ 2.25 │" in text
    assert "│ memory, to the plain PyTorch script            │   1.25 │      │      │" in text
    assert "Denormal among Adam's first moments at the end: 0.0 %." in text
    text = show(tables.table_ratios(make_bench(quick=True, share=None)))
    assert "last hundred" not in text
    assert "Denormal" not in text


def test_a_profile_has_a_row_for_each_kind_of_work():
    text = show(tables.table_profile(Profile.of(100, 8.0, {"convolutions": 6.0})))
    assert "100 steps profiled" in text
    assert "│ convolutions                      │      6.00 │ 75.0 % │" in text
    assert "│ loss, Keras and Python (the rest) │      2.00 │ 25.0 % │" in text
