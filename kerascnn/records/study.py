"""The study's figures beside measured ones, and the verdicts on its statements."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, computed_field

from kerascnn.records import Record
from kerascnn.records.quantity import GAP, OF_RUN, Quantity, class_accuracy
from kerascnn.records.run import SeedSummary


def find_quantity(name: object) -> object:
    """The quantity of a name such as `accuracy` or `class cat`; one that is a quantity stays."""
    known = {quantity.name: quantity for quantity in (*OF_RUN, GAP)}
    if not isinstance(name, str):
        return name
    if name.startswith("class "):
        return class_accuracy(name.removeprefix("class "))
    if name not in known:
        raise ValueError(f"'{name}' is none of {', '.join(known)}, or 'class' and a name")
    return known[name]


# In `--json`, and among the study's claims, a quantity is its name.
NamedQuantity = Annotated[
    Quantity, BeforeValidator(find_quantity), PlainSerializer(lambda quantity: quantity.name)
]


class Verdict(StrEnum):
    """What the runs say about a statement of the study."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNTOLD = "cannot be told apart"
    UNCHECKABLE = "not checkable"
    CONTRADICTED = "the study contradicts itself"

    @property
    def mark(self) -> str:
        """One character for it, the same in tables and on the page."""
        return "✓✗≈?⇄"[list(Verdict).index(self)]


class StudyFigure(Record):
    """One number of the study beside what was measured.

    Attributes:
        quantity: what the number is.
        reported: by the study; None where it says nothing.
        measured: over seeds; None where no run knows it.
    """

    quantity: NamedQuantity
    reported: float | None
    measured: SeedSummary | None


class StudyRow(Record):
    """The figures of one recipe.

    Attributes:
        recipe: its name.
        seeds: those that were run.
        of_run: the figures of a run as a whole, in the order of `quantity.OF_RUN`.
        of_classes: test accuracies of the classes that the study names for the recipe.
    """

    recipe: str
    seeds: tuple[int, ...]
    of_run: tuple[StudyFigure, ...] = Field(exclude=True)
    of_classes: tuple[StudyFigure, ...] = Field(exclude=True)

    @computed_field
    @property
    def figures(self) -> tuple[StudyFigure, ...]:
        """All figures."""
        return self.of_run + self.of_classes


class AuditedReading(Record):
    """A reading of the study that has runs.

    Attributes:
        name, title: see `readings.Reading`.
        num_runs: how many runs it has.
    """

    name: str
    title: str
    num_runs: int


class ReadingFinding(Record):
    """What the runs of one reading say about a statement.

    Attributes:
        verdict: on the statement.
        evidence: why, with the figures.
        reported: the study's number; None where the statement is not about one.
        measured: the number here, the mean over seeds.
        num_runs: how many runs were asked.
    """

    verdict: Verdict
    evidence: str
    reported: int | float | None
    measured: float | None
    num_runs: int


class AuditedClaim(Record):
    """One statement of the study and what the runs say about it.

    Attributes:
        name: such as `sgd-lr0.01/accuracy`.
        text: the statement, in our words.
        where: where it stands in the study.
        recipes: those whose runs it needs.
        verdict: of the default reading.
        evidence: why, and which other readings hold where the default one does not.
        closest: the reading that comes closest to a reported number; None where there is nothing
            to compare.
        readings: a reading's name to what is found by it.
        quantity: what the reported and measured numbers are; None where there are none.
    """

    name: str
    text: str
    where: str
    recipes: tuple[str, ...]
    verdict: Verdict
    evidence: str
    closest: str | None
    readings: dict[str, ReadingFinding]
    quantity: NamedQuantity | None = Field(default=None, exclude=True)


class Audit(Record):
    """What holds of the study.

    Attributes:
        readings: the readings that have runs, the default one first.
        counts: each verdict to the number of statements that have it.
        left_out: a sentence for each run that is damaged or not as its recipe says.
        claims: all statements, in the order of the study.
    """

    readings: tuple[AuditedReading, ...]
    counts: dict[Verdict, int]
    left_out: tuple[str, ...]
    claims: tuple[AuditedClaim, ...]
