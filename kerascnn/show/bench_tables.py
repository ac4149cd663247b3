"""What the bench measured, as rich tables."""

from rich.table import Table

from kerascnn.records.bench import Bench, Profile, Spread
from kerascnn.records.quantity import percent
from kerascnn.show.words import add_numbers, build_table, cell, counted


def table_bench(bench: Bench) -> Table:
    """A row for each program that was timed."""
    table = build_table(
        f"{bench.note} {bench.recipe} on {bench.dataset}, batch size {bench.batch_size}, "
        f"{bench.backend} on {bench.device}, {counted(bench.threads, 'thread')}, "
        f"{counted(bench.rounds, 'round')}."
    )
    table.add_column("")
    epoch = "extrapolated s an epoch" if bench.quick else "s an epoch"
    add_numbers(table, epoch, "low – high", "ms a step", "peak MB")
    for peer in bench.peers:
        low, high = peer.epoch_seconds_low, peer.epoch_seconds_high
        table.add_row(
            cell(peer.what),
            f"{peer.epoch_seconds:.1f}",
            f"{low:.1f} – {high:.1f}",
            f"{peer.step_ms:.1f}",
            f"{peer.peak_mb:,}",
        )
    return table


def table_ratios(bench: Bench) -> Table:
    """A row for each ratio of kerascnn to something."""
    ratios, prediction = bench.ratios, bench.prediction
    is_torch = bench.backend == "torch"
    bare = "the bare forward of the network" if is_torch else "Keras's predict_on_batch"
    rows: list[tuple[str, Spread | None]] = [
        ("epoch, to the plain PyTorch script", ratios.vs_pytorch),
        ("epoch, to PyTorch by an expert", ratios.vs_expert),
        ("epoch, to stock Keras", ratios.vs_keras),
        ("training step, to its arithmetic alone", ratios.vs_floor),
        ("last hundred steps of an epoch, to its first", ratios.last_to_first_steps),
        (f"predicting, to {bare}", prediction.vs_bare),
    ]
    table = build_table("kerascnn in proportion", _caption(bench))
    table.add_column("")
    add_numbers(table, "median", "low", "high")
    for name, ratio in rows:
        if ratio is not None:
            numbers = (ratio.median, ratio.low, ratio.high)
            table.add_row(name, *(f"{number:.2f}" for number in numbers))
    table.add_row("memory, to the plain PyTorch script", f"{ratios.memory_vs_pytorch:.2f}", "", "")
    return table


def table_profile(profile: Profile) -> Table:
    """A row for each kind of work in a training step."""
    table = build_table(f"Where a training step of kerascnn goes, {profile.steps} steps profiled")
    table.add_column("")
    add_numbers(table, "ms a step", "share")
    for kind in profile.kinds:
        table.add_row(kind.name, f"{kind.ms:.2f}", percent(kind.share))
    table.add_section()
    table.add_row("a step that is not profiled", f"{profile.step_ms:.2f}", "")
    return table


def _caption(bench: Bench) -> str:
    floor, prediction, ours = bench.floor, bench.prediction, bench.peers[-1]
    lines = [
        f"Arithmetic: {floor.mflop_image:.0f} MFLOP an image at {floor.gflop_second:.0f} GFLOP/s "
        f"of float32 matrix product, {floor.step_ms:.1f} ms a step.",
        f"Predicting 10,000 images: {prediction.seconds:.2f} s, the network alone "
        f"{prediction.bare_seconds:.2f} s.",
    ]
    if ours.denormal_share is not None:
        share = percent(ours.denormal_share)
        lines.append(f"Denormal among Adam's first moments at the end: {share}.")
    return "\n".join(lines)
