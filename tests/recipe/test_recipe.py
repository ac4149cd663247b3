"""Recipes: those of the study, what they may say, and what is said when they say something else."""

import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kerascnn.errors import RecipeError, SelectionError
from kerascnn.recipe import (
    Recipe,
    differences,
    list_recipes,
    load_recipe,
    parse_recipe,
    parse_setting,
    parse_values,
    read_recipe_text,
    recipe_keys,
    recipes_directory,
)
from kerascnn.recipe.toml import parse_toml
from kerascnn.study.readings import find_reading

# Copied from the study by hand: optimizer, rate, epochs, dropout, augmented; then what it reports:
# best validation loss, its epoch, training loss, accuracy and accuracy per class in percent.
FIRST_CLASSES = {"ship": 90, "truck": 86, "frog": 83, "bird": 58, "dog": 61, "cat": 68}
THIRD_CLASSES = {"frog": 93, "truck": 92, "automobile": 91, "cat": 64, "dog": 73, "deer": 75}
ONLY_AIRPLANE = dict.fromkeys(
    ("automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"), 0
) | {"airplane": 100}
STUDY = {
    "sgd-lr0.01": (("sgd", 0.01, 25, 0.25, False), (0.678, 6, 0.250, 76, FIRST_CLASSES)),
    "sgd-lr0.01-augmented": (("sgd", 0.01, 25, 0.25, True), (0.598, 25, 0.599, 80, {"cat": 52})),
    "sgd-lr0.1-augmented": (("sgd", 0.1, 50, 0.35, True), (0.521, None, 0.552, 83, THIRD_CLASSES)),
    "adam-lr0.1": (("adam", 0.1, 50, 0.35, True), (None, None, None, 10, ONLY_AIRPLANE)),
    "adam-lr0.001": (("adam", 0.001, 50, 0.35, True), (0.5180, None, 0.5337, 83, {})),
}
# Where the study has paragraphs with these numbers.
PLACES = {
    "sgd-lr0.01": {
        "Before Augmentations, second paragraph",
        "Before Augmentations, third paragraph",
    },
    "sgd-lr0.01-augmented": {
        "After Augmentations, second paragraph",
        "After Augmentations, third paragraph after Figure 1.4",
    },
    "sgd-lr0.1-augmented": {
        "After Augmentations, second paragraph after Figure 1.4",
        "After Augmentations, third paragraph after Figure 1.4",
    },
    "adam-lr0.1": {
        "Adding Adam Optimizer, second paragraph after Figure 1.7",
        "Adding Adam Optimizer, Figure 1.8 and the paragraph after it",
    },
    "adam-lr0.001": {"Adding Adam Optimizer, paragraph after Figure 1.9"},
}


@pytest.fixture
def adam():
    return load_recipe("adam-lr0.001")


def change(recipe, section=None, **values):
    """The content of a recipe with keys of one section set, or removed where None."""
    content = recipe.model_dump()
    table = content[section] if section else content
    table |= values
    for key in [key for key, value in values.items() if value is None]:
        del table[key]
    return content


def reported_by(recipe):
    figures = recipe.reported
    losses = (figures.best_val_loss, figures.best_epoch, figures.train_loss)
    per_class = {name: round(100 * figure.value, 6) for name, figure in figures.per_class.items()}
    values = [figure and figure.value for figure in losses]
    return (*values, 100 * figures.accuracy.value, per_class)


def test_the_recipes_are_the_five_runs_of_the_study():
    assert list_recipes() == sorted(STUDY)


