"""All statements of the study, read from `claims.toml`.

The numbers that the recipes hold as reported become claims by themselves.
"""

import inspect
import tomllib
from collections.abc import Iterator
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from kerascnn.errors import KerascnnError, did_you_mean
from kerascnn.recipe import Figure, load_recipe
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    TRAIN_LOSS,
    Quantity,
    Unit,
    class_accuracy,
    percent,
)
from kerascnn.study.evidence import Evidence
from kerascnn.study.finding import Finding
from kerascnn.study.kinds import CHECKS, QUANTITIES

TEXTS = {
    BEST_VAL_LOSS: "The best validation loss of {} is {}.",
    BEST_EPOCH: "The best epoch of {} is epoch {}.",
    TRAIN_LOSS: "The training loss of {} is {}.",
    ACCURACY: "The test accuracy of {} is {}.",
}


class Claim(BaseModel):
    """One statement of the study; a claim that was read has the keys of its kind besides.

    Attributes:
        name: such as `sgd-lr0.01/accuracy`.
        text: the statement, in our words.
        where: where it stands; both places of a contradiction.
        kind: how it is decided, see `kinds`.
        recipes: names of those whose runs it needs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str
    where: str
    kind: str
    recipes: tuple[str, ...] = ()

    @property
    def compared(self) -> Quantity | None:
        """What the numbers are that are set side by side; None where there are none."""
        return getattr(self, "quantity", QUANTITIES.get(self.kind))

    def find(self, evidence: Evidence) -> Finding:
        own = {key: value for key, value in self if key not in Claim.model_fields}
        return CHECKS[self.kind](evidence, *self.recipes, **own)


def all_claims() -> list[Claim]:
    """All statements, in the order of the study."""
    return read_claims(files("kerascnn.study").joinpath("claims.toml").read_text("utf-8"))


def read_claims(text: str) -> list[Claim]:
    """The statements that a text such as that of `claims.toml` holds.

    Raises:
        KerascnnError: if one is not as its kind asks for; the message names the claim and the key.
    """
    claims = []
    for name, table in tomllib.loads(text).items():
        stands_for_numbers = table.keys() == {"title"}
        claims += _numbers(name, table["title"]) if stands_for_numbers else [_claim(name, table)]
    return claims


def _claim(name: str, table: dict[str, object]) -> Claim:
    kind = str(table.get("kind"))
    if kind not in CHECKS:
        nearest = did_you_mean(kind, CHECKS)
        raise KerascnnError(f"Claim '{name}': there is no kind '{kind}'.{nearest}")
    try:
        return _record_of(kind)(**{"name": name, **table})
    except ValidationError as error:
        problem = error.errors()[0]
        key, message = ".".join(map(str, problem["loc"])), problem["msg"]
        message = message.removeprefix("Value error, ")
        raise KerascnnError(f"Claim '{name}', key '{key}': {message}.") from None


def _record_of(kind: str) -> type[Claim]:
    """A claim with the keys that its check asks for, and as many recipes."""
    first, *others = inspect.signature(CHECKS[kind], eval_str=True).parameters.values()
    num_recipes = sum(each.kind is first.kind for each in others)
    own = {
        each.name: (each.annotation, ... if each.default is each.empty else each.default)
        for each in others[num_recipes:]
    }
    recipes = (tuple[(str,) * num_recipes], ... if num_recipes else ())
    return create_model(kind, __base__=Claim, recipes=recipes, **own)


def _numbers(recipe: str, title: str) -> Iterator[Claim]:
    """What a recipe holds as reported."""
    reported = load_recipe(recipe).reported
    for quantity, text in TEXTS.items():
        if figure := getattr(reported, quantity.name):
            is_share = quantity.unit is Unit.SHARE
            value = percent(figure.value, 0) if is_share else f"{figure.value:g}"
            yield _number(recipe, quantity.name, quantity, text.format(title, value), figure)
    for name, figure in reported.per_class.items():
        if 0 < figure.value < 1:  # a collapsed network's are a statement of their own
            text = f"{name.capitalize()} has test accuracy {percent(figure.value, 0)} in {title}."
            yield _number(recipe, name, class_accuracy(name), text, figure)


def _number(recipe: str, name: str, quantity: Quantity, text: str, figure: Figure) -> Claim:
    is_epoch = quantity == BEST_EPOCH
    of_kind = {"kind": "best_epoch"} if is_epoch else {"kind": "number", "quantity": quantity}
    table = {"text": text, "where": figure.where, "recipes": [recipe], "reported": figure.value}
    return _claim(f"{recipe}/{name}", table | of_kind)
