"""The figures about filters, read through their artists: pictures, places and words."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from made.figures import (
    HOSTILE_SETTINGS,
    KINDS,
    boxes_of,
    build_filter,
    build_kernel,
    build_maps,
    build_pictures,
    build_ranked,
    build_top,
    draw_all,
    draw_explanation,
    lines_below,
    panel,
    pictures_of,
    render,
    shown_texts,
    tick_names,
    words,
)
from matplotlib.figure import Figure

from kerascnn.show.canvas import DEAD, KERNEL, MAP, PICTURE, SIDE
from kerascnn.show.filter_figures import plot_feature_maps, plot_filters, plot_top_activations
from kerascnn.show.pictures import kernel_to_picture

MATH_NAMES = ["$a_1$", "b_c^d", "$\\frac{", "50$ or 60$"]
LONG_NAMES = [*(f"industrial building with a very long roof {i}" for i in range(3)), "W" * 40]

# All figures


def test_every_function_returns_a_figure_with_its_title():
    for figure in draw_all(title="What is seen").values():
        assert type(figure) is Figure
        assert figure.get_suptitle() == "What is seen"


def test_settings_of_matplotlib_stay_as_they_were():
    before = dict(matplotlib.rcParams.copy())
    draw_all()
    assert dict(matplotlib.rcParams.copy()) == before


def test_settings_of_the_user_do_not_change_a_figure():
    expected = {kind: render(figure) for kind, figure in draw_all().items()}
    built_before = draw_all()
    with matplotlib.rc_context(HOSTILE_SETTINGS):
        for figures in (built_before, draw_all()):
            drawn = {kind: render(figure) for kind, figure in figures.items()}
            assert [kind for kind in expected if drawn[kind] != expected[kind]] == []


@pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS)
def test_math_signs_in_names_are_drawn_as_they_stand(draw):
    figure = draw(MATH_NAMES, "A title")
    render(figure)
    for name in MATH_NAMES:
        assert name in words(figure)
    with_dollars = [text for text in shown_texts(figure) if "$" in text.get_text()]
    assert not any(text.get_parse_math() for text in with_dollars)


def test_math_signs_in_an_explanation_are_drawn_as_they_stand():
    figure = draw_explanation(
        title="$\\frac{", correlations={"$x_1": 0.5}, sentence="costs $5 or $\\frac{"
    )
    render(figure)
    assert figure.get_supxlabel() == "costs $5 or $\\frac{"
    assert tick_names(panel(figure, "Properties")) == ["$x_1"]


def test_what_the_font_cannot_draw_is_replaced_without_a_warning():
    for figure in draw_all(["猫", "chien\n", "a\tb", "\x00"], title="猫 of 犬").values():
        render(figure)
        assert figure.get_suptitle() == "� of �"


def test_a_long_title_ends_above_all_pictures_and_inside_the_figure():
    for figure in draw_all(title="a rather long title " * 30).values():
        render(figure)
        (title,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
        box = title.get_window_extent()
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        for picture in [image for axes in figure.axes for image in axes.images]:
            assert picture.get_window_extent().y1 < box.y0


@pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS)
def test_long_names_are_shortened_and_leave_the_layout_whole(draw):
    figure = draw([name * 6 for name in LONG_NAMES], "A title")
    render(figure)
    assert sum("…" in text.get_text() for text in shown_texts(figure)) >= 4
    boxes = {text: text.get_window_extent() for text in shown_texts(figure)}
    for text, box in boxes.items():
        assert figure.bbox.x0 <= box.x0, text
        assert box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0, text
    for first, second in combinations(boxes, 2):
        assert not boxes[first].overlaps(boxes[second]), (first, second)


# plot_top_activations


def test_each_filter_has_its_kernel_and_then_its_images_by_rank():
    rows = [build_top(1, 3), build_top(16, 3, images=255 - build_pictures(3))]
    figure = plot_top_activations(rows, "Top")
    kernels, pictures = pictures_of(figure, KERNEL), pictures_of(figure)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(kernels[i].get_array(), kernel_to_picture(row.kernel))
        shown = pictures[3 * i : 3 * i + 3]
        np.testing.assert_array_equal([image.get_array() for image in shown], row.images)
        assert {image.get_interpolation() for image in shown} == {"nearest"}
        lefts = [image.get_extent()[0] for image in [kernels[i], *shown]]
        assert lefts == sorted(set(lefts))
        assert len({image.get_extent()[2] for image in [kernels[i], *shown]}) == 1
    assert kernels[0].get_extent()[2] < kernels[1].get_extent()[3]


def test_number_of_a_filter_stands_above_its_kernel():
    figure = plot_top_activations([build_top(1), build_top(16)], "Top")
    for number, (left, _, _, top) in zip((1, 16), boxes_of(figure, KERNEL), strict=True):
        (label,) = [text for text in figure.axes[0].texts if text.get_text() == f"filter {number}"]
        assert label.get_position()[0] == left
        assert 0 < top - label.get_position()[1] < 0.3


def test_image_has_rank_class_activation_and_the_prediction_only_if_it_is_wrong():
    row = build_top(
        ranked=[
            build_ranked(1, activation=10.905),
            build_ranked(2, label="automobile", prediction="bird", activation=0.5),
        ]
    )
    figure = plot_top_activations([row], "Top")
    right, wrong = boxes_of(figure, PICTURE)
    assert lines_below(figure, right) == ["1. airplane", "10.905"]
    assert lines_below(figure, wrong) == ["2. automobile", "0.500", "called bird"]


def test_images_without_labels_have_their_prediction_and_those_without_both_a_rank():
    row = build_top(ranked=[build_ranked(label=None, prediction="bird", activation=10.905)])
    figure = plot_top_activations([row], "Top")
    assert lines_below(figure, boxes_of(figure, PICTURE)[0]) == ["1. called bird", "10.905"]
    row = build_top(ranked=[build_ranked(label=None, prediction=None, activation=10.905)])
    figure = plot_top_activations([row], "Top")
    assert lines_below(figure, boxes_of(figure, PICTURE)[0]) == ["1.", "10.905"]


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0.000"), (1e-5, "1.00e-05"), (2.5e6, "2.50e+06"), (-1.5, "-1.500")],
)
def test_activations_of_any_size_stay_short_and_legible(value, written):
    row = build_top(ranked=[build_ranked(activation=value)])
    figure = plot_top_activations([row], "Top")
    assert lines_below(figure, boxes_of(figure, PICTURE)[0])[1] == written


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("num_filters", [1, 8])
def test_any_number_of_filters_and_images_fits_the_figure_without_overlap(num_filters, k):
    rows = [build_top(number, k) for number in range(1, num_filters + 1)]
    figure = plot_top_activations(rows, "Top")
    boxes = boxes_of(figure, PICTURE) + boxes_of(figure, KERNEL)
    assert len(boxes) == num_filters * (k + 1)
    width, _ = figure.get_size_inches()
    for left, right, bottom, top in boxes:
        assert 0 <= left < right <= width
        assert figure.axes[0].get_ylim()[1] < top < bottom < figure.axes[0].get_ylim()[0]
    for first, second in combinations(boxes, 2):
        assert (
            first[1] <= second[0]
            or second[1] <= first[0]
            or first[2] <= second[3]
            or second[2] <= first[3]
        )


def test_layer_without_kernels_leaves_no_room_for_them():
    with_kernel = plot_top_activations([build_top(k=5)], "Top")
    without = plot_top_activations([build_top(k=5, kernel=None)], "Top")
    assert pictures_of(without, KERNEL) == []
    assert "ernel" not in words(without)
    assert "filter 16" in words(without)
    assert without.get_figwidth() < with_kernel.get_figwidth()


def test_kernel_says_its_size_and_that_channels_are_averaged():
    row = build_top(kernel=np.ones((5, 3, 64)))
    figure = plot_top_activations([row, build_top(1)], "Top")
    deep, colored = (lines_below(figure, box) for box in boxes_of(figure, KERNEL))
    assert deep[:2] == ["kernel 5×3", "mean of 64 channels"]
    assert colored[0] == "kernel 3×3"
    assert not any("channels" in line for line in colored)


@pytest.mark.parametrize("shape", [(224, 224), (48, 96), (96, 48)])
def test_pictures_keep_their_proportions(shape):
    row = build_top(images=build_pictures(2, *shape))
    figure = plot_top_activations([row], "Top")
    render(figure)
    for left, right, bottom, top in boxes_of(figure, PICTURE):
        assert (bottom - top) / (right - left) == pytest.approx(shape[0] / shape[1])
        assert max(bottom - top, right - left) == pytest.approx(SIDE)
    width, height = figure.get_size_inches()
    canvas = figure.axes[0]
    assert canvas.get_xlim() == (0, width)
    assert abs(canvas.get_ylim()[0] - canvas.get_ylim()[1]) == pytest.approx(height)


def test_rows_of_uneven_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        plot_top_activations([build_top(images=build_pictures(3))], "Top")


# plot_feature_maps


def test_image_stands_beside_its_maps_under_its_caption():
    row = build_maps(3)
    figure = plot_feature_maps([row], "Maps")
    (picture,), maps = pictures_of(figure), pictures_of(figure, MAP)
    np.testing.assert_array_equal(picture.get_array(), row.image)
    np.testing.assert_array_equal([shown.get_array() for shown in maps], row.maps)
    assert {shown.get_interpolation() for shown in maps} == {"nearest"}
    assert picture.get_extent()[1] < min(shown.get_extent()[0] for shown in maps)
    (caption,) = [text for text in figure.axes[0].texts if text.get_text() == "cat, called cat 98%"]
    assert caption.get_position()[1] < picture.get_extent()[3]


def test_maps_wrap_onto_lines_of_eight_in_order():
    boxes = boxes_of(plot_feature_maps([build_maps(20)], "Maps"), MAP)
    lines = sorted({box[3] for box in boxes})
    columns = sorted({round(box[0], 6) for box in boxes})
    assert (len(lines), len(columns)) == (3, 8)
    assert [(lines.index(box[3]), columns.index(round(box[0], 6))) for box in boxes] == [
        (i // 8, i % 8) for i in range(20)
    ]


def test_each_map_has_its_filter_s_number_above_it():
    row = build_maps(3, numbers=[1, 8, 128])
    figure = plot_feature_maps([row], "Maps")
    texts = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    for number, box in zip([1, 8, 128], boxes_of(figure, MAP), strict=True):
        x, y = texts[f"filter {number}"]
        assert x == box[0]
        assert 0 < box[3] - y < 0.25


def test_maps_of_one_image_share_one_scale_and_images_have_their_own():
    low, high = np.zeros((2, 4, 4)), np.ones((2, 4, 4))
    high[1] = 7
    low[0, 0, 0] = -1
    figure = plot_feature_maps([build_maps(maps=low), build_maps(maps=high)], "Maps")
    limits = [shown.get_clim() for shown in pictures_of(figure, MAP)]
    assert limits == [(-1, 0), (-1, 0), (1, 7), (1, 7)]
    scales = figure.axes[1:]
    assert [axes.get_ylim() for axes in scales] == [(-1, 0), (1, 7)]
    assert tick_names(scales[0]) == ["-1", "-0.5", "0"]
    assert tick_names(scales[1]) == ["1", "4", "7"]


def test_maps_that_are_all_zero_or_not_finite_still_have_a_scale():
    broken = np.full((2, 4, 4), np.nan)
    rows = [build_maps(maps=np.zeros((2, 4, 4))), build_maps(maps=broken)]
    figure = plot_feature_maps(rows, "Maps")
    render(figure)
    assert {shown.get_clim() for shown in pictures_of(figure, MAP)} == {(0, 1)}
    broken[0] = 3
    broken[1] = 2
    broken[1, 0, 0] = np.inf
    figure = plot_feature_maps([build_maps(maps=broken)], "Maps")
    render(figure)
    assert {shown.get_clim() for shown in pictures_of(figure, MAP)} == {(2, 3)}


@pytest.mark.parametrize("shape", [(1, 1, 1), (128, 8, 8), (9, 4, 12)])
def test_maps_of_any_number_and_shape_stay_clear_of_the_next_image(shape):
    rows = [build_maps(maps=np.ones(shape)) for _ in range(2)]
    figure = plot_feature_maps(rows, "Maps")
    maps, (_, second) = boxes_of(figure, MAP), boxes_of(figure, PICTURE)
    assert len(maps) == 2 * shape[0]
    assert max(box[2] for box in maps[: shape[0]]) < second[3]
    assert max(box[1] for box in maps) < figure.get_figwidth()


# plot_filters


def test_kernels_stand_eight_to_a_line_in_order():
    rows = [build_filter(n, np.random.default_rng(n).random((3, 3, 3))) for n in range(1, 13)]
    figure = plot_filters(rows, "Filters")
    shown = pictures_of(figure, KERNEL)
    for image, row in zip(shown, rows, strict=True):
        np.testing.assert_array_equal(image.get_array(), kernel_to_picture(row.kernel))
    tops, lefts = ([image.get_extent()[end] for image in shown] for end in (3, 0))
    assert len(set(tops[:8])) == len(set(tops[8:])) == 1
    assert tops[0] < tops[8]
    assert lefts[:4] == lefts[8:]
    assert lefts[:8] == sorted(set(lefts[:8]))


def test_kernel_has_its_number_above_and_its_statistics_below():
    row = build_filter(2, mean=0.4567, classes=["bird", "cat", "dog"])
    figure = plot_filters([row], "Filters")
    (box,) = boxes_of(figure, KERNEL)
    assert lines_below(figure, box)[:4] == ["active 63%", "mean 0.457", "bird", "cat"]
    assert "dog" not in words(figure)
    (label,) = [text for text in figure.axes[0].texts if text.get_text() == "filter 2"]
    assert 0 < box[3] - label.get_position()[1] < 0.3
    np.testing.assert_array_equal(
        pictures_of(figure, KERNEL)[0].get_array(), kernel_to_picture(row.kernel)
    )


@pytest.mark.parametrize(("share", "written"), [(0, "0%"), (0.0001, "<1%"), (1, "100%")])
def test_share_of_a_filter_that_is_hardly_active_is_not_rounded_to_none(share, written):
    figure = plot_filters([build_filter(active_share=share)], "Filters")
    assert f"active {written}" in words(figure).splitlines()


def test_dead_filter_is_crossed_out_and_called_dead():
    rows = [build_filter(1), build_filter(2, is_dead=True, classes=["bird"])]
    figure = plot_filters(rows, "Filters")
    alive, dead = boxes_of(figure, KERNEL)
    left, right, bottom, top = dead
    crosses = [line for line in figure.axes[0].lines if line.get_gid() == DEAD]
    ends = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in crosses}
    assert ends == {((left, right), (top, bottom)), ((left, right), (bottom, top))}
    assert lines_below(figure, dead)[:2] == ["dead", "mean 0.500"]
    assert "bird" not in words(figure)
    assert "dead" not in lines_below(figure, alive)
    assert "1 of 2 filters are dead (crossed out)." in words(figure)


def test_without_dead_filters_nothing_is_crossed_out():
    figure = plot_filters([build_filter()], "Filters")
    assert [line for line in figure.axes[0].lines if line.get_gid() == DEAD] == []
    assert "crossed out" not in words(figure)


def test_filters_of_a_deep_layer_say_that_channels_are_averaged():
    deep = plot_filters([build_filter(kernel=build_kernel(64))], "Filters")
    assert "mean of 64 channels" in words(deep).replace("\n", " ")
    colored = plot_filters([build_filter()], "Filters")
    assert "channels" not in words(colored)
