"""Generated recipes: valid ones come back as they were, others are told which key is wrong."""

import copy
import re
import tomllib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kerascnn.errors import RecipeError
from kerascnn.recipe import load_recipe, parse_recipe, parse_setting, recipe_keys

# Seven tests of so many are 2,100 cases.
MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
BASE = load_recipe("adam-lr0.001").model_dump()


def strings(**options):
    return st.text(st.characters(codec="utf-8"), **options)


def floats(low, high, **options):
    return st.floats(low, high, allow_nan=False, **options)


def tables(**keys):
    return st.fixed_dictionaries(keys)


FIGURES = tables(value=floats(0, 1e300), where=strings(max_size=30))
FRACTIONS = floats(0, 1) | st.sampled_from([0, 1])
NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,40}\Z")


@st.composite
def models(draw):
    filters = draw(st.lists(st.integers(1, 4096), min_size=1, max_size=6))
    blocks = st.integers(1, len(filters))
    return {
        "filters": filters,
        "kernel_size": draw(st.integers(1, 31)),
        "pool_after": sorted(draw(st.sets(blocks))),
        "units": draw(st.integers(1, 65536)),
        "dropout": draw(floats(0, 1, exclude_max=True)),
    }


@st.composite
def trainings(draw):
    optimizer = draw(st.sampled_from(["sgd", "adam"]))
    momentum = floats(0, 1, exclude_max=True) if optimizer == "sgd" else st.just(0)
    return {
        "optimizer": optimizer,
        "learning_rate": draw(floats(0, 1000, exclude_min=True) | st.integers(1, 1000)),
        "momentum": draw(momentum),
        "epochs": draw(st.integers(1, 1_000_000)),
        "batch_size": draw(st.integers(1, 1_000_000)),
        "seed": draw(st.integers(0, 2**31 - 1)),
    }


RECIPES = tables(
    name=NAMES,
    title=strings(max_size=60),
    data=tables(
        dataset=strings(min_size=1, max_size=40),
        validation_fraction=floats(0, 1, exclude_min=True, exclude_max=True),
    ),
    augmentation=tables(
        horizontal_flip=FRACTIONS,
        crop_padding=st.integers(0, 512),
        brightness=FRACTIONS,
        contrast=FRACTIONS,
        saturation=FRACTIONS,
    ),
    model=models(),
    train=trainings(),
    reported=st.fixed_dictionaries(
        {"per_class": st.dictionaries(strings(max_size=20), FIGURES, max_size=3)},
        optional={
            "best_val_loss": FIGURES,
            "best_epoch": FIGURES,
            "accuracy": FIGURES,
            "note": strings(max_size=40),
        },
    ),
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers() | st.text(max_size=5), max_size=4),
    st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5), max_size=3),
    st.just([[]]),
    st.just("x" * 5000),
    st.just(10**400),
)


def one_line(error):
    """The message, as a person reads it."""
    message = str(error)
    assert message.endswith((".", "?"))
    return message


@given(RECIPES)
@MANY
def test_a_valid_recipe_reads_back_from_its_toml(content):
    recipe = parse_recipe(content, "it")
    assert parse_recipe(tomllib.loads(recipe.to_toml()), "it") == recipe


@given(RECIPES, st.data())
@MANY
def test_every_key_of_a_valid_recipe_can_be_set(content, data):
    """What `to_toml` writes behind a key is what `--set` reads."""
    recipe, base = parse_recipe(content, "it"), parse_recipe(BASE, "base")
    sections = ("data", "augmentation", "model", "train")
    section = data.draw(st.sampled_from(sections))
    text = recipe.to_toml().split(f"[{section}]\n")[1].split("\n\n")[0]
    values = dict(parse_setting(f"{section}.{each}") for each in re.split(r"\n(?=\w+ = )", text))
    assert getattr(base.with_values(values), section) == getattr(recipe, section)


def places_of(content, prefix=()):
    for key, value in content.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from places_of(value, (*prefix, key))