@pytest.mark.parametrize("name", STUDY)
def test_recipe_trains_as_the_study_did(name):
    recipe = load_recipe(name)
    train, augmentation = recipe.train, recipe.augmentation
    optimizer, rate, epochs, dropout, augmented = STUDY[name][0]
    assert recipe.name == name
    assert (recipe.data.dataset, train.batch_size, train.momentum) == ("cifar10", 20, 0)
    assert (train.optimizer, train.learning_rate, train.epochs) == (optimizer, rate, epochs)
    assert (recipe.model.filters, recipe.model.kernel_size) == ((32, 64, 128), 3)
    assert recipe.model.dropout == dropout
    assert (augmentation.horizontal_flip, augmentation.crop_padding) == (
        (0.5, 4) if augmented else (0, 0)
    )
    jitter = {augmentation.brightness, augmentation.contrast, augmentation.saturation}
    assert jitter == ({0.2} if augmented else {0.0})


@pytest.mark.parametrize("name", STUDY)
def test_recipe_quotes_the_figures_of_the_study(name):
    assert reported_by(load_recipe(name)) == STUDY[name][1]


@pytest.mark.parametrize("name", STUDY)
def test_recipe_says_where_in_the_study_each_figure_stands(name):
    reported = load_recipe(name).reported.model_dump(exclude={"note"}, exclude_none=True)
    figures = [*reported.pop("per_class").values(), *reported.values()]
    assert {figure["where"] for figure in figures} == PLACES[name]


@pytest.mark.parametrize("name", STUDY)
def test_file_begins_with_its_command_and_the_reported_accuracy(name):
    lines = read_recipe_text(name).splitlines()
    assert lines[0] == f"# kerascnn run {name}"
    assert f"# The study reported test accuracy {STUDY[name][1][3]} %." in lines[:5]


def test_path_of_a_file_loads_that_file(tmp_path, adam):
    path = tmp_path / "mine.toml"
    path.write_text(adam.with_values({"name": "mine"}).to_toml(), "utf-8")
    assert load_recipe(path).name == load_recipe(str(path)).name == "mine"


def test_name_is_a_shipped_recipe_even_beside_a_file_of_that_name(tmp_path):
    (tmp_path / "adam-lr0.001").write_text("nothing")
    assert load_recipe("adam-lr0.001").train.optimizer == "adam"


def strings(**options):
    """Strings that UTF-8 can hold: control characters, quotes and emoji among them."""
    return st.text(st.characters(codec="utf-8"), **options)


def floats(low, high, **options):
    return st.floats(low, high, allow_nan=False, **options)


figures = st.builds(dict, value=floats(0, 1e300), where=strings(max_size=40))
sections = {
    "data": st.fixed_dictionaries(
        {
            "dataset": strings(min_size=1, max_size=30),
            "validation_fraction": floats(0, 1, exclude_min=True, exclude_max=True),
        }
    ),
    "train": st.fixed_dictionaries(
        {
            "optimizer": st.just("sgd"),
            "learning_rate": floats(0, 1000, exclude_min=True),
            "momentum": floats(0, 1, exclude_max=True),
            "epochs": st.integers(1, 1_000_000),
            "batch_size": st.integers(1, 1_000_000),
            "seed": st.integers(0, 2**31 - 1),
        }
    ),
    "reported": st.fixed_dictionaries(
        {"per_class": st.dictionaries(strings(max_size=20), figures, max_size=3)},
        optional={"accuracy": figures, "note": strings(max_size=40)},
    ),
}


@given(title=strings(max_size=60), **sections)
@settings(deadline=None, max_examples=150)
def test_toml_reads_back_to_an_equal_recipe(title, **content):
    recipe = parse_recipe(load_recipe("adam-lr0.001").model_dump() | content | {"title": title}, "")
    assert parse_recipe(tomllib.loads(recipe.to_toml()), "") == recipe


def test_toml_survives_a_file_with_line_breaks_quotes_and_control_characters(tmp_path, adam):
    odd = "\x00\x1f\x7f\x85\r\n\t\"'''\\ \u2028 é 🐸"
    recipe = adam.with_values(
        {"title": odd, "reported.per_class": {odd: {"value": 0.5, "where": odd}}}
    )
    path = tmp_path / "odd.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(path) == recipe


