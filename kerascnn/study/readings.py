"""How the study can be understood where it leaves something open or names two things."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from kerascnn.errors import SelectionError, did_you_mean
from kerascnn.recipe import Recipe, load_recipe

SGD = ("sgd-lr0.01", "sgd-lr0.01-augmented", "sgd-lr0.1-augmented")
# In the order of the study.
RECIPES = (*SGD, "adam-lr0.1", "adam-lr0.001")


class OtherEpoch(Enum):
    """An epoch that every run has, and whose figures are read off."""

    LAST = auto()
    TRAINING_LOSS_OF_BEST = auto()


@dataclass(frozen=True)
class Reading:
    """A set of values over the recipes, or another epoch to read off the same runs.

    Attributes:
        name: such as `pool-after-1`.
        values: keys of a recipe and what to set them to.
        recipes: names of the recipes that it concerns; empty for all of the study's.
        epoch: which other epoch's figures are read off the same runs, a number counting from 1;
            None for the usual ones. Only the model of the best epoch saw the test images, so
            accuracy on the validation images stands in, and there is none per class.
    """

    name: str
    title: str
    values: dict[str, object] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()
    epoch: int | OtherEpoch | None = None

    @property
    def has_own_runs(self) -> bool:
        """Whether it asks for runs, rather than for another epoch of those of other readings."""
        return self.epoch is None

    def concerns(self, recipe_name: str) -> bool:
        return not self.recipes or recipe_name in self.recipes

    def resolve(self, recipe: Recipe, seed: int | None = None) -> Recipe:
        """A recipe as it is understood here; its name then ends in the reading's.

        Raises:
            RecipeError: if a value does not fit.
        """
        named = {"name": f"{recipe.name}-{self.name}"} if self.values else {}
        seeded = {} if seed is None else {"train.seed": seed}
        return recipe.with_values(self.values | named | seeded)


DEFAULT = Reading("every-block", "the one pooling layer after each of the three blocks")
READINGS = {
    reading.name: reading
    for reading in (
        DEFAULT,
        Reading("pool-after-1", "pooling once, after block 1", {"model.pool_after": [1]}),
        Reading("pool-after-3", "pooling once, after block 3", {"model.pool_after": [3]}),
        Reading("rate-0.02", "the first rate is 0.02", {"train.learning_rate": 0.02}, SGD[:1]),
        Reading("momentum-0.9", "SGD with momentum 0.9", {"train.momentum": 0.9}, SGD),
        Reading("epoch-6", "the model of epoch 6", recipes=SGD[:1], epoch=6),
        Reading(
            "train-at-best",
            "training losses of the best epoch",
            epoch=OtherEpoch.TRAINING_LOSS_OF_BEST,
        ),
        Reading("last-epoch", "the last epoch instead of the best", epoch=OtherEpoch.LAST),
    )
}


def find_reading(name: str) -> Reading:
    """A reading by its name, to make its runs.

    Raises:
        SelectionError: if there is none of this name, or it has no runs of its own.
    """
    if name not in READINGS:
        nearest = did_you_mean(name, READINGS)
        raise SelectionError(
            f"Reading '{name}' is not known.{nearest} Those with runs of their own are "
            f"{', '.join(names_with_runs())}."
        )
    if not READINGS[name].has_own_runs:
        raise SelectionError(
            f"Reading '{name}' has no runs of its own: `kerascnn audit` reads it off other runs."
        )
    return READINGS[name]


def names_with_runs() -> list[str]:
    """Names of the readings that have runs of their own."""
    return [name for name, reading in READINGS.items() if reading.has_own_runs]


def recipes_of(reading: Reading) -> list[str]:
    """Names of the study's recipes that a reading concerns, in the order of its runs."""
    return [name for name in RECIPES if reading.concerns(name)]


def choose_recipes(
    names: Sequence[str], reading: Reading, values: dict[str, object]
) -> list[Recipe]:
    """Recipes to run as a reading understands them, with some values set in all of them.

    Args:
        names: of recipes; empty for all that the reading concerns.
        values: keys of a recipe and what to set them to, see `Recipe.with_values`.

    Raises:
        RecipeError: if there is no such recipe, or a value does not fit.
        SelectionError: if the reading sets one of the keys, too, or does not concern a recipe.
    """
    if both := sorted(values.keys() & reading.values.keys()):
        raise SelectionError(
            f"Reading '{reading.name}' sets {both[0]}. Drop --set, or choose another --reading."
        )
    recipes = [load_recipe(name) for name in names or recipes_of(reading)]
    for recipe in recipes:
        if not reading.concerns(recipe.name):
            raise SelectionError(f"Reading '{reading.name}' says nothing about {recipe.name}.")
    return [recipe.with_values(values) for recipe in recipes]
