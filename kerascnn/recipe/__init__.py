"""A recipe says everything a training run needs to know, and what the study reported for it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from kerascnn.errors import RecipeError, SelectionError, did_you_mean
from kerascnn.names import list_recipes, recipes_directory
from kerascnn.recipe.errors_in_words import explain, written
from kerascnn.recipe.toml import parse_toml
from kerascnn.regular_files import RECIPE_BYTES, read_regular
from kerascnn.zips import quote

Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(ge=0, lt=1)]
Text = Annotated[str, Field(max_length=1000)]

# The sections that say how to train.
TRAINING = ("data", "augmentation", "model", "train")
# The comment that a run's recipe begins with; a line that tells of the seed.
_HEADER = re.compile(r"\A#[ -~]*\n")
_SEED_LINE = re.compile(r"^seed = (0|[1-9][0-9]{0,8})$", re.MULTILINE)
# Recipes that version 0.1 shipped, and what to give for each today.
REPLACED = {
    "sgd-lr0.02": "`kerascnn run sgd-lr0.01 --set train.learning_rate=0.02` trains the same, and "
    "`kerascnn reproduce sgd-lr0.01 --reading rate-0.02` does so with several seeds"
}


class Section(BaseModel):
    """Base of all parts of a recipe: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Data(Section):
    """Which labelled images to use.

    Attributes:
        dataset: name of a data set, `cifar10` or `shapes`, or a folder of classes.
        validation_fraction: share of the training images, drawn from the seed, that validate.
    """

    dataset: Annotated[str, Field(min_length=1, max_length=4096)]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]


class Augmentation(Section):
    """Random changes to training images, with torchvision's meaning; 0 turns one off.

    Attributes:
        horizontal_flip: probability that an image is mirrored.
        crop_padding: pixels of black padding on each side before a window is cropped.
        brightness: the factor is drawn from [1 - brightness, 1 + brightness].
        contrast: the same for contrast.
        saturation: the same for saturation.
    """

    horizontal_flip: Fraction
    crop_padding: Annotated[int, Field(ge=0, le=512)]
    brightness: Fraction
    contrast: Fraction
    saturation: Fraction