def test_recipe_cannot_be_changed(adam):
    for section, key in ((adam, "name"), (adam.train, "epochs"), (adam.reported.accuracy, "value")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, 3)


def test_with_values_makes_a_copy_and_leaves_the_recipe_alone(adam):
    changed = adam.with_values({"train.learning_rate": 0.05, "model.filters": [8, 16, 4]})
    assert (changed.train.learning_rate, changed.model.filters) == (0.05, (8, 16, 4))
    assert changed.train.epochs == adam.train.epochs
    assert adam == load_recipe("adam-lr0.001")


def test_whole_numbers_do_for_fractions(adam):
    assert adam.with_values({"train.learning_rate": 1}).train.learning_rate == 1.0


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("train.epochs=3", "train.epochs", 3),
        (" train.learning_rate = 1e-3 ", "train.learning_rate", 0.001),
        ("model.filters=[8, 16]", "model.filters", [8, 16]),
        ("train.optimizer=sgd", "train.optimizer", "sgd"),
        ('title="3"', "title", "3"),
        ("title=a=b", "title", "a=b"),
        ("title=", "title", ""),
        ("title=1\nname = 2", "title", "1\nname = 2"),
        ("train.seed=" + "9" * 5000, "train.seed", "9" * 5000),
        ("train.seed=0x" + "f" * 5000, "train.seed", "0x" + "f" * 5000),
        ("train.seed=0o" + "7" * 5000, "train.seed", "0o" + "7" * 5000),
        ("train.seed=0b" + "1" * 50000, "train.seed", "0b" + "1" * 50000),
        ("model.filters=[0x" + "f" * 5000 + "]", "model.filters", "[0x" + "f" * 5000 + "]"),
        ("train.seed=" + "[" * 500, "train.seed", "[" * 500),
        ("train.seed={" + "a." * 50_000 + "a=1}", "train.seed", "{" + "a." * 50_000 + "a=1}"),
    ],
)
def test_setting_is_read_as_toml_or_else_as_text(setting, key, value):
    found = parse_setting(setting)
    assert found == (key, value)
    assert type(found[1]) is type(value)


@pytest.mark.parametrize("setting", ["train.epochs", "=3", ""])
def test_setting_without_key_or_value_is_refused(setting):
    with pytest.raises(RecipeError, match=r"^Setting '.*' is not of the form KEY=VALUE, such as"):
        parse_setting(setting)


def test_settings_and_options_are_values_together():
    settings = ["train.epochs=3", "train.epochs=4", "model.units=8"]
    options = {"train.seed": 1, "data.dataset": None, "train.batch_size": 0}
    assert parse_values(settings, options) == {
        "train.epochs": 4, "model.units": 8, "train.seed": 1, "train.batch_size": 0
    }  # fmt: skip
    assert parse_values(None, {"train.epochs": None}) == {}


def test_a_key_that_is_set_and_given_as_an_option_is_refused():
    with pytest.raises(
        SelectionError, match=r"^Give --batch-size or --set train\.batch_size, not both\.$"
    ):
        parse_values(["train.batch_size=3"], {"train.batch_size": 3, "train.epochs": 1})


def test_keys_that_a_setting_may_name_are_the_leaves(adam):
    keys = recipe_keys()
    assert {"name", "train.seed", "model.filters", "reported.per_class"} <= set(keys)
    assert not {"train", "reported", "reported.accuracy.value"} & set(keys)


def test_unknown_setting_names_the_nearest_one(adam):
    with pytest.raises(RecipeError, match=r"no key 'train.lerning_rate'.*'train.learning_rate'\?$"):
        adam.with_values({"train.lerning_rate": 0.05})


def test_unknown_key_names_the_nearest_one_rather_than_that_it_is_missing(adam):
    content = change(adam, "train", epochs=None, epoch=3)
    with pytest.raises(
        RecipeError,
        match=r"^In recipe 'x': key 'train.epoch' is not known. Did you mean 'epochs'\?$",
    ):
        parse_recipe(content, "recipe 'x'")