@given(RECIPES, st.data())
@MANY
def test_a_wrong_value_a_missing_or_an_unknown_key_is_named(content, data):
    content = copy.deepcopy(content)
    place = data.draw(st.sampled_from(sorted(places_of(content))))
    table = content
    for key in place[:-1]:
        table = table[key]
    what = data.draw(st.sampled_from(["other", "missing", "unknown"]))
    named = place[-1]
    if what == "other":
        table[named] = data.draw(ODD)
    elif what == "missing":
        del table[named]
    else:
        named = data.draw(st.text(min_size=1, max_size=20))
        table[named] = data.draw(ODD)
    try:
        parse_recipe(content, "it")
    except RecipeError as error:
        message = one_line(error)
        assert message.startswith("In it: ")
        assert (
            named in message
            or (place[-1] in message and what == "other")
            or _nested(table.get(named), message)
        )
    else:
        # Another value may do, too; so may a key that may be left out or that is free to choose.
        assert what == "other" or "reported" in place


def _nested(value, message):
    """Whether the key that is named lies inside the value."""
    return isinstance(value, dict) and any(str(key) in message for key in value)


@given(st.sampled_from(recipe_keys()), ODD)
@MANY
def test_a_set_value_is_taken_or_its_key_is_named(key, value):
    try:
        recipe = load_recipe("sgd-lr0.01").with_values({key: value})
    except RecipeError as error:
        also = {"model.filters": "model.pool_after", "train.optimizer": "train.momentum"}
        message = one_line(error)
        assert any(each in message for each in (key, also.get(key, key)))
    else:
        assert parse_recipe(tomllib.loads(recipe.to_toml()), "it") == recipe


SETTINGS = st.one_of(
    st.text(max_size=40),
    st.builds("{}={}".format, st.sampled_from(recipe_keys()), st.text(max_size=30)),
    st.builds("{}={}".format, st.text(max_size=20), st.text(max_size=20)),
    st.builds("{}={!r}".format, st.sampled_from(recipe_keys()), ODD),
)


@given(SETTINGS)
@MANY
@example("train.epochs=" + "[" * 3000)
@example("train.epochs={a={a={a=1}}}")
@example("model.filters=[1979-05-27]")
@example("title=1979-05-27T07:32:00Z")
@example("train.learning_rate=inf")
@example("=")
def test_any_text_behind_set_is_read_or_refused(setting):
    try:
        key, value = parse_setting(setting)
        recipe = load_recipe("sgd-lr0.01").with_values({key: value})
    except RecipeError as error:
        one_line(error)
    else:
        assert parse_recipe(tomllib.loads(recipe.to_toml()), "it") == recipe


@st.composite
def mangled_files(draw):
    """The bytes of a good recipe with some cut out, doubled, or replaced by others."""
    content = bytearray(
        load_recipe(draw(st.sampled_from(["sgd-lr0.01", "adam-lr0.1"]))).to_toml(), "utf-8"
    )
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 30)))
        content[start:stop] = draw(
            st.binary(max_size=4)
            | st.sampled_from(
                [b"", b"\n", b'"', b"[", b"= 1\n", b"'''", b"[[model]]\n", b"\0", b"nan"]
            )
        )
    return bytes(content)


@given(st.binary(max_size=60) | mangled_files())
@MANY
def test_any_file_is_a_recipe_or_a_recipe_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "generated.toml"
    path.write_bytes(content)
    try:
        recipe = load_recipe(path)
    except RecipeError as error:
        message = one_line(error)
        assert "generated.toml" in message
    else:
        assert parse_recipe(tomllib.loads(recipe.to_toml()), "it") == recipe


@given(st.text(max_size=30) | st.text(st.sampled_from("./\\~-ab\0\n"), max_size=12))
@MANY
def test_any_name_is_a_recipe_or_a_recipe_error(name):
    try:
        load_recipe(name)
    except RecipeError as error:
        one_line(error)


@given(NAMES.filter(lambda name: len(name) < 40))
@settings(MANY, max_examples=100)
def test_a_name_that_is_taken_is_one_name_of_a_directory(tmp_path_factory, name):
    from kerascnn.run.find import create_run

    runs = tmp_path_factory.getbasetemp() / "named"
    recipe = parse_recipe(BASE | {"name": name}, "it")
    run = create_run(recipe, runs)
    assert run.path.parent == runs
    assert run.path.is_dir()
    assert run.recipe == recipe


def test_a_key_that_the_errors_name_is_a_key():
    for key in recipe_keys():
        with pytest.raises(RecipeError, match=key.split(".")[-1]):
            load_recipe("sgd-lr0.01").with_values({key: object()})
