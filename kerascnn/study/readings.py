"""How the study can be understood where it leaves something open or names two things."""

from __future__ import annotations

from dataclasses import dataclass, field

from kerascnn.errors import SelectionError, did_you_mean
from kerascnn.recipe import Recipe, list_recipes

SGD = ("sgd-lr0.01", "sgd-lr0.01-augmented", "sgd-lr0.1-augmented")


@dataclass(frozen=True)
class Reading:
    """A set of values over the recipes, or another epoch to read off the same runs.

    Attributes:
        name: such as `pool-after-1`.
        title: what is understood, in a few words.
        values: keys of a recipe and what to set them to.
        recipes: names of the recipes that it concerns; empty for all of the study's.
        epoch: which epoch's figures are read off the same runs, from 1, or -1 for the last, or 0
            for the training loss of the best; None for the usual ones. The test images were shown
            to the best epoch alone, so accuracy on the validation images stands in, and there is
            none per class.
    """

    name: str
    title: str
    values: dict[str, object] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()
    epoch: int | None = None

    def concerns(self, recipe_name: str) -> bool:
        """Whether the reading says anything about a recipe."""
        return not self.recipes or recipe_name in self.recipes

    def resolve(self, recipe: Recipe, seed: int | None = None) -> Recipe:
        """A recipe as it is understood here; its name then ends in the reading's.

        Raises:
            RecipeError: if a value does not fit.
        """
        values = dict(self.values)
        if values:
            values["name"] = f"{recipe.name}-{self.name}"
        if seed is not None:
            values["train.seed"] = seed
        return recipe.with_values(values)


DEFAULT = Reading("every-block", "the one pooling layer after each of the three blocks")
READINGS = {
    reading.name: reading
    for reading in (
        DEFAULT,
        Reading("pool-after-1", "pooling once, after block 1", {"model.pool_after": [1]}),
        Reading("pool-after-3", "pooling once, after block 3", {"model.pool_after": [3]}),
        Reading(
            "rate-0.02", "the first rate is 0.02", {"train.learning_rate": 0.02}, recipes=SGD[:1]
        ),
        Reading("momentum-0.9", "SGD with momentum 0.9", {"train.momentum": 0.9}, recipes=SGD),
        Reading("epoch-6", "the model of epoch 6", recipes=SGD[:1], epoch=6),
        Reading("train-at-best", "training losses of the best epoch", epoch=0),
        Reading("last-epoch", "the last epoch instead of the best", epoch=-1),
    )
}


def find_reading(name: str) -> Reading:
    """A reading by its name.

    Raises:
        SelectionError: if there is none of this name.
    """
    if name in READINGS:
        return READINGS[name]
    own = ", ".join(key for key, reading in READINGS.items() if reading.epoch is None)
    nearest = did_you_mean(name, READINGS)
    raise SelectionError(
        f"Reading '{name}' is not known.{nearest} Those with runs of their own are {own}."
    )


def recipes_of(reading: Reading) -> list[str]:
    """Names of the shipped recipes that a reading concerns, in the order of the study's runs."""
    order = [*SGD, "adam-lr0.1", "adam-lr0.001"]
    names = sorted(list_recipes(), key=lambda name: order.index(name) if name in order else 9)
    return [name for name in names if reading.concerns(name)]