def test_unknown_key_like_no_other_lists_the_known_ones(adam):
    with pytest.raises(RecipeError, match=r"'data.zzz' .* one of dataset, validation_fraction\.$"):
        parse_recipe(change(adam, "data", zzz=1), "recipe 'x'")


@pytest.mark.parametrize("key", ["accuracy", "per_class"])
def test_unknown_key_of_a_figure_names_the_nearest_one(adam, key):
    figure = {"valu": 0.5, "where": "here"}
    value = figure if key == "accuracy" else {"cat": figure}
    with pytest.raises(RecipeError, match=r"\.valu' is not known. Did you mean 'value'\?$"):
        parse_recipe(change(adam, "reported", **{key: value}), "recipe 'x'")


@pytest.mark.parametrize(("section", "key"), [(None, "title"), (None, "model"), ("train", "seed")])
def test_missing_key_is_named(adam, section, key):
    dotted = f"{section}.{key}" if section else key
    with pytest.raises(RecipeError, match=f"key '{dotted}' is missing. `kerascnn recipes show"):
        parse_recipe(change(adam, section, **{key: None}), "recipe 'x'")


def test_only_reported_may_be_left_out(adam):
    recipe = parse_recipe(change(adam, reported=None), "recipe 'x'")
    assert recipe.reported.accuracy is None
    assert recipe.reported.per_class == {}
    required = {name for name, field in Recipe.model_fields.items() if field.is_required()}
    assert required == set(Recipe.model_fields) - {"reported"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.epochs", "25", 'train.epochs = "25": must be a whole number'),
        ("train.epochs", 2.5, "train.epochs = 2.5: must be a whole number"),
        ("train.epochs", True, "train.epochs = true: must be a whole number"),
        ("train.epochs", 0, "train.epochs = 0: must be greater than 0"),
        ("train.learning_rate", "x", 'train.learning_rate = "x": must be a number, such as 0.05'),
        ("train.learning_rate", float("nan"), "train.learning_rate = NaN: must be a finite number"),
        ("train.learning_rate", float("inf"), "must be a finite number"),
        ("train.learning_rate", 0, "train.learning_rate = 0: must be greater than 0"),
        ("train.optimizer", "sdg", "train.optimizer = \"sdg\": must be 'sgd' or 'adam'"),
        ("train.momentum", 0.9, "train.momentum = 0.9: must be 0 for adam, whose"),
        ("train.seed", 2**31, "must be less than 2147483648"),
        ("train.seed", -1, "train.seed = -1: must be at least 0"),
        ("augmentation.brightness", 1.5, "augmentation.brightness = 1.5: must be at most 1"),
        ("data.validation_fraction", 1.0, "data.validation_fraction = 1.0: must be less than 1"),
        ("data.dataset", "", 'data.dataset = "": must not be empty'),
        ("model.filters", [], "model.filters = []: must not be empty"),
        ("model.filters", 3, "model.filters = 3: must be a list, such as [1, 2]"),
        ("model.filters", [8, 0], "entry 2 of model.filters = 0: must be greater than 0"),
        ("model.pool_after", [3, 1], "must list blocks from 1 to 3, ascending, each once"),
        ("model.pool_after", [1, 1], "must list blocks from 1 to 3, ascending, each once"),
        ("model.pool_after", [4], "must list blocks from 1 to 3, ascending, each once"),
        ("model.pool_after", [0], "must list blocks from 1 to 3, ascending, each once"),
        ("name", "a/b", 'name = "a/b": must hold only ASCII letters, digits, '),
        ("name", "..", "and begin with a letter or digit"),
        ("name", "a\n", "must hold only ASCII letters"),
        ("title", "x" * 1001, 'xxx...: must be at most 1000 characters long'),
        ("title", "\ud800", "must be a string that UTF-8 can hold"),
        ("title", 3, "title = 3: must be a string"),
        ("reported.accuracy", 0.8, "accuracy = 0.8: must be a table with the keys value, where"),
        ("reported.per_class", 1, "reported.per_class = 1: must be a table"),
    ],
)  # fmt: skip
def test_value_that_cannot_be_is_named_with_what_was_expected(adam, key, value, said):
    with pytest.raises(RecipeError) as caught:
        adam.with_values({key: value})
    message = str(caught.value)
    assert message.startswith("In recipe 'adam-lr0.001': ")
    assert said in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 250