class Model(Section):
    """The architecture: a block of convolution, batch normalization and ReLU per entry of filters.

    Attributes:
        filters: filters of each convolution.
        kernel_size: height and width of each kernel, in pixels.
        pool_after: the blocks, counted from 1, after which the one 2x2 max pooling is applied.
        units: hidden units of the first fully connected layer.
        dropout: share of units that both dropout layers switch off in training.
    """

    filters: Annotated[tuple[Annotated[int, Field(gt=0, le=4096)], ...], Field(min_length=1)]
    kernel_size: Annotated[int, Field(gt=0, le=31)]
    pool_after: tuple[int, ...]
    units: Annotated[int, Field(gt=0, le=65536)]
    dropout: OpenFraction

    @field_validator("filters", "pool_after", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("pool_after")
    @classmethod
    def _blocks_exist(cls, pool_after: tuple[int, ...], info) -> tuple[int, ...]:
        blocks = len(info.data.get("filters", ()))
        ascending = list(pool_after) == sorted(set(pool_after))
        if not ascending or any(block < 1 or block > blocks for block in pool_after):
            raise ValueError(f"must list blocks from 1 to {blocks}, ascending, each once")
        return pool_after


class Train(Section):
    """How to train.

    Attributes:
        optimizer: `sgd` or `adam`.
        learning_rate: constant over the run.
        momentum: of SGD; must be 0 for Adam.
        epochs: passes over the training images.
        batch_size: images per update.
        seed: draws split, initial weights, order of images, augmentation and dropout.
        precision: of the numbers that layers compute with, as Keras's dtype policy of that name;
            weights are kept in float32 in any case, and logits are computed in it.
    """

    optimizer: Literal["sgd", "adam"]
    learning_rate: Annotated[float, Field(gt=0, le=1000)]
    momentum: OpenFraction
    epochs: Annotated[int, Field(gt=0, le=1_000_000)]
    batch_size: Annotated[int, Field(gt=0, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"

    @field_validator("momentum")
    @classmethod
    def _momentum_is_sgd(cls, momentum: float, info) -> float:
        if momentum and info.data.get("optimizer") == "adam":
            raise ValueError("must be 0 for adam, whose momentum is its beta_1 of 0.9")
        return momentum


class Figure(Section):
    """One reported number and the place in the study where it stands."""

    value: Annotated[float, Field(ge=0)]
    where: Text


class Reported(Section):
    """What the study reported for this run; empty where it reported nothing.

    Attributes:
        best_val_loss, best_epoch, train_loss, accuracy: single numbers; accuracy is a fraction.
        per_class: class name to test accuracy, a fraction.
        note: what the study says besides.
    """

    best_val_loss: Figure | None = None
    best_epoch: Figure | None = None
    train_loss: Figure | None = None
    accuracy: Figure | None = None
    per_class: dict[str, Figure] = {}
    note: Text = ""


class Recipe(Section):
    """A complete, validated and immutable description of one training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    title: Text
    data: Data
    augmentation: Augmentation
    model: Model
    train: Train
    reported: Reported = Reported()

    @property
    def comparable(self) -> Reported:
        """What the study reported, if the images are the study's: those of CIFAR-10."""
        return self.reported if self.data.dataset == "cifar10" else Reported()

    @property
    def augments(self) -> bool:
        """Whether training images are changed at all."""
        return any(self.augmentation.model_dump().values())

    def with_values(self, values: dict[str, object]) -> Recipe:
        """A copy with some keys set, e.g. `{"train.learning_rate": 0.05}`.

        Raises:
            RecipeError: if a key is unknown or a value does not fit.
        """
        content = self.model_dump()
        for key, value in values.items():
            _set_value(content, key, value)
        return parse_recipe(content, f"recipe '{self.name}'")

    def with_seed(self, seed: int) -> Recipe:
        """A copy with another seed, which must be one: 0 or more, below 2**31."""
        return self.model_copy(update={"train": self.train.model_copy(update={"seed": seed})})

    def to_toml(self) -> str:
        """The recipe as TOML text that `load_recipe` reads back to an equal recipe."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def load_recipe(name: str | Path) -> Recipe:
    """Load a shipped recipe by its name, or any recipe by the path of its file.

    Args:
        name: such as `adam-lr0.001`, or a path that ends in `.toml`.

    Raises:
        RecipeError: if there is no such recipe, or it is not valid.
    """
    text = read_recipe_text(name)
    if (known := _known_but_for_seed(text)) is not None:
        return known
    try:
        content = parse_toml(text)
    except ValueError as error:
        raise RecipeError(f"Recipe file '{name}' is not TOML: {error}.") from None
    return parse_recipe(content, f"recipe '{name}'")


def read_recipe_text(name: str | Path) -> str:
    """The text of a recipe's file, with its comments; `name` and errors as for `load_recipe`."""
    path = Path(name)
    if path.suffix != ".toml":
        path = _shipped_path(str(name))
    try:
        return read_regular(path, RECIPE_BYTES).decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        nearest = did_you_mean(path.stem, list_recipes())
        raise RecipeError(
            f"There is no recipe file '{name}'.{nearest} `kerascnn recipes` lists what is shipped."
        ) from None
    except OSError as error:
        raise RecipeError(f"Recipe file '{name}' cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RecipeError(f"Recipe file '{name}' is not text in UTF-8: {error}.") from None


def parse_recipe(content: dict[str, object], source: str) -> Recipe:
    """Validate a nested dict, as read from TOML.

    Raises:
        RecipeError: it calls the recipe `source`, and names the key and, where that is unknown,
            the nearest known one.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"In {source}: {explain(error, Recipe)}") from None


def parse_setting(setting: str) -> tuple[str, object]:
    """Split `KEY=VALUE`; the value is read as TOML, or else taken as a string.

    Raises:
        RecipeError: if there is no `=` or no key.
    """
    key, equals, text = setting.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key:
        raise RecipeError(
            f"Setting '{setting}' is not of the form KEY=VALUE, such as train.learning_rate=0.05."
        )
    try:
        value = parse_toml(f"value = {text}")
    except ValueError:
        return key, text
    return key, value["value"] if list(value) == ["value"] else text


def parse_values(settings: Iterable[str] | None, options: dict[str, object]) -> dict[str, object]:
    """What `--set` and the options that stand for a key give, as keys and values.

    Args:
        settings: each `KEY=VALUE`; the last one of a key counts.
        options: key of a recipe to the value of its option; None where it was not given.

    Raises:
        RecipeError: if a setting cannot be read.
        SelectionError: if a key is given in both ways.
    """
    values = dict(parse_setting(setting) for setting in settings or ())
    given = {key: value for key, value in options.items() if value is not None}
    if both := sorted(values.keys() & given.keys()):
        option = both[0].rpartition(".")[2].replace("_", "-")
        raise SelectionError(f"Give --{option} or --set {both[0]}, not both.")
    return values | given


def differences(before: Recipe, after: Recipe) -> list[str]:
    """What differs in training, such as `train.epochs was 50, is 60`.

    Names and reported figures make no difference.
    """
    found = []
    for section in TRAINING:
        for key, was in getattr(before, section):
            now = getattr(getattr(after, section), key)
            if was != now:
                found.append(f"{section}.{key} was {written(was)}, is {written(now)}")
    return found


def changes_from_shipped(recipe: Recipe) -> list[str]:
    """How training differs from that of the shipped recipe of this name, apart from the seed.

    In the words of `differences`; empty if no recipe of this name is shipped.
    """
    if recipe.name not in list_recipes():
        return []
    shipped = load_recipe(recipe.name).with_values({"train.seed": recipe.train.seed})
    return differences(shipped, recipe)


def recipe_keys(section: type[Section] = Recipe) -> list[str]:
    """All keys that a setting may name, dotted."""
    keys = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += [f"{name}.{key}" for key in recipe_keys(field.annotation)]
        else:
            keys.append(name)
    return keys


def _known_but_for_seed(text: str) -> Recipe | None:
    """The recipe, of a text that is written as `to_toml` does; None of any other.

    Reading TOML takes long, and the runs of a study differ in their seed. Where no string has
    several lines, a line `seed = 3` is a key and its value, and the only key that may be so called
    is that of `train`.
    """
    parts = _SEED_LINE.split(_HEADER.sub("", text, count=1))
    if len(parts) != 3 or '"""' in text or "'''" in text:
        return None
    recipe = _parse_around_seed(parts[0], parts[2])
    return recipe and recipe.with_seed(int(parts[1]))


@functools.lru_cache(maxsize=1000)
def _parse_around_seed(before: str, after: str) -> Recipe | None:
    try:
        return Recipe.model_validate(parse_toml(f"{before}seed = 0{after}"))
    except ValueError:
        return None


def _shipped_path(name: str) -> Path:
    names = list_recipes()
    if name in names:
        return recipes_directory() / f"{name}.toml"
    if name in REPLACED:
        raise RecipeError(f"Recipe '{name}' is no longer shipped: {REPLACED[name]}.")
    message = f"Recipe '{name}' is not known.{did_you_mean(name, names)}"
    if os.path.isfile(name):
        message += " (A recipe file must end in .toml.)"
    raise RecipeError(f"{message} `kerascnn recipes` lists all {len(names)}.")


def _set_value(content: dict, key: str, value: object) -> None:
    if key not in recipe_keys():
        near = did_you_mean(key, recipe_keys())
        raise RecipeError(f"There is no key {quote(key)} in a recipe.{near}")
    *sections, name = key.split(".")
    for section in sections:
        content = content[section]
    content[name] = value
