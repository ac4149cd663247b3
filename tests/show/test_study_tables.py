"""Tables of the study are read as text: reported beside measured, verdicts, readings."""

import io

from rich.console import Console

from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    TRAIN_LOSS,
    Quantity,
    Unit,
    class_accuracy,
)
from kerascnn.records.run import SeedSummary
from kerascnn.records.study import (
    Audit,
    AuditedClaim,
    AuditedReading,
    ReadingFinding,
    StudyFigure,
    StudyRow,
    Verdict,
)
from kerascnn.show.study_tables import (
    describe_counts,
    table_audit,
    table_study,
    table_study_classes,
    tables_readings,
)


def render(table, width=200):
    """The text of a table, as a terminal of this width would show it."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def make_figure(quantity, reported, *values):
    names = ("mean", "sd", "low", "high", "num_seeds")
    measured = SeedSummary(**dict(zip(names, values, strict=True))) if values else None
    return StudyFigure(quantity=quantity, reported=reported, measured=measured)


STUDY = [
    StudyRow(
        recipe="sgd-lr0.01",
        seeds=[0, 1],
        of_run=[
            make_figure(BEST_VAL_LOSS, 0.678, 0.58, 0.01, 0.57, 0.59, 2),
            make_figure(BEST_EPOCH, 6, 19.5, 0.5, 19, 20, 2),
            make_figure(TRAIN_LOSS, None),
            make_figure(ACCURACY, 0.76, 0.8, 0.002, 0.79, 0.81, 2),
        ],
        of_classes=[make_figure(class_accuracy("cat"), 0.68, 0.6, None, 0.6, 0.6, 1)],
    )
]


def make_claim(name, quantity=None, closest=None, **readings):
    """A claim; `readings` are verdict, reported and measured of each, `_` in its name for `-`."""
    found = {
        reading.replace("_", "-"): ReadingFinding(
            verdict=verdict, evidence="It is so.", reported=reported, measured=number, num_runs=1
        )
        for reading, (verdict, reported, number) in readings.items()
    }
    default = next(iter(found.values()))
    return AuditedClaim(
        name=name,
        text="The loss [bold]is[/bold] 0.678.",
        where="Somewhere",
        recipes=["sgd-lr0.01"],
        verdict=default.verdict,
        evidence=default.evidence,
        closest=closest,
        readings=found,
        quantity=quantity,
    )


def make_audit(*claims, readings=("every-block", "pool-after-1")):
    return Audit(
        readings=[AuditedReading(name=name, title=name, num_runs=1) for name in readings],
        counts=dict.fromkeys(Verdict, 1),
        left_out=[],
        claims=claims,
    )


LOSS = make_claim(
    "sgd-lr0.01/best_val_loss",
    BEST_VAL_LOSS,
    "pool-after-1",
    every_block=(Verdict.FAILS, 0.678, 0.584),
    pool_after_1=(Verdict.HOLDS, 0.678, 0.68),
)
CURVE = make_claim("sgd-lr0.01/overfitting", every_block=(Verdict.HOLDS, None, None))


def readings_of(*claims):
    return "".join(map(render, tables_readings(make_audit(*claims), 100)))


def test_study_gives_mean_deviation_range_and_what_was_reported():
    text = render(table_study(STUDY))
    for part in ("0.580 ± 0.010", "0.570 – 0.590", "(0.678)", "19.5 ± 0.5", "19 – 20", "(6)"):
        assert part in text
    for part in ("80.0 % ± 0.2", "79.0 – 81.0 %", "(76.0 %)", "–", "0, 1"):
        assert part in text
    assert "60.0 %" not in text  # that is of a class


def test_study_gives_the_classes_that_were_named():
    assert "cat 60.0 % (68 %)" in render(table_study_classes(STUDY))


def test_study_without_named_classes_has_no_table_of_them():
    assert table_study_classes([STUDY[0].model_copy(update={"of_classes": ()})]) is None


def test_figures_of_the_run_and_of_classes_are_one_list_in_json():
    (row,) = (row.model_dump(mode="json") for row in STUDY)
    assert list(row) == ["recipe", "seeds", "figures"]
    assert [figure["quantity"] for figure in row["figures"]] == [
        "best_val_loss", "best_epoch", "train_loss", "accuracy", "class cat",
    ]  # fmt: skip


def test_audit_gives_claim_place_verdict_and_evidence_as_they_are():
    text = render(table_audit([LOSS], "Statements"))
    for part in ("[bold]is[/bold]", "Somewhere", "does not hold", "It is so."):
        assert part in text


def test_readings_stand_in_columns_and_the_closest_is_marked():
    text = readings_of(LOSS, CURVE)
    assert "0.584 ✗" in text
    assert "■ 0.680 ✓" in text
    assert "overfitting" not in text


def test_number_is_written_by_what_it_is_not_by_its_size():
    found = (Verdict.FAILS, 6, 1)
    epoch = make_claim("a/best_epoch", BEST_EPOCH, every_block=found, pool_after_1=found)
    assert "1 ✗" in readings_of(epoch)
    assert "%" not in readings_of(epoch)
    gain = Quantity("gain", Unit.SHARE_DIFFERENCE)
    found = (Verdict.UNTOLD, 0.04, -0.013)
    text = readings_of(make_claim("a/gain", gain, every_block=found, pool_after_1=found))
    assert "+4.0 points" in text
    assert "-1.3 points ~" in text


def test_readings_of_a_narrow_terminal_go_into_several_tables_and_no_number_is_cut():
    names = ("every-block", "pool-after-1", "pool-after-3", "momentum-0.9", "train-at-best")
    found = dict.fromkeys((name.replace("-", "_") for name in names), (Verdict.FAILS, 0.04, 0.013))
    for quantity, number in (
        (BEST_VAL_LOSS, "0.013 ✗"),
        (Quantity("gain", Unit.SHARE_DIFFERENCE), "+1.3 points ✗"),
    ):
        name = f"sgd-lr0.01-augmented/{quantity.name}"
        claim = make_claim(name, quantity, "pool-after-3", **found)
        audited = make_audit(claim, readings=names)
        for width in (60, 80, 120):
            text = "".join(render(table, width) for table in tables_readings(audited, width))
            assert "…" not in text
            assert text.count(number) == len(names)
            assert all(name in text for name in names)


def test_claims_of_no_reported_number_make_no_table_of_readings():
    assert tables_readings(make_audit(CURVE), 100) == []


def test_counts_are_a_sentence():
    counts = dict(zip(Verdict, (14, 19, 29, 10, 5), strict=True))
    assert describe_counts(counts) == (
        "Of 77 statements of the study: 14 hold, 19 do not, 29 cannot be told apart from chance, "
        "10 cannot be checked, in 5 the study contradicts itself."
    )