def test_section_that_is_no_table_is_told_what_it_holds(adam):
    with pytest.raises(RecipeError, match=r"data = 3: must be a table with the keys dataset, val"):
        parse_recipe(change(adam, data=3), "recipe 'x'")


def test_unknown_recipe_names_the_nearest_one():
    with pytest.raises(
        RecipeError,
        match=r"^Recipe 'adam-lr0.01' is not known. Did you mean 'adam-lr0.0*1'\? "
        r"`kerascnn recipes` lists all 5.$",
    ):
        load_recipe("adam-lr0.01")


def test_a_recipe_that_is_no_longer_shipped_says_what_to_give_instead():
    with pytest.raises(RecipeError) as caught:
        load_recipe("sgd-lr0.02")
    said = str(caught.value)
    assert "`kerascnn run sgd-lr0.01 --set train.learning_rate=0.02`" in said
    assert "`kerascnn reproduce sgd-lr0.01 --reading rate-0.02`" in said
    reading = find_reading("rate-0.02").resolve(load_recipe("sgd-lr0.01"))
    by_setting = load_recipe("sgd-lr0.01").with_values({"train.learning_rate": 0.02})
    assert differences(reading, by_setting) == []


def test_differences_are_said_in_one_line_each(adam):
    after = adam.with_values(
        {"train.epochs": 60, "model.pool_after": [1], "data.dataset": "é", "title": "other"}
    )
    assert differences(adam, after) == [
        'data.dataset was "cifar10", is "é"',
        "model.pool_after was [1, 2, 3], is [1]",
        "train.epochs was 50, is 60",
    ]


@pytest.mark.parametrize("name", ["", "a" * 300, "\0", "../recipes/adam-lr0.001"])
def test_no_name_is_anything_but_known_or_unknown(name):
    with pytest.raises(RecipeError, match="is not known"):
        load_recipe(name)


def test_file_without_the_ending_is_told_of_it(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(RecipeError, match=r"'mine.txt' is not known.* must end in .toml"):
        load_recipe("mine.txt")


def test_missing_file_of_a_shipped_name_points_to_the_shipped_recipe():
    with pytest.raises(RecipeError, match=r"no recipe file 'adam-lr0.1.toml'.*'adam-lr0.1'\?"):
        load_recipe("adam-lr0.1.toml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = ?", "is not TOML: .*line 1"),
        (b"x = " + b"[" * 5000, "is not TOML"),
        (b"x = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
        (b"x = 0x" + b"f" * 5000, "is not TOML: Exceeds the limit"),
        (b"x = {y = [0o" + b"7" * 5000 + b"]}", "is not TOML: Exceeds the limit"),
        (b"x = 0b" + b"1" * 50_000, "is not TOML: Exceeds the limit"),
        (b"x = " + b"[" * 300 + b"]" * 300, "is not TOML: it has more than 20 levels"),
        (b"x = " + b"{a=" * 300 + b"1" + b"}" * 300, "is not TOML: it has more than 20 levels"),
        (b"a." * 20_000 + b"a = 1", "is not TOML: a line of it has more than 200 dots"),
        (b"[" + b"a . " * 10_000 + b"a]", "is not TOML: a line of it has more than 200 dots"),
        (b"a." * 40_000 + b"a = 1", "cannot be read: it has more than 65,536 bytes"),
        (b"\xff", "is not text in UTF-8"),
    ],
)
def test_file_that_is_not_toml_says_so(tmp_path, content, said):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=f"^Recipe file 'bad.toml' {said}"):
        load_recipe("bad.toml")


