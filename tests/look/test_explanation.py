"""What is said of a filter, on kernels, images and scores whose answer is known."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from kerascnn.data.batches import ImageArray
from kerascnn.errors import SelectionError
from kerascnn.look.explanation import (
    explain,
    image_properties,
    over_represented,
    rank_correlations,
    superiority,
    top_images,
)
from kerascnn.look.kernels import describe_kernel, name_color
from kerascnn.look.scores import Survey

# Light above dark, light left of dark, and the two diagonals; zeros lie along the edge.
EDGES = {
    0: [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    45: [[1, 1, 0], [1, 0, -1], [0, -1, -1]],
    90: [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    135: [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]],
}


def in_channels(plane, *weights):
    return np.asarray(plane, "float32")[..., None] * np.array(weights, "float32")


# Kernels.


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("angle", EDGES)
def test_orientation_is_that_of_the_edge_counter_clockwise_from_horizontal(angle, sign):
    described = describe_kernel(in_channels(EDGES[angle], sign, sign, sign))
    assert described.orientation == angle
    assert described.selectivity > 0.5
    # Light above dark and its opposite are the same to a plain color.
    assert described.color == "none"


def grating(angle, size=9):
    """A wave of four pixels a period that fades from the middle, its crests at an angle."""
    rows, columns = np.indices((size, size)) - size // 2
    up, right = -rows, columns
    across = up * math.cos(math.radians(angle)) - right * math.sin(math.radians(angle))
    return np.cos(across * math.pi / 2) * np.exp(-(rows**2 + columns**2) / 8)


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_orientation_of_waves_at_any_angle(angle):
    described = describe_kernel(in_channels(grating(angle), 1, 1, 1))
    # The steps are of 5 degrees; 0 and 180 are the same.
    assert abs((described.orientation - angle + 90) % 180 - 90) <= 5
    assert 0 <= described.orientation < 180
    assert described.selectivity > 0.8


def test_a_kernel_of_one_pixel_has_no_orientation_to_speak_of():
    plane = np.zeros((3, 3))
    plane[1, 1] = 1
    assert describe_kernel(in_channels(plane, 1, 1, 1)).selectivity == pytest.approx(0, abs=1e-6)
    assert describe_kernel(np.zeros((3, 3, 3))).selectivity == 0


def test_a_blue_kernel_prefers_blue_and_is_all_color():
    described = describe_kernel(in_channels(np.ones((3, 3)), 0, 0, 1))
    assert described.color == "blue"
    assert described.color_weights == (0, 0, 9)
    # One channel of three: the energy less that of its mean, 1 - 1/3.
    assert described.color_share == pytest.approx(2 / 3)


def test_a_sign_flipped_blue_kernel_prefers_the_opposite_of_blue():
    assert describe_kernel(in_channels(np.ones((3, 3)), 0, 0, -1)).color == "yellow"


def test_a_gray_kernel_has_no_color():
    described = describe_kernel(in_channels(np.ones((3, 3)), 2, 2, 2))
    assert (described.color, described.color_share) == ("bright", 0)
    assert describe_kernel(in_channels(np.ones((3, 3)), -2, -2, -2)).color == "dark"


def test_a_kernel_of_another_number_of_channels_has_an_orientation_only():
    for channels in (1, 2, 32):
        described = describe_kernel(in_channels(EDGES[90], *[1] * channels))
        assert described.orientation == 90
        assert described.color is described.color_weights is described.color_share is None


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ((1, 0, 0), "red"),
        ((1, 1, -1), "yellow"),
        ((0, 1, 0), "green"),
        ((-1, 1, 1), "cyan"),
        ((0, 0, 1), "blue"),
        ((1, -1, 1), "magenta"),
        ((1, 0.5, 0), "orange"),
        ((1, 0.95, 0.9), "bright"),
    ],
)
def test_colors_by_their_names(weights, name):
    assert name_color(np.array(weights, float)) == name


# Images.


def one(image):
    """Properties of a single image, as plain numbers."""
    return {name: values[0] for name, values in image_properties(ImageArray(image[None])).items()}


def test_a_blue_border_round_a_gray_centre():
    image = np.zeros((16, 16, 3), "uint8")
    image[..., 2] = 255
    image[4:12, 4:12] = 128
    found = one(image)
    assert found["blueness in the border"] == pytest.approx(1)
    assert found["blueness in the centre"] == pytest.approx(0, abs=1e-6)
    # 64 of 256 pixels are the centre.
    assert found["blueness of the image"] == pytest.approx(0.75)
    assert found["redness in the border"] == pytest.approx(-0.5)
    assert found["brightness in the centre"] == pytest.approx(128 / 255)
    assert found["brightness in the border"] == pytest.approx(0.114)
    assert found["contrast in the border"] == pytest.approx(0, abs=1e-6)


def test_contrast_is_the_standard_deviation_of_gray():
    image = np.zeros((8, 8, 3), "uint8")
    image[:, 4:] = 255
    assert one(image)["contrast of the image"] == pytest.approx(0.5)


def energies(image, region="of the image"):
    found = one(image)
    names = ("horizontal", "vertical", "rising", "falling")
    return {name: found[f"{name} edges {region}"] for name in names}


def gray(plane):
    return np.repeat(np.where(plane, 255, 0).astype("uint8")[..., None], 3, axis=2)


def test_stripes_have_the_energy_of_their_own_orientation():
    rows, columns = np.indices((16, 16))
    horizontal, vertical = gray(rows % 2 == 0), gray(columns % 2 == 0)
    assert energies(horizontal, "in the centre") == pytest.approx(
        {"horizontal": 1, "vertical": 0, "rising": 0.5, "falling": 0.5}
    )
    assert energies(vertical, "in the centre") == pytest.approx(
        {"horizontal": 0, "vertical": 1, "rising": 0.5, "falling": 0.5}
    )


def test_a_diagonal_has_more_energy_across_it_than_along_it():
    rows, columns = np.indices((16, 16))
    # Row and column numbers have a constant sum along "/", and a constant difference along "\".
    rising, falling = gray((rows + columns) // 4 % 2), gray((rows - columns) // 4 % 2)
    assert energies(rising)["rising"] > 3 * energies(rising)["falling"]
    assert energies(falling)["falling"] > 3 * energies(falling)["rising"]


def test_many_images_are_measured_one_by_one():
    images = np.random.default_rng(0).integers(0, 256, (501, 4, 6, 3), "uint8")
    together = image_properties(ImageArray(images))
    assert len(together) == 27
    for place in (0, 500):
        for name, value in one(images[place]).items():
            assert together[name][place] == pytest.approx(value, abs=1e-6)


def test_properties_of_the_same_images_are_measured_once():
    images = np.zeros((2, 4, 4, 3), "uint8")
    dark = image_properties(ImageArray(images))
    assert image_properties(ImageArray(images.copy())) is dark
    images += 255
    assert image_properties(ImageArray(images))["brightness of the image"] == pytest.approx(1)


def test_images_of_one_channel_have_no_colors_and_tiny_ones_no_centre():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), "uint8")
    found = one(image)
    assert found == pytest.approx(
        {
            name: value
            for name, value in one(np.repeat(image, 3, axis=2)).items()
            if "ness" not in name or "bright" in name
        },
        abs=1e-6,
    )
    assert all(math.isfinite(value) for value in one(np.ones((2, 2, 3), "uint8")).values())


# Classes and correlations.


def test_over_representation_is_the_hypergeometric_tail_times_the_number_of_classes():
    labels = np.array([0] * 5 + [1] * 15)
    (found,) = over_represented(labels, np.array([0, 1, 2, 3]), ("cat", "dog"))
    # All four drawn are of class 0: C(5, 4) of the C(20, 4) ways.
    assert (found.label, found.name) == (0, "cat")
    assert found.p_value == pytest.approx(2 * 5 / 4845)
    assert (found.count, found.share, found.base_rate) == (4, 1.0, 0.25)


def test_three_of_four_is_within_chance_after_correction():
    # P(at least 3 of class 0) = (C(5,3) C(15,1) + C(5,4)) / C(20,4) = 155 / 4845 = 0.032 < 0.05.
    assert over_represented(np.array([0] * 5 + [1] * 15), np.array([0, 1, 2, 9]), "ab") == []


def test_the_least_probable_class_comes_first_not_the_most_frequent():
    labels = np.repeat([0, 1, 2], [500, 20, 480])
    top = np.r_[np.arange(70), 500:520]
    rows = over_represented(labels, top, "abc")
    assert [(row.label, row.count) for row in rows] == [(1, 20), (0, 70)]


def test_no_top_images_mean_no_class():
    assert over_represented(np.array([0, 1]), np.array([], int), "ab") == []


def test_top_images_are_a_tenth_or_a_hundred():
    scores = np.arange(50.0)
    assert top_images(scores).tolist() == [49, 48, 47, 46, 45]
    assert top_images(np.arange(3.0)).tolist() == [2]
    assert len(top_images(np.arange(5000.0))) == 100


def test_top_images_leave_out_a_tie_that_goes_on_beyond_them():
    # Seven images excite the filter; of those at zero none is higher than another.
    scores = np.zeros(1000)
    scores[990:997] = np.arange(1, 8)
    assert top_images(scores).tolist() == [996, 995, 994, 993, 992, 991, 990]
    assert top_images(np.zeros(1000)).tolist() == []


def test_rank_correlations_are_scipys_and_the_strongest_first():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 5, 200)
    properties = {
        "unrelated": generator.random(200),
        "opposite": -scores + generator.normal(size=200),
        "constant": np.ones(200),
        "close": scores + generator.normal(size=200) / 10,
    }
    found = rank_correlations(scores, properties)
    assert list(found) == ["close", "opposite", "unrelated", "constant"]
    assert found.pop("constant") == 0
    for name, rho in found.items():
        assert rho == pytest.approx(spearmanr(scores, properties[name]).statistic)


# Superiority.


def repeat_superiority(shift, trials=60, seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(trials):
        control = generator.normal(size=1000)
        is_class = generator.random(1000) < 0.1
        rows.append(superiority(control + generator.normal(size=1000) + shift * is_class,
                                is_class, control))  # fmt: skip
    return rows


def test_a_class_that_only_the_control_explains_is_about_half_and_rarely_told():
    rows = repeat_superiority(0)
    assert np.mean([row.probability for row in rows]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([row.p_value < 0.05 for row in rows]) < 0.15
    # The interval holds the true value nineteen times in twenty.
    assert np.mean([row.low <= 0.5 <= row.high for row in rows]) > 0.85


def test_a_class_that_is_higher_is_found():
    rows = repeat_superiority(1)
    # Two normal variables a standard deviation apart: P(Z < 1 / sqrt(2)) = 0.76.
    assert np.mean([row.probability for row in rows]) == pytest.approx(0.76, abs=0.02)
    assert all(row.p_value < 1e-6 for row in rows)
    assert all(row.low < row.probability < row.high for row in rows)


def test_one_stratum_of_ties_is_half_and_a_single_pair_is_whole():
    is_class = np.array([True, False])
    same = superiority(np.zeros(100), np.arange(100) % 2 == 0, np.zeros(100))
    assert same.probability == 0.5
    # Each stratum holds one image: nothing can be compared.
    alone = superiority(np.array([1.0, 0.0]), is_class, np.arange(2))
    assert (alone.probability, alone.low, alone.high, alone.p_value) == (0.5, 0.0, 1.0, 1.0)


# The sentence.


def said(scores, control, labels, names=("cat", "dog")):
    properties = {"redness": control, "noise": np.random.default_rng(9).normal(size=len(scores))}
    labels = None if labels is None else np.asarray(labels, int)
    scores = np.asarray(scores, float)[:, None]
    survey = Survey("relu1", dict.fromkeys(("mean", "max", "l2"), scores), None)
    found = explain(survey, 0, properties, labels, names)
    return found.sentence, found


@pytest.fixture
def world():
    """A control, noise, and labels: dog (1) is one in ten, and more often where it is high."""
    generator = np.random.default_rng(0)
    control, noise = generator.normal(size=(2, 10_000))
    is_dog = generator.random(10_000) < 0.1 / (1 + np.exp(-2 * control)) * 2
    return control, noise, is_dog


def often_where_high(control):
    chance = 0.6 / (1 + np.exp(-4 * (control - 1.5)))
    return np.random.default_rng(4).random(len(control)) < chance


def test_a_dead_filter_is_called_dead_and_nothing_else_is_said(world):
    control, _, is_dog = world
    sentence, found = said(np.zeros(10_000), control, np.sort(is_dog)[::-1])
    assert sentence == "Filter 1 of relu1 answers every image alike: it is dead."
    assert found.classes == ()
    assert set(found.correlations.values()) == {0.0}


def test_a_filter_that_follows_a_property_or_its_lack(world):
    control, noise, _ = world
    labels = np.arange(10_000) % 2
    assert said(control, control, labels)[0] == (
        "Filter 1 of relu1 follows redness (rank correlation rho = 1.00). No class is "
        "over-represented among its top images."
    )
    assert said(noise - control, control, labels)[0].startswith(
        "Filter 1 of relu1 follows the lack of redness (rank correlation rho = -0.7"
    )


def test_a_filter_that_follows_nothing(world):
    control, noise, _ = world
    sentence, _ = said(noise, control, np.arange(10_000) % 2)
    assert sentence.startswith(
        "Filter 1 of relu1 follows none of the simple properties of images; its strongest rank "
        "correlation is rho = "
    )


def test_what_few_images_may_show_by_chance_is_not_said():
    control = np.arange(24.0)
    scores = np.random.default_rng(0).permutation(24) + 0.6 * control
    strongest = max(map(abs, rank_correlations(scores, {"redness": control}).values()))
    assert 0.3 < strongest < 0.46
    assert "follows none of the simple properties" in said(scores, control, None)[0]
    many = np.tile(scores, 20), np.tile(control, 20)
    assert "follows redness (rank correlation rho = 0." in said(*many, None)[0]


def test_without_labels_nothing_is_said_of_classes(world):
    control, _, _ = world
    sentence, found = said(control, control, None)
    assert sentence == "Filter 1 of relu1 follows redness (rank correlation rho = 1.00)."
    assert found.classes == ()


def test_a_class_that_the_property_does_not_explain(world):
    control, noise, is_dog = world
    sentence, found = said(control + noise + 2 * is_dog, control, is_dog)
    given = found.classes[0].given_property
    assert sentence.endswith(
        ". Class dog is over-represented among its top images. Also among images with about the "
        f"same redness, a dog scores higher than another image {100 * given.probability:.0f} times "
        f"in 100 (95 %: {100 * given.low:.0f} to {100 * given.high:.0f})."
    )
    assert (found.classes[0].name, found.num_top) == ("dog", 100)


def test_names_have_the_article_that_is_right_and_the_whole_image_is_not_named(world):
    control, noise, is_dog = world
    survey = Survey("relu1", {"mean": (control + noise + 2 * is_dog)[:, None]}, None)
    properties = {"redness of the image": control}
    sentence = explain(survey, 0, properties, is_dog.astype(int), ("cat", "otter")).sentence
    assert "follows redness of the image (" in sentence
    assert "with about the same redness, an otter scores higher than another image" in sentence


def test_a_class_that_the_property_explains_scores_no_higher(world):
    control, noise, is_dog = world
    scores = control + noise
    raw = np.mean(scores[is_dog][:, None] > scores[~is_dog][None, :500])
    assert raw > 0.6
    sentence, found = said(scores, control, is_dog)
    assert [each.name for each in found.classes] == ["dog"]
    assert (
        "But among images with about the same redness, a dog scores no higher than another image: "
        "it is higher 5"
    ) in sentence


def test_a_class_that_scores_lower_than_its_property_has_it(world):
    control, noise, _ = world
    is_dog = often_where_high(control)
    sentence, found = said(3 * control + noise - 0.5 * is_dog, control, is_dog)
    assert found.classes[0].given_property.probability < 0.45
    assert "a dog scores lower than another image: it is higher " in sentence


def test_a_class_hardly_higher_is_neither_higher_nor_no_higher():
    control, noise = np.random.default_rng(3).normal(size=(2, 100_000))
    is_dog = often_where_high(control)
    sentence, found = said(2 * control + noise + 0.12 * is_dog, control, is_dog)
    assert found.classes[0].given_property.p_value < 0.05
    assert "a dog scores hardly higher than another image: it is higher 5" in sentence


def test_few_images_say_nothing_about_a_class_as_such():
    control = np.arange(100.0)
    labels = np.r_[np.zeros(90), np.ones(10)]
    sentence, found = said(control, control, labels)
    assert found.classes[0].count == 10
    assert sentence.endswith(", but too few images can be compared to be sure.")
    assert "no higher" not in sentence


def test_too_few_images_are_refused():
    with pytest.raises(SelectionError, match=r"^19 images are too few to tell .* at least 20 are"):
        said(np.arange(19), np.arange(19), None)
