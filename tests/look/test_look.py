"""The commands that look inside a network, through the command line, on real runs and models."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from kerascnn.cli import main
from kerascnn.data import load_dataset
from kerascnn.look.activations import feature_maps
from kerascnn.run import Run

COLORS = {"apple": (200, 30, 30), "leaf": (30, 200, 30), "sky": (40, 60, 220)}


@pytest.fixture
def answered(invoke):
    """Call the command line with --json; gives what it answered."""

    def ask(*arguments):
        status, out, err = invoke(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return ask


@pytest.fixture
def refused(invoke):
    """Call the command line; gives the one line that it refuses with."""

    def ask(*arguments, status=1):
        given, out, err = invoke(*arguments)
        lines = err.strip().splitlines()
        assert (given, out, len(lines)) == (status, "", 1), err
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")

    return ask


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with one short run on shapes, to read only."""
    directory = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        arguments = ["--dataset", "shapes", "--epochs", "1", "--batch-size", "50"]
        patch.setattr(sys, "argv", ["kerascnn", "run", "adam-lr0.001", *arguments, "--json"])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    return directory


@pytest.fixture
def run(trained, tmp_path):
    """A run of one's own, in `runs/` of the working directory."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    return Run(next((tmp_path / "runs").iterdir()))


@pytest.fixture(scope="module")
def shapes():
    return load_dataset("shapes")


@pytest.fixture(scope="module")
def means(trained, shapes):
    """Means of the feature maps of relu1, (num_images, filters), the slow way."""
    model = keras.saving.load_model(next(trained.glob("runs/*/best.keras")))
    maps = feature_maps(model, shapes.test_images, "relu1")
    return maps.mean(axis=(1, 2), dtype="float64")


def classes_right(run, shapes):
    """Classes of which the run gets an image right, in the order of their numbers."""
    stored = run.read_predictions()
    right = stored["labels"][stored["labels"] == stored["probabilities"].argmax(axis=1)]
    return [shapes.class_names[label] for label in np.unique(right)]


def make_pictures(directory, count=10, size=(20, 24), colors=COLORS):
    """Noisy pictures in a folder a color; size is width, height."""
    generator = np.random.default_rng(0)
    for name, color in colors.items():
        (directory / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.integers(-30, 31, (size[1], size[0], 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype("uint8")
            Image.fromarray(pixels).save(directory / name / f"{number:03}.png")
    return directory


@pytest.fixture
def pictures(tmp_path):
    return make_pictures(tmp_path / "pictures")


# top-activations


def test_top_activations_are_those_of_a_full_sort(run, shapes, means, answered):
    rows = answered("top-activations", "--filter", 3, "--filter", 32, "-k", 7)
    assert [row["filter"] for row in rows] == [3, 32]
    with np.load(run.path / "predictions.npz") as stored:
        predictions = stored["predictions"]
    for row in rows:
        assert list(row) == ["filter", "top"]
        values = means[:, row["filter"] - 1]
        order = np.argsort(-values, kind="stable")[:7]
        assert [image["index"] for image in row["top"]] == order.tolist()
        for rank, (image, index) in enumerate(zip(row["top"], order, strict=True), 1):
            assert image == {
                "rank": rank,
                "index": index,
                "image": str(index),
                "label": shapes.class_names[shapes.test_labels[index]],
                "prediction": shapes.class_names[predictions[index]],
                "activation": pytest.approx(values[index], rel=1e-4),
            }


def test_without_arguments_they_are_the_studys_filters_and_five_images(run, invoke):
    status, out, err = invoke("top-activations")
    assert status == 0
    titles = [line.strip() for line in out.splitlines() if line.startswith("Highest")]
    assert titles == [f"Highest mean activation of relu1, filter {number}" for number in (1, 8, 16)]
    assert out.count("│    5 │") == 3
    figure = run.figures_path / "top-activations-relu1-1-8-16.png"
    assert f"Figure: runs/{run.name}/figures/{figure.name}" in err
    with Image.open(figure) as picture:
        # A row a filter: its kernel and five images.
        assert picture.width > picture.height > 3 * 150
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 1000


@pytest.mark.parametrize("score", ["max", "l2"])
def test_other_scores(run, trained, shapes, answered, score):
    model = keras.saving.load_model(run.best_path)
    maps = feature_maps(model, shapes.test_images, "relu1")[..., 4].astype("float64")
    values = maps.max(axis=(1, 2)) if score == "max" else np.sqrt((maps**2).sum(axis=(1, 2)))
    top = answered("top-activations", "-f", 5, "--score", score)[0]["top"]
    best = np.sort(values)[::-1][:5]
    np.testing.assert_allclose([image["activation"] for image in top], best, rtol=1e-4)
    np.testing.assert_allclose(values[[image["index"] for image in top]], best, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "layer", "place"),
    [
        (["--tap", "conv"], "conv1", None),
        (["--tap", "bn"], "bn1", None),
        (["--layer", "pool:2"], "pool:2", None),
        (["--layer", "fc1"], "fc1", None),
    ],
)
def test_taps_and_layers(run, shapes, answered, arguments, layer, place):
    maps = feature_maps(keras.saving.load_model(run.best_path), shapes.test_images, layer)
    values = maps[..., 1].mean(axis=(1, 2))
    top = answered("top-activations", "-f", 2, "-k", 3, *arguments)[0]["top"]
    np.testing.assert_allclose(
        [image["activation"] for image in top], np.sort(values)[::-1][:3], rtol=1e-4
    )
    safe = layer.replace(":", "-")
    assert (run.figures_path / f"top-activations-{safe}-2.png").exists()


def test_output_names_the_figure(run, invoke, tmp_path):
    assert invoke("top-activations", "-f", 1, "-o", "mine.png")[2] == "Figure: mine.png\n"
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert not list(run.figures_path.glob("top*"))


def test_images_by_files_have_no_labels(run, pictures, answered):
    files = sorted((pictures / "sky").iterdir())[:3]
    top = answered("top-activations", "-f", 1, "-k", 3, "--images", files[0], "--images", files[1],
                   "--images", files[2])[0]["top"]  # fmt: skip
    assert {image["image"] for image in top} == {str(path) for path in files}
    assert {image["label"] for image in top} == {None}
    assert all(image["prediction"] in load_dataset("shapes").class_names for image in top)


def test_images_of_a_folder_of_classes_keep_their_own_class_names(run, pictures, answered, shapes):
    top = answered("top-activations", "-f", 1, "-k", 30, "--images", pictures)[0]["top"]
    assert {(image["label"], image["image"]) for image in top} == {
        (color, str(path)) for color in COLORS for path in (pictures / color).iterdir()
    }
    assert {image["prediction"] for image in top} <= set(shapes.class_names)


def test_labels_are_matched_by_name_not_by_number(run, shapes, tmp_path, answered):
    # Two of the run's classes, which have other numbers in a folder of their own.
    names = classes_right(run, shapes)[-2:]
    assert min(map(shapes.class_names.index, names)) > 1
    for name in names:
        chosen = shapes.test_images[shapes.test_labels == shapes.class_names.index(name)]
        for split in ("train", "test"):
            directory = tmp_path / "own" / split / name
            directory.mkdir(parents=True)
            for number, image in enumerate(chosen):
                Image.fromarray(image).save(directory / f"{number}.png")
    for name in names:
        maps = answered("feature-maps", "--images", "own", "--class", name, "--filters", "1")
        assert (maps[0]["label"], maps[0]["prediction"]) == (name, name)


def test_a_bad_file_among_images_is_named(run, pictures, invoke):
    (pictures / "sky" / "bad.png").write_text("no")
    status, _, err = invoke("top-activations", "--images", pictures / "sky")
    assert status == 0
    assert "Skipped: " in err
    assert "bad.png' is not a picture that can be read; expected" in err


def test_images_by_the_name_of_a_data_set(run, answered):
    own = answered("top-activations", "-f", 4)
    assert answered("top-activations", "-f", 4, "--images", "shapes") == own


# What is kept.


def ask_in_process(*arguments):
    """Standard output, and which slow packages the process imported."""
    code = (
        "import sys\nfrom kerascnn.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr.splitlines()[-1]


def test_a_second_question_is_answered_from_the_run_without_keras(run):
    first, imported = ask_in_process("top-activations", "--json")
    assert "keras" in imported
    second, imported = ask_in_process("top-activations", "--json")
    assert imported == "[]"
    assert second == first
    for question in (["filters"], ["explain-filter", "2"]):
        assert ask_in_process(*question)[1] == "[]"


def save_another_best(run, model):
    """As if the run had been trained to this; its checkpoint knows of another model."""
    (run.path / "checkpoint.npz").unlink()
    model.save(run.best_path)


def test_what_was_measured_on_another_model_does_not_count(run, answered):
    before = answered("top-activations", "-f", 1)
    model = keras.saving.load_model(run.best_path)
    model.get_layer("bn1").gamma.assign(np.zeros(32))
    model.get_layer("bn1").beta.assign(np.full(32, 0.25))
    save_another_best(run, model)
    after = answered("top-activations", "-f", 1)
    assert before[0]["top"][0]["activation"] != pytest.approx(0.25, abs=1e-3)
    assert [image["activation"] for image in after[0]["top"]] == pytest.approx([0.25] * 5)
    assert [image["index"] for image in after[0]["top"]] == [0, 1, 2, 3, 4]


def test_damaged_numbers_are_named_with_the_way_out(run, invoke, refused):
    invoke("top-activations")
    (path,) = (run.path / "activations").iterdir()
    for content in (path.read_bytes()[:-5000], b"nothing"):
        path.write_bytes(content)
        line = refused("top-activations")
        assert line.startswith(f"{path.name} of run '{run.name}' is damaged (")
        assert f"Remove 'runs/{run.name}/activations/{path.name}', and it is measured" in line
    path.unlink()
    assert invoke("top-activations")[0] == 0


def test_predictions_of_other_images_than_are_there_now_do_not_count(run, shapes, answered):
    stored = run.read_predictions()
    stored["labels"] = np.roll(stored["labels"], 1)
    right = stored["predictions"].copy()
    stored["probabilities"] = np.roll(stored["probabilities"], 1, axis=0)
    run.write_predictions(**stored)
    top = answered("top-activations", "-f", 1)[0]["top"]
    expected = [shapes.class_names[right[image["index"]]] for image in top]
    assert [image["prediction"] for image in top] == expected


# feature-maps


def test_feature_maps_show_three_classes_that_the_model_gets_right(run, shapes, answered):
    rows = answered("feature-maps")
    with np.load(run.path / "predictions.npz") as stored:
        predictions = stored["predictions"]
    assert len({row["label"] for row in rows}) == 3
    maps = feature_maps(
        keras.saving.load_model(run.best_path),
        shapes.test_images[[row["index"] for row in rows]],
        "relu1",
    )
    for place, row in enumerate(rows):
        label = shapes.class_names[shapes.test_labels[row["index"]]]
        assert row["label"] == row["prediction"] == label
        assert shapes.class_names[predictions[row["index"]]] == label
        assert 0 < row["probability"] <= 1
        assert [each["filter"] for each in row["filters"]] == list(range(1, 9))
        for each in row["filters"]:
            own = maps[place, ..., each["filter"] - 1]
            assert each["mean"] == pytest.approx(own.mean(), rel=1e-4)
            assert each["max"] == pytest.approx(own.max(), rel=1e-4)
    assert (run.figures_path / "feature-maps-relu1.png").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [("8", range(1, 9)), ("all", range(1, 33)), ("1,5", [1, 5]), ("5,", [5]), ("1", [1])],
)
def test_filters_by_number_all_or_list(run, answered, given, expected):
    rows = answered("feature-maps", "--filters", given, "--image", "7")
    assert [row["index"] for row in rows] == [7]
    assert [each["filter"] for each in rows[0]["filters"]] == list(expected)


def test_classes_and_images_may_be_named(run, shapes, answered, invoke):
    names = classes_right(run, shapes)[1::-1]
    rows = answered("feature-maps", "--class", names[0], "--class", names[1], "--filters", "2")
    assert [row["label"] for row in rows] == names
    assert [row["prediction"] for row in rows] == names
    rows = answered("feature-maps", "--image", "999", "--image", "0", "--filters", "2")
    assert [row["index"] for row in rows] == [999, 0]
    status, out, _ = invoke("feature-maps", "--image", "999", "--filters", "2")
    assert status == 0
    assert "(999)" in out


def test_a_class_that_is_never_right_is_passed_over_unless_named(run, shapes, answered, refused):
    spoiled, *others = classes_right(run, shapes)
    stored = run.read_predictions()
    label = shapes.class_names.index(spoiled)
    stored["probabilities"][stored["labels"] == label] = np.eye(10)[label - 1]
    run.write_predictions(**stored)
    labels = [row["label"] for row in answered("feature-maps", "--filters", "1")]
    assert labels == others[:3]
    line = refused("feature-maps", "--class", spoiled)
    assert line == f"The model gets no image of class '{spoiled}' right; name one with --image."


def test_feature_maps_of_plain_files(run, pictures, answered, refused):
    rows = answered("feature-maps", "--images", pictures / "sky", "--filters", "2")
    assert [row["image"] for row in rows] == [
        str(pictures / "sky" / f"00{number}.png") for number in range(3)
    ]
    assert {row["label"] for row in rows} == {None}
    line = refused("feature-maps", "--images", pictures / "sky", "--class", "disk")
    assert "classes of these images are not known" in line
    assert "--image" in line


# filters


def test_dead_filters_are_named(run, answered, invoke):
    model = keras.saving.load_model(run.best_path)
    norm = model.get_layer("bn1")
    gamma, beta = (np.array(keras.ops.convert_to_numpy(each)) for each in (norm.gamma, norm.beta))
    gamma[[2, 30]], beta[[2, 30]] = 0, -1
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)
    save_another_best(run, model)
    rows = answered("filters")
    dead = [row["filter"] for row in rows if row["is_dead"]]
    assert (len(rows), dead) == (32, [3, 31])
    assert rows[2] == {
        "filter": 3, "is_dead": True, "active_share": 0.0, "mean": 0.0, "classes": []
    }  # fmt: skip
    status, out, err = invoke("filters")
    assert status == 0
    assert "Dead: 3, 31" in err
    assert out.count("│ dead ") == 2
    sentence = answered("explain-filter", 3)["sentence"]
    assert sentence == "Filter 3 of relu1 answers every image alike: it is dead."
    assert invoke("explain-filter", 3)[0] == 0


def test_filters_of_a_living_layer(run, shapes, means, answered, invoke):
    rows = answered("filters")
    assert not any(row["is_dead"] for row in rows)
    np.testing.assert_allclose([row["mean"] for row in rows], means.mean(axis=0), rtol=1e-4)
    classes = [found for row in rows for found in row["classes"]]
    assert classes
    assert {found["name"] for found in classes} <= set(shapes.class_names)
    assert all(found["share"] > found["base_rate"] for found in classes)
    assert "No filter is dead." in invoke("filters")[2]
    with Image.open(run.figures_path / "filters-relu1.png") as picture:
        # 32 kernels of nine weights, each of a color of its own.
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 32 * 9 // 2


def test_filters_of_a_layer_without_kernels_are_listed_without_a_figure(run, invoke):
    status, out, err = invoke("filters", "--layer", "logits")
    assert status == 0
    assert out.count("alive") == 10
    assert "logits has no kernels of a convolution, so there is no figure." in err
    assert not list(run.figures_path.glob("filters*"))


def test_a_layer_that_mixes_filters_again_has_not_the_kernels_before_it(pictures, invoke):
    image = keras.Input((24, 20, 3))
    x = layers.Conv2D(4, 3, name="first")(image)
    x = layers.PReLU(name="bent")(x)
    keras.Model(image, layers.SeparableConv2D(4, 3, name="mixed")(x)).save("model.keras")
    arguments = ["--model", "model.keras", "--images", pictures]
    assert "Figure: filters-bent.png" in invoke("filters", "--layer", "bent", *arguments)[2]
    err = invoke("filters", "--layer", "mixed", *arguments)[2]
    assert "mixed has no kernels of a convolution, so there is no figure." in err


# explain-filter


def test_explain_filter_gives_kernel_correlations_and_a_sentence(run, means, shapes, answered):
    row = answered("explain-filter", 5)
    assert (row["filter"], row["layer"]) == (5, "relu1")
    assert len(row["correlations"]) == 27
    strengths = [abs(rho) for rho in row["correlations"].values()]
    assert strengths == sorted(strengths, reverse=True)
    strongest, rho = next(iter(row["correlations"].items()))
    assert f"{strongest}" in row["sentence"]
    assert f"rho = {rho:.2f}" in row["sentence"]
    assert len(row["kernel"]["color_weights"]) == 3
    for found in row["classes"]:
        top = np.argsort(-means[:, 4], kind="stable")[:100]
        count = np.sum(shapes.test_labels[top] == found["label"])
        assert (found["count"], found["name"]) == (count, shapes.class_names[found["label"]])


def test_explain_filter_of_images_without_labels_says_nothing_of_classes(
    run, pictures, answered, refused, invoke
):
    for path in (pictures / "leaf").iterdir():
        path.rename(pictures / "sky" / f"leaf-{path.name}")
    row = answered("explain-filter", 1, "--images", pictures / "sky")
    assert row["classes"] == []
    assert "class" not in row["sentence"]
    assert invoke("explain-filter", 1, "--images", pictures / "sky")[0] == 0
    line = refused("explain-filter", 1, "--images", pictures / "apple")
    assert line == "10 images are too few to tell what a filter follows; at least 20 are needed."


# predict


def test_predict_gives_probabilities_and_skips_what_is_no_picture(run, pictures, invoke, shapes):
    (pictures / "bad.png").write_text("no")
    good = [pictures / "sky" / "000.png", pictures / "apple" / "001.png"]
    arguments = ["predict", good[0], pictures / "bad.png", "missing.png", good[1]]
    status, out, err = invoke(*arguments, "--json")
    assert status == 1
    rows = json.loads(out)
    assert [row["image"] for row in rows] == [str(path) for path in good]
    for row in rows:
        assert set(row["probabilities"]) == set(shapes.class_names)
        values = list(row["probabilities"].values())
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert values == sorted(values, reverse=True)
        assert row["prediction"] == next(iter(row["probabilities"]))
    assert f"Skipped: '{pictures / 'bad.png'}' is not a picture" in err
    assert "Skipped: There is no file 'missing.png'." in err
    status, out, _ = invoke(*arguments, "--top", "2")
    assert status == 1
    assert out.count(" % │") == 4


def test_predict_of_a_folder_is_of_all_its_pictures(run, pictures, answered):
    rows = answered("predict", pictures)
    assert len(rows) == 30
    assert rows[0]["image"] == str(pictures / "apple" / "000.png")


def test_predict_takes_a_file_for_a_file_even_if_a_data_set_is_called_so(run, refused):
    assert refused("predict", "shapes") == "There is no file 'shapes'."


def test_predict_agrees_with_evaluate(run, shapes, answered, tmp_path):
    Image.fromarray(shapes.test_images[5]).save(tmp_path / "five.png")
    row = answered("predict", "five.png")[0]
    stored = run.read_predictions()["probabilities"][5]
    for name, probability in zip(shapes.class_names, stored, strict=True):
        assert row["probabilities"][name] == pytest.approx(probability, abs=1e-4)


def test_predict_names_classes_also_before_the_run_is_evaluated(run, shapes, answered, pictures):
    run.metrics_path.unlink()
    (run.path / "predictions.npz").unlink()
    row = answered("predict", pictures / "sky" / "000.png")[0]
    assert set(row["probabilities"]) == set(shapes.class_names)
    top = answered("top-activations", "-f", 1)[0]["top"]
    assert {image["prediction"] for image in top} <= set(shapes.class_names)


# Somebody's own models.


def sequential(channels=3, activation=None, units=3):
    return keras.Sequential(
        [
            keras.Input((24, 20, channels)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.GlobalAveragePooling2D(name="pooled"),
            layers.Dense(units, activation=activation, name="head"),
        ]
    )


def two_branches():
    image = keras.Input((24, 20, 3))
    left = layers.Conv2D(4, 3, padding="same", name="left")(image)
    left = layers.BatchNormalization(name="norm")(left)
    left = layers.Activation("relu", name="active")(left)
    right = layers.Conv2D(6, 1, name="right")(image)
    joined = layers.Concatenate(name="joined")([left, right])
    return keras.Model(image, layers.Dense(3, name="head")(layers.Flatten()(joined)))


def channels_first():
    image = keras.Input((3, 24, 20))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="conv")(image)
    x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(image, layers.Dense(3)(x))


def saved(model, name="model.keras"):
    model.save(name)
    return model, name


def read(pictures, files):
    return np.stack([np.asarray(Image.open(path)) for path in files])


@pytest.mark.parametrize(
    ("build", "layer", "to_input"),
    [
        (sequential, "first", lambda images: images),
        (two_branches, "active", lambda images: images),
        (channels_first, "relu", lambda images: np.moveaxis(images, -1, 1)),
    ],
)
def test_own_models_are_ranked_at_their_first_relu(pictures, answered, build, layer, to_input):
    model, name = saved(build())
    files = sorted((pictures / "sky").iterdir())
    maps = feature_maps(model, to_input(read(pictures, files)), layer)
    values = maps.mean(axis=(1, 2))
    rows = answered("top-activations", "--model", name, "--images", pictures / "sky", "-f", 2)
    order = np.argsort(-values[:, 1], kind="stable")[:5]
    assert [image["image"] for image in rows[0]["top"]] == [str(files[index]) for index in order]
    np.testing.assert_allclose(
        [image["activation"] for image in rows[0]["top"]], values[order, 1], rtol=1e-4
    )


def test_figures_of_own_models_are_written_here(pictures, invoke, tmp_path):
    _, name = saved(two_branches())
    for command in (["top-activations"], ["feature-maps"], ["filters"], ["explain-filter", "2"]):
        status, _, err = invoke(*command, "--model", name, "--images", pictures)
        assert status == 0, err
    figures = {path.name for path in tmp_path.glob("*.png")}
    # Of the study's filters 1, 8 and 16 the layer has the first only.
    assert figures == {
        "top-activations-active-1.png",
        "feature-maps-active.png",
        "filters-active.png",
        "explain-active-2.png",
    }


def test_a_keras_application_with_any_number_of_classes(pictures, answered, invoke):
    model = keras.applications.MobileNetV2((32, 32, 3), weights=None, alpha=0.35, classes=7)
    _, name = saved(model)
    arguments = ["--model", name, "--images", pictures, "--value-range", -1, 1]
    top = answered("top-activations", "-f", 16, *arguments)[0]["top"]
    assert {image["label"] for image in top} <= set(COLORS)
    assert {image["prediction"] for image in top} <= set("0123456")
    rows = answered("filters", *arguments)
    assert len(rows) == 16
    assert invoke("feature-maps", *arguments)[0] == 0
    assert len(answered("predict", "--model", name, *pictures.glob("sky/00*.png"))) == 10


def test_value_range_is_what_the_model_is_given(pictures, answered):
    image = keras.Input((24, 20, 3))
    pooled = layers.GlobalAveragePooling2D(name="pooled")(layers.Conv2D(1, 1)(image))
    model, name = saved(keras.Model(image, pooled))
    model.layers[1].set_weights([np.ones((1, 1, 3, 1)), np.zeros(1)])
    model.save(name)
    path = pictures / "sky" / "000.png"
    mean = np.asarray(Image.open(path)).mean() / 255
    for low, high in ((0, 255), (0, 1), (-1, 1)):
        arguments = ["--images", path, "--value-range", low, high, "--layer", "pooled", "-k", 1]
        top = answered("top-activations", "--model", name, "-f", 1, *arguments)[0]["top"]
        expected = 3 * (low + mean * (high - low))
        assert top[0]["activation"] == pytest.approx(expected, rel=1e-4)


def test_a_model_of_gray_pictures(pictures, answered, invoke, tmp_path):
    _, name = saved(sequential(channels=1))
    for command in (["top-activations"], ["feature-maps"], ["filters"]):
        status, _, err = invoke(*command, "--model", name, "--images", pictures)
        assert status == 0, err
    for path in (pictures / "leaf").iterdir():
        path.rename(pictures / "sky" / f"leaf-{path.name}")
    row = answered("explain-filter", 1, "--model", name, "--images", pictures / "sky")
    assert row["kernel"]["color"] is None
    assert not any("blue" in name for name in row["correlations"])
    rows = answered("predict", "--model", name, pictures / "sky" / "000.png")
    assert len(rows[0]["probabilities"]) == 3


def test_outputs_that_are_probabilities_already_are_taken_as_they_are(pictures, answered):
    path = pictures / "sky" / "000.png"
    image = np.asarray(Image.open(path))[None]
    model, name = saved(sequential(activation="softmax"))
    expected = keras.ops.convert_to_numpy(model(image))[0]
    found = answered("predict", "--model", name, path)[0]["probabilities"]
    assert [found[str(index)] for index in range(3)] == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_unit_tells_two_classes_apart(pictures, answered, activation):
    model, name = saved(sequential(activation=activation, units=1))
    path = pictures / "sky" / "000.png"
    output = float(keras.ops.convert_to_numpy(model(np.asarray(Image.open(path))[None]))[0, 0])
    share = output if activation else 1 / (1 + np.exp(-output))
    found = answered("predict", "--model", name, path)[0]["probabilities"]
    assert found == pytest.approx({"0": 1 - share, "1": share}, abs=1e-5)


def test_a_model_that_is_no_classifier_is_looked_into_all_the_same(pictures, invoke, refused):
    image = keras.Input((24, 20, 3))
    _, name = saved(keras.Model(image, layers.Conv2D(3, 3, name="out")(image)))
    for command in ("top-activations", "feature-maps", "filters"):
        arguments = ["--tap", "conv", "--model", name, "--images", pictures]
        status, _, err = invoke(command, *arguments)
        assert status == 0, err
    line = refused("predict", "--model", name, pictures / "sky" / "000.png")
    assert "model.keras gives outputs of shape (None, 22, 18, 3); expected a number for" in line


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["top-activations", "-f", "0"], "There is no filter 0; the layer has filters 1 to 32."),
        (["top-activations", "-f", "33"], "There is no filter 33; the layer has filters 1 to 32."),
        (["top-activations", "-f", "-1"], "There is no filter -1"),
        (["top-activations", "-k", "0"], "k = 0: must be from 1 to the number of images, 1000."),
        (["top-activations", "-k", "1001"], "k = 1001: must be from 1 to"),
        (["top-activations", "--layer", "conv9"], "The model has no layer 'conv9'. Its layers are"),
        (["top-activations", "nope"], "No run in 'runs' has 'nope' in its name"),
        (["feature-maps", "--class", "cat"], "no class 'cat'; the classes are disk, ring"),
        (["feature-maps", "--image", "1000"], "Image 1000 is not there; images go from 0 to 999."),
        (["feature-maps", "--image", "-1"], "Image -1 is not there"),
        (["feature-maps", "--filters", "0"], "0 filters cannot be shown; the layer has 32."),
        (["feature-maps", "--filters", "33"], "33 filters cannot be shown; the layer has 32."),
        (["feature-maps", "--filters", "1,33"], "There is no filter 33"),
        (["feature-maps", "--filters", "some"], "'some' is not a number of filters, `all`, or a"),
        (["explain-filter", "33"], "There is no filter 33"),
        (["predict", "none.png"], "There is no file 'none.png'."),
        (["predict", "text.png"], "'text.png' is not a picture that can be read; expected"),
        (["predict", "text.png", "none.png"], "None of 2 files can be read as a picture. The fir"),
        (["predict", "empty"], "There is no picture in 'empty'."),
        (["filters", "--images", "none"], "There is no file 'none'."),
        (["filters", "--model", "none.keras"], "There is no file 'none.keras'."),
        (["filters", "--model", "text.h5", "--images", "shapes"], "'text.h5' is not a .keras file"),
        (
            ["filters", "--model", "text.keras", "--images", "shapes"],
            "'text.keras' cannot be loaded: it is damaged",
        ),
        (["filters", "--model", "good.keras"], "--model needs --images"),
        (
            ["filters", "--model", "good.keras", "--tap", "bn", "--images", "shapes"],
            "No bn follows",
        ),
        (["filters", "-o", "no/such.png"], "'no/such.png' cannot be written"),
    ],
)
def test_bad_input_is_one_clear_line(run, tmp_path, invoke, refused, arguments, words):
    (tmp_path / "text.png").write_text("no")
    (tmp_path / "text.h5").write_text("no")
    (tmp_path / "text.keras").write_text("no")
    (tmp_path / "empty").mkdir()
    if "good.keras" in arguments:
        sequential().save("good.keras")
    if "-o" in arguments:  # the table comes before the figure
        status, _, err = invoke(*arguments)
        assert status == 1
        assert words in err.splitlines()[-1]
    else:
        assert words in refused(*arguments)


def test_there_is_no_run_yet(refused):
    for command in (["top-activations"], ["filters"], ["explain-filter", "1"], ["predict", "x"]):
        line = refused(*command)
        assert line == "There is no run in 'runs'; `kerascnn run adam-lr0.001` makes one."


def test_a_run_without_a_model_yet_says_so(run, invoke, refused):
    invoke("top-activations")
    run.best_path.unlink()
    for command in (["top-activations"], ["feature-maps"], ["filters"]):
        assert f"Run '{run.name}' has no best.keras: " in refused(*command)


@pytest.mark.parametrize(
    "arguments",
    [
        ["top-activations", "latest", "--model", "a.keras"],
        ["predict", "a.png", "--run", "latest", "--model", "a.keras"],
        ["filters", "--value-range", "0", "1"],
        ["filters", "--batch-size", "0"],
        ["filters", "--tap", "pool"],
        ["top-activations", "--score", "median"],
        ["explain-filter"],
        ["predict"],
    ],
)
def test_wrong_usage_exits_2(run, invoke, arguments):
    status, _, err = invoke(*arguments)
    assert status == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("option", "value"),
    [("outputs", "logits"), ("preprocess", "tf"), ("constant", "a=1"), ("output-name", "a")],
)
def test_what_is_about_a_model_is_refused_for_a_run_by_its_name(run, invoke, option, value):
    status, _, err = invoke("filters", f"--{option}", value)
    assert status == 2
    assert f"--{option} goes with --model" in err


def test_a_model_that_could_run_code_is_not_loaded(pictures, refused, tmp_path):
    image = keras.Input((24, 20, 3))
    shifted = layers.Lambda(lambda x: x + 1)(layers.Conv2D(2, 3)(image))
    keras.Model(image, shifted).save("lambda.keras")
    line = refused("top-activations", "--model", "lambda.keras", "--images", pictures)
    assert line == (
        "'lambda.keras' cannot be loaded: it holds a Lambda layer, which can run any code; build "
        "it of other layers, or give its function by --custom FILE.py (in Python, by "
        "custom_objects=)."
    )


def test_a_model_with_a_layer_of_its_own_names_the_layer(pictures, refused):
    class Own(layers.Layer):
        def call(self, x):
            return x

    image = keras.Input((24, 20, 3))
    keras.Model(image, Own()(layers.Conv2D(2, 3)(image))).save("own.keras")
    line = refused("filters", "--model", "own.keras", "--images", pictures)
    assert line == (
        "'own.keras' cannot be loaded: it holds 'Own', which is not Keras's own; where it is "
        "yours, give its code by --custom FILE.py (in Python, by custom_objects=)."
    )


def vectors():
    return keras.Sequential([keras.Input((10,)), layers.Dense(3)])


def two_inputs():
    images = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    return keras.Model(images, layers.Conv2D(2, 3)(layers.Add()(images)))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: sequential(channels=5),
            "(None, 24, 20, 5), with 5 channels; expected 1 (gray), 3",
        ),
        (vectors, "inputs of shape (None, 10); expected pictures"),
        (two_inputs, "; pictures go into one. Fill each of the others with a number, such as --co"),
    ],
)
def test_a_model_that_takes_no_pictures_is_refused(pictures, refused, build, words):
    build().save("model.keras")
    for images in (pictures, "shapes"):
        arguments = ["--model", "model.keras", "--images", images, "--tap", "conv"]
        if build is vectors:
            arguments = [*arguments[:-2], "--layer", "dense"]
        assert words in refused("top-activations", *arguments)