def test_no_recipe_of_the_size_that_is_read_takes_long(tmp_path):
    """Each of them is as bad as it can be within the bounds; tomllib alone took over a minute."""
    for content in (
        "a = 1\n[" + "b." * 199 + "b]\n" + ("c." * 199 + "c = 1\n") * 160,
        "".join(f"k{n}.{'a.' * 198}a = 1\n" for n in range(160)),
        "".join(f"k{n} = 1\n" for n in range(7000)),
        "[[a]]\n" * 10_000,
        "x = '''" + "\n" * 60_000,
        'x = "' + "\\u0041" * 10_000 + '"',
        "x = [" + "[1]," * 16_000 + "]",
        "x = " + "{" * 65_000,
        "x = [" + "#\n" * 32_000,
    ):
        Path("slow.toml").write_text(content[: 2**16])
        began = time.perf_counter()
        with pytest.raises(RecipeError):
            load_recipe("slow.toml")
        assert time.perf_counter() - began < 5, content[:20]


@pytest.mark.parametrize("value", [10**5000, [10**5000], -(10**5000)], ids=["a", "b", "c"])
def test_a_number_of_too_many_digits_is_refused_from_python_too(adam, value):
    for key in ("train.seed", "train.learning_rate", "model.filters", "title"):
        with pytest.raises(RecipeError) as caught:
            adam.with_values({key: value})
        assert len(str(caught.value)) < 300


def test_recipes_that_differ_in_their_seed_alone_are_read_once(tmp_path, adam, monkeypatch):
    count = []
    monkeypatch.setattr(
        "kerascnn.recipe.parse_toml", lambda text: count.append(text) or parse_toml(text)
    )
    for seed in (0, 3, 3, 999_999_999, 2**31 - 1):
        recipe = adam.with_values({"train.seed": seed, "title": "read once"})
        text = f"# kerascnn run x-seed{seed}/recipe.toml\n\n{recipe.to_toml()}"
        Path("one.toml").write_text(text)
        assert load_recipe("one.toml") == recipe
    assert len(count) == 2  # the last seed has more digits than are taken for granted


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 0", "seed = 05", "is not TOML"),
        ("seed = 0", "seed = 0\nseed = 1", "is not TOML"),
        ("seed = 0", "seed = 2147483648", "must be less than 2147483648"),
        ("seed = 0", "seed = -1", "must be at least 0"),
        ("seed = 0", "", "key 'train.seed' is missing"),
        ("[train]", "seed = 1\n\n[train]", "key 'model.seed' is not known"),
    ],
)
def test_a_seed_that_is_none_is_refused_however_often_it_is_read(adam, old, new, said):
    text = adam.to_toml()
    for content in (text, text.replace(old, new, 1)):
        Path("one.toml").write_text(content)
        if content == text:
            assert load_recipe("one.toml") == adam
            continue
        for _ in range(2):
            with pytest.raises(RecipeError, match=said):
                load_recipe("one.toml")


def test_a_seed_in_a_text_of_several_lines_is_not_the_seed(adam):
    text = adam.to_toml().replace("seed = 0", "seed=7")
    text = text.replace(f'title = "{adam.title}"', 'title = """\nseed = 5\n"""')
    Path("one.toml").write_text(text)
    assert load_recipe("one.toml").train.seed == 7


def test_directory_is_no_recipe_file(tmp_path):
    (tmp_path / "dir.toml").mkdir()
    with pytest.raises(
        RecipeError, match=r"^Recipe file 'dir.toml' cannot be read: it is a directory"
    ):
        load_recipe("dir.toml")


def test_recipes_lie_beside_the_package_or_in_it():
    assert all((recipes_directory() / f"{name}.toml").is_file() for name in STUDY)
