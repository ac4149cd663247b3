"""The figures about filters, read through their artists: pictures, places and words."""

import io
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from kerascnn.show import filter_figures as plots
from kerascnn.show.canvas import DEAD, LINE, PICTURE, SIDE

NAMES = ["airplane", "automobile", "bird", "cat"]
MATH_NAMES = ["$a_1$", "b_c^d", "$\\frac{", "50$ or 60$"]
LONG_NAMES = [*(f"industrial building with a very long roof {i}" for i in range(3)), "W" * 40]


def build_pictures(num_images, height=32, width=32):
    shape = (num_images, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def build_kernels(num_filters, channels=3):
    return np.random.default_rng(1).normal(size=(3, 3, channels, num_filters))


def build_top_row(number=16, k=2, **changes):
    row = {
        "filter": number,
        "kernel": build_kernels(1)[..., 0],
        "images": build_pictures(k),
        "labels": np.arange(k) % 4,
        "predictions": np.arange(k) % 4,
        "values": 10.905 - np.arange(k),
    }
    return row | changes


def build_map_row(num_maps=2, caption="cat, called cat 98%", **changes):
    maps = np.random.default_rng(2).random((num_maps, 16, 16)).astype("float32")
    filters = list(range(1, num_maps + 1))
    row = {"image": build_pictures(1)[0], "caption": caption, "maps": maps, "filters": filters}
    return row | changes


def build_filter_row(number=1, **changes):
    row = {"filter": number, "is_dead": False, "active_share": 0.63, "mean": 0.5, "classes": []}
    return row | changes


def explain(correlations=None, kernel=None, classes=(), title="A title", sentence="It follows."):
    correlations = {"blueness of the image": 0.9} if correlations is None else correlations
    return plots.plot_explanation(correlations, kernel, list(classes), title, sentence)


def draw_top(names, title):
    row = build_top_row(k=4, predictions=np.array([1, 2, 3, 0]))
    return plots.plot_top_activations([row], names, title)


def draw_maps(names, title):
    return plots.plot_feature_maps([build_map_row(caption=name) for name in names], title)


def draw_filters(names, title):
    rows = [build_filter_row(i + 1, classes=[name]) for i, name in enumerate(names)]
    return plots.plot_filters(build_kernels(len(names)), rows, title)


def draw_explanation(names, title):
    classes = [{"name": name, "share": 0.3, "base_rate": 0.1} for name in names]
    return explain(kernel=build_kernels(1)[..., 0], classes=classes, title=title)


def draw_probabilities(names, title):
    probabilities = np.full((len(names), len(names)), 1 / len(names))
    return plots.plot_probabilities(build_pictures(len(names)), names, probabilities, names, title)


# One figure of each kind, with four names wherever text from outside goes.
KINDS = {
    "top": draw_top,
    "maps": draw_maps,
    "filters": draw_filters,
    "explanation": draw_explanation,
    "probabilities": draw_probabilities,
}


def draw_all(names=NAMES, title="A title"):
    return {kind: draw(names, title) for kind, draw in KINDS.items()}


def pictures_of(figure, gid=PICTURE):
    return [image for axes in figure.axes for image in axes.images if image.get_gid() == gid]


def boxes_of(figure, gid):
    """Left, right, lower and upper end of each picture, as y counts downwards."""
    return [tuple(image.get_extent()) for image in pictures_of(figure, gid)]


def shown_texts(figure):
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    hidden = out_of_view(figure)
    return [text for text in texts if text not in hidden]


def out_of_view(figure):
    """Labels of ticks beyond the end of their axis, which are never drawn."""
    return [
        tick.label1
        for axes in figure.axes
        for tick in axes.xaxis.get_major_ticks()
        if tick.get_loc() > axes.get_xlim()[1]
    ]


def lines_below(figure, box):
    """The words under a picture of the canvas, from the top down."""
    left, right, bottom, _ = box
    return [
        text.get_text()
        for text in sorted(figure.axes[0].texts, key=lambda text: text.get_position()[1])
        if left <= text.get_position()[0] < right
        and bottom < text.get_position()[1] < bottom + 4.5 * LINE
    ]


def words(figure):
    return "\n".join(text.get_text() for text in shown_texts(figure))


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba")
    return buffer.getvalue()


def panel(figure, title):
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith(title)]
    return axes


def bar_lengths(axes):
    return [bar.get_width() for container in axes.containers for bar in container]


def tick_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


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
    hostile = {
        "axes.facecolor": "black",
        "figure.facecolor": "black",
        "axes.grid": True,
        "font.family": ["serif"],
        "font.size": 17,
        "image.cmap": "gray",
        "image.interpolation": "bilinear",
        "image.origin": "lower",
        "lines.linewidth": 9,
        "text.color": "yellow",
        "xtick.labelcolor": "red",
        "ytick.labelsize": 20,
    }
    with matplotlib.rc_context(hostile):
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
    figure = explain({"$x_1": 0.5}, title="$\\frac{", sentence="costs $5 or $\\frac{")
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


# kernel_to_picture


def test_weight_of_zero_is_mid_gray_and_the_largest_weight_sets_the_scale():
    kernel = np.zeros((1, 3, 3))
    kernel[0, 0] = [2, -4, 0]
    kernel[0, 1] = [1, 1, 1]
    np.testing.assert_allclose(
        plots.kernel_to_picture(kernel), [[[0.75, 0, 0.5], [0.625] * 3, [0.5] * 3]]
    )


@pytest.mark.parametrize("channels", [1, 2, 64])
def test_kernel_of_other_channels_than_three_is_the_gray_of_their_mean(channels):
    kernel = np.ones((2, 2, channels)) * [[[1], [-2]], [[0], [2]]]
    kernel[..., 0] += 1
    kernel[..., -1] -= 1
    picture = plots.kernel_to_picture(kernel)
    np.testing.assert_allclose(picture[..., 0], [[0.75, 0], [0.5, 1]])
    np.testing.assert_array_equal(picture, np.repeat(picture[..., :1], 3, axis=2))


def test_kernel_of_zeros_is_gray_all_over():
    assert np.unique(plots.kernel_to_picture(np.zeros((5, 5, 3)))).tolist() == [0.5]


def test_kernel_without_channels_is_refused():
    with pytest.raises(ValueError, match="expected \\(height, width, channels\\)"):
        plots.kernel_to_picture(np.zeros((3, 3)))


# plot_top_activations


def test_each_filter_has_its_kernel_and_then_its_images_by_rank():
    rows = [build_top_row(1, 3), build_top_row(16, 3, images=255 - build_pictures(3))]
    figure = plots.plot_top_activations(rows, NAMES, "Top")
    kernels, pictures = pictures_of(figure, plots.KERNEL), pictures_of(figure)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(
            kernels[i].get_array(), plots.kernel_to_picture(row["kernel"])
        )
        shown = pictures[3 * i : 3 * i + 3]
        np.testing.assert_array_equal([image.get_array() for image in shown], row["images"])
        assert {image.get_interpolation() for image in shown} == {"nearest"}
        lefts = [image.get_extent()[0] for image in [kernels[i], *shown]]
        assert lefts == sorted(set(lefts))
        assert len({image.get_extent()[2] for image in [kernels[i], *shown]}) == 1
    assert kernels[0].get_extent()[2] < kernels[1].get_extent()[3]


def test_number_of_a_filter_stands_above_its_kernel():
    figure = plots.plot_top_activations([build_top_row(1), build_top_row(16)], NAMES, "Top")
    for number, (left, _, _, top) in zip((1, 16), boxes_of(figure, plots.KERNEL), strict=True):
        (label,) = [text for text in figure.axes[0].texts if text.get_text() == f"filter {number}"]
        assert label.get_position()[0] == left
        assert 0 < top - label.get_position()[1] < 0.3


def test_image_has_rank_class_activation_and_the_prediction_only_if_it_is_wrong():
    row = build_top_row(predictions=np.array([0, 2]), values=np.array([10.905, 0.5]))
    figure = plots.plot_top_activations([row], NAMES, "Top")
    right, wrong = boxes_of(figure, PICTURE)
    assert lines_below(figure, right) == ["1. airplane", "10.905"]
    assert lines_below(figure, wrong) == ["2. automobile", "0.500", "called bird"]


def test_images_without_labels_have_their_prediction_and_those_without_both_a_rank():
    row = build_top_row(k=1, labels=None, predictions=np.array([2]))
    figure = plots.plot_top_activations([row], NAMES, "Top")
    assert lines_below(figure, boxes_of(figure, PICTURE)[0]) == ["1. called bird", "10.905"]
    row = build_top_row(k=1, labels=None, predictions=None)
    figure = plots.plot_top_activations([row], NAMES, "Top")
    assert lines_below(figure, boxes_of(figure, PICTURE)[0]) == ["1.", "10.905"]


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0.000"), (1e-5, "1.00e-05"), (2.5e6, "2.50e+06"), (-1.5, "-1.500"), (np.nan, "nan")],
)
def test_activations_of_any_size_stay_short_and_legible(value, written):
    row = build_top_row(k=1, values=np.array([value]))
    figure = plots.plot_top_activations([row], NAMES, "Top")
    assert lines_below(figure, boxes_of(figure, PICTURE)[0])[1] == written


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("num_filters", [1, 8])
def test_any_number_of_filters_and_images_fits_the_figure_without_overlap(num_filters, k):
    rows = [build_top_row(number, k) for number in range(1, num_filters + 1)]
    figure = plots.plot_top_activations(rows, NAMES, "Top")
    boxes = boxes_of(figure, PICTURE) + boxes_of(figure, plots.KERNEL)
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
    with_kernel = plots.plot_top_activations([build_top_row(k=5)], NAMES, "Top")
    without = plots.plot_top_activations([build_top_row(k=5, kernel=None)], NAMES, "Top")
    assert pictures_of(without, plots.KERNEL) == []
    assert "ernel" not in words(without)
    assert "filter 16" in words(without)
    assert without.get_figwidth() < with_kernel.get_figwidth()


def test_kernel_says_its_size_and_that_channels_are_averaged():
    row = build_top_row(kernel=np.ones((5, 3, 64)))
    figure = plots.plot_top_activations([row, build_top_row(1)], NAMES, "Top")
    deep, colored = (lines_below(figure, box) for box in boxes_of(figure, plots.KERNEL))
    assert deep[:2] == ["kernel 5×3", "mean of 64 channels"]
    assert colored[0] == "kernel 3×3"
    assert not any("channels" in line for line in colored)


@pytest.mark.parametrize("shape", [(224, 224), (48, 96), (96, 48)])
def test_pictures_keep_their_proportions(shape):
    row = build_top_row(images=build_pictures(2, *shape))
    figure = plots.plot_top_activations([row], NAMES, "Top")
    render(figure)
    for left, right, bottom, top in boxes_of(figure, PICTURE):
        assert (bottom - top) / (right - left) == pytest.approx(shape[0] / shape[1])
        assert max(bottom - top, right - left) == pytest.approx(SIDE)
    width, height = figure.get_size_inches()
    canvas = figure.axes[0]
    assert canvas.get_xlim() == (0, width)
    assert abs(canvas.get_ylim()[0] - canvas.get_ylim()[1]) == pytest.approx(height)


def test_rows_of_uneven_length_are_refused():
    with pytest.raises(ValueError, match="filter 16 has 2 images; expected as many labels, not 3"):
        plots.plot_top_activations([build_top_row(labels=np.zeros(3, int))], NAMES, "Top")


def test_images_that_are_no_uint8_pictures_are_refused():
    with pytest.raises(ValueError, match="expected uint8"):
        plots.plot_top_activations([build_top_row(images=np.zeros((2, 4, 4, 3)))], NAMES, "Top")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.plot_top_activations([], NAMES, "Top"),
        lambda: plots.plot_feature_maps([], "Maps"),
        lambda: plots.plot_filters(build_kernels(1), [], "Filters"),
    ],
)
def test_figure_of_no_rows_is_refused(draw):
    with pytest.raises(ValueError, match="rows is empty"):
        draw()


# plot_feature_maps


def test_image_stands_beside_its_maps_under_its_caption():
    row = build_map_row(3)
    figure = plots.plot_feature_maps([row], "Maps")
    (picture,), maps = pictures_of(figure), pictures_of(figure, plots.MAP)
    np.testing.assert_array_equal(picture.get_array(), row["image"])
    np.testing.assert_array_equal([shown.get_array() for shown in maps], row["maps"])
    assert {shown.get_interpolation() for shown in maps} == {"nearest"}
    assert picture.get_extent()[1] < min(shown.get_extent()[0] for shown in maps)
    (caption,) = [text for text in figure.axes[0].texts if text.get_text() == row["caption"]]
    assert caption.get_position()[1] < picture.get_extent()[3]


def test_maps_wrap_onto_lines_of_eight_in_order():
    boxes = boxes_of(plots.plot_feature_maps([build_map_row(20)], "Maps"), plots.MAP)
    lines = sorted({box[3] for box in boxes})
    columns = sorted({round(box[0], 6) for box in boxes})
    assert (len(lines), len(columns)) == (3, 8)
    assert [(lines.index(box[3]), columns.index(round(box[0], 6))) for box in boxes] == [
        (i // 8, i % 8) for i in range(20)
    ]


def test_each_map_has_its_filter_s_number_above_it():
    row = build_map_row(3, filters=[1, 8, 128])
    figure = plots.plot_feature_maps([row], "Maps")
    texts = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    for number, box in zip(row["filters"], boxes_of(figure, plots.MAP), strict=True):
        x, y = texts[f"filter {number}"]
        assert x == box[0]
        assert 0 < box[3] - y < 0.25


def test_maps_of_one_image_share_one_scale_and_images_have_their_own():
    low, high = np.zeros((2, 4, 4)), np.ones((2, 4, 4))
    high[1] = 7
    low[0, 0, 0] = -1
    figure = plots.plot_feature_maps([build_map_row(maps=low), build_map_row(maps=high)], "Maps")
    limits = [shown.get_clim() for shown in pictures_of(figure, plots.MAP)]
    assert limits == [(-1, 0), (-1, 0), (1, 7), (1, 7)]
    scales = figure.axes[1:]
    assert [axes.get_ylim() for axes in scales] == [(-1, 0), (1, 7)]
    assert tick_names(scales[0]) == ["-1", "-0.5", "0"]
    assert tick_names(scales[1]) == ["1", "4", "7"]


def test_maps_that_are_all_zero_or_not_finite_still_have_a_scale():
    broken = np.full((2, 4, 4), np.nan)
    rows = [build_map_row(maps=np.zeros((2, 4, 4))), build_map_row(maps=broken)]
    figure = plots.plot_feature_maps(rows, "Maps")
    render(figure)
    assert {shown.get_clim() for shown in pictures_of(figure, plots.MAP)} == {(0, 1)}
    broken[0] = 3
    broken[1] = 2
    broken[1, 0, 0] = np.inf
    figure = plots.plot_feature_maps([build_map_row(maps=broken)], "Maps")
    render(figure)
    assert {shown.get_clim() for shown in pictures_of(figure, plots.MAP)} == {(2, 3)}


def test_color_map_is_viridis_or_the_one_named():
    for options, name in (({}, "viridis"), ({"color_map": "magma"}, "magma")):
        figure = plots.plot_feature_maps([build_map_row()], "Maps", **options)
        assert {shown.get_cmap().name for shown in pictures_of(figure, plots.MAP)} == {name}


@pytest.mark.parametrize("shape", [(1, 1, 1), (128, 8, 8), (9, 4, 12)])
def test_maps_of_any_number_and_shape_stay_clear_of_the_next_image(shape):
    rows = [build_map_row(shape[0], maps=np.ones(shape)) for _ in range(2)]
    figure = plots.plot_feature_maps(rows, "Maps")
    maps, (_, second) = boxes_of(figure, plots.MAP), boxes_of(figure, PICTURE)
    assert len(maps) == 2 * shape[0]
    assert max(box[2] for box in maps[: shape[0]]) < second[3]
    assert max(box[1] for box in maps) < figure.get_figwidth()


def test_maps_without_a_number_each_are_refused():
    with pytest.raises(ValueError, match="there are 1 filter numbers"):
        plots.plot_feature_maps([build_map_row(2, filters=[1])], "Maps")


# plot_filters


def test_kernels_stand_eight_to_a_line_in_order():
    kernels = build_kernels(12)
    rows = [build_filter_row(number) for number in range(1, 13)]
    figure = plots.plot_filters(kernels, rows, "Filters")
    shown = pictures_of(figure, plots.KERNEL)
    for i, image in enumerate(shown):
        np.testing.assert_array_equal(image.get_array(), plots.kernel_to_picture(kernels[..., i]))
    tops, lefts = ([image.get_extent()[end] for image in shown] for end in (3, 0))
    assert len(set(tops[:8])) == len(set(tops[8:])) == 1
    assert tops[0] < tops[8]
    assert lefts[:4] == lefts[8:]
    assert lefts[:8] == sorted(set(lefts[:8]))


def test_kernel_has_its_number_above_and_its_statistics_below():
    rows = [build_filter_row(2, mean=0.4567, classes=["bird", "cat", "dog"])]
    figure = plots.plot_filters(build_kernels(2), rows, "Filters")
    (box,) = boxes_of(figure, plots.KERNEL)
    assert lines_below(figure, box)[:4] == ["active 63%", "mean 0.457", "bird", "cat"]
    assert "dog" not in words(figure)
    (label,) = [text for text in figure.axes[0].texts if text.get_text() == "filter 2"]
    assert 0 < box[3] - label.get_position()[1] < 0.3
    np.testing.assert_array_equal(
        pictures_of(figure, plots.KERNEL)[0].get_array(),
        plots.kernel_to_picture(build_kernels(2)[..., 1]),
    )


@pytest.mark.parametrize(("share", "written"), [(0, "0%"), (0.0001, "<1%"), (1, "100%")])
def test_share_of_a_filter_that_is_hardly_active_is_not_rounded_to_none(share, written):
    rows = [build_filter_row(active_share=share)]
    figure = plots.plot_filters(build_kernels(1), rows, "Filters")
    assert f"active {written}" in words(figure).splitlines()


def test_dead_filter_is_crossed_out_and_called_dead():
    rows = [build_filter_row(1), build_filter_row(2, is_dead=True, classes=["bird"])]
    figure = plots.plot_filters(build_kernels(2), rows, "Filters")
    alive, dead = boxes_of(figure, plots.KERNEL)
    left, right, bottom, top = dead
    crosses = [line for line in figure.axes[0].lines if line.get_gid() == DEAD]
    ends = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in crosses}
    assert ends == {((left, right), (top, bottom)), ((left, right), (bottom, top))}
    assert lines_below(figure, dead)[:2] == ["dead", "mean 0.500"]
    assert "bird" not in words(figure)
    assert "dead" not in lines_below(figure, alive)
    assert "1 of 2 filters are dead (crossed out)." in words(figure)


def test_without_dead_filters_nothing_is_crossed_out():
    figure = plots.plot_filters(build_kernels(1), [build_filter_row()], "Filters")
    assert [line for line in figure.axes[0].lines if line.get_gid() == DEAD] == []
    assert "crossed out" not in words(figure)


def test_filters_of_a_deep_layer_say_that_channels_are_averaged():
    deep = plots.plot_filters(build_kernels(1, 64), [build_filter_row()], "Filters")
    assert "mean of 64 channels" in words(deep).replace("\n", " ")
    colored = plots.plot_filters(build_kernels(1), [build_filter_row()], "Filters")
    assert "channels" not in words(colored)


@pytest.mark.parametrize("number", [0, 3])
def test_filter_that_the_kernels_lack_is_refused(number):
    with pytest.raises(ValueError, match=f"filter is {number}; expected one of 1 to 2"):
        plots.plot_filters(build_kernels(2), [build_filter_row(number)], "Filters")


# plot_explanation


def test_the_twelve_strongest_correlations_are_bars_from_the_strongest_down():
    rhos = {f"property {i}": (-1) ** i * i / 30 for i in range(30)}
    axes = panel(explain(rhos), "Properties of the image, 12 strongest of 30")
    strongest = [f"property {i}" for i in range(29, 17, -1)]
    assert tick_names(axes) == strongest
    assert bar_lengths(axes) == [rhos[name] for name in strongest]
    assert axes.yaxis_inverted()


def test_correlations_are_labelled_with_sign_at_the_end_of_their_bar():
    axes = panel(explain({"a": 1.0, "b": -0.5, "c": 0.0}), "Properties of the image, all 3")
    assert [text.get_text() for text in axes.texts] == ["+1.00", "−0.50", "+0.00"]
    assert [text.get_ha() for text in axes.texts] == ["left", "right", "left"]
    assert [text.xy for text in axes.texts] == [(1, 0), (-0.5, 1), (0, 2)]


def test_numbers_beside_the_longest_bars_stay_inside_the_panel():
    figure = explain({"a": 1.0, "b": -1.0})
    render(figure)
    axes = panel(figure, "Properties")
    for text in axes.texts:
        assert axes.bbox.x0 < text.get_window_extent().x0
        assert text.get_window_extent().x1 < axes.bbox.x1


def test_explanation_shows_the_kernel_where_there_is_one():
    kernel = build_kernels(1)[..., 0]
    (shown,) = pictures_of(explain(kernel=kernel), plots.KERNEL)
    np.testing.assert_array_equal(shown.get_array(), plots.kernel_to_picture(kernel))
    assert pictures_of(explain(kernel=None), plots.KERNEL) == []


def test_classes_are_bars_of_their_share_with_a_tick_at_the_base_rate():
    classes = [
        {"name": "bird", "share": 0.43, "base_rate": 0.1},
        {"name": "cat", "share": 0.31, "base_rate": 0.2},
    ]
    axes = panel(explain(classes=classes), "Over-represented classes")
    assert tick_names(axes) == ["bird", "cat"]
    assert bar_lengths(axes) == [0.43, 0.31]
    assert [text.get_text() for text in axes.texts] == ["43%", "31%"]
    (ticks,) = [ticks for ticks in axes.collections if ticks.get_gid() == plots.BASE_RATE]
    for row, (segment, base_rate) in enumerate(zip(ticks.get_segments(), [0.1, 0.2], strict=True)):
        assert set(segment[:, 0]) == {base_rate}
        assert segment[0, 1] < row < segment[1, 1]
    assert axes.get_xlim()[0] == 0


def test_classes_that_are_not_shown_are_counted():
    classes = [{"name": str(i), "share": 0.1, "base_rate": 0.01} for i in range(10)]
    axes = panel(explain(classes=classes), "Over-represented classes")
    assert len(bar_lengths(axes)) == plots.NUM_CLASSES
    assert "2 more not shown" in axes.get_xlabel()


def test_explanation_without_classes_says_so():
    axes = panel(explain(), "Over-represented classes")
    assert [text.get_text() for text in axes.texts] == ["no class is over-represented"]
    assert bar_lengths(axes) == []


@pytest.mark.parametrize("word", ["filter ", "WW", "among images alike "])
def test_sentence_is_wrapped_into_the_figure(word):
    figure = explain(sentence=word * 60)
    render(figure)
    (sentence,) = [text for text in figure.texts if text.get_text() == figure.get_supxlabel()]
    box = sentence.get_window_extent()
    assert "\n" in sentence.get_text()
    assert sentence.get_text().replace("\n", "").replace(" ", "") == (word * 60).replace(" ", "")
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert box.y0 >= figure.bbox.y0
    assert all(axes.get_tightbbox().y0 > box.y1 for axes in figure.axes)


def test_explanation_needs_a_correlation():
    with pytest.raises(ValueError, match="correlations is empty"):
        explain({})


# plot_probabilities


def test_pictures_stand_beside_their_most_probable_classes():
    probabilities = np.array([[0.1, 0.7, 0.05, 0.15], [0.25, 0.25, 0.3, 0.2]])
    figure = plots.plot_probabilities(
        build_pictures(2), ["a.png", "b.png"], probabilities, NAMES, "Pictures", top=3
    )
    np.testing.assert_array_equal(
        [image.get_array() for image in pictures_of(figure)], build_pictures(2)
    )
    first, second = figure.axes[1:]
    assert tick_names(first) == ["automobile", "cat", "airplane"]
    assert bar_lengths(first) == [0.7, 0.15, 0.1]
    assert tick_names(second) == ["bird", "airplane", "automobile"]
    assert [text.get_text() for text in second.texts] == ["30.0%", "25.0%", "25.0%"]
    assert first.get_xlim() == second.get_xlim() == (0, 1)


def test_bars_stand_beside_their_picture_under_its_name():
    names = ["a.png", "b.png", "c.png"]
    figure = plots.plot_probabilities(
        build_pictures(3), names, np.full((3, 4), 0.25), NAMES, "Pictures"
    )
    render(figure)
    canvas, *panels = figure.axes
    texts = {text.get_text(): text.get_window_extent() for text in canvas.texts}
    for name, picture, axes in zip(names, pictures_of(figure), panels, strict=True):
        box = picture.get_window_extent()
        assert axes.bbox.y0 == pytest.approx(box.y0, abs=1)
        assert axes.bbox.y1 == pytest.approx(box.y1, abs=1)
        assert box.x1 < min(label.get_window_extent().x0 for label in axes.get_yticklabels())
        assert texts[name].y0 >= box.y1
        assert texts[name].x0 == pytest.approx(box.x0, abs=3)


def test_fewer_classes_than_asked_for_are_all_shown():
    figure = plots.plot_probabilities(
        build_pictures(1), ["a"], np.array([[0.4, 0.6]]), ["no", "yes"], "Pictures"
    )
    assert tick_names(figure.axes[1]) == ["yes", "no"]


def test_percent_at_both_ends_is_written_and_in_the_figure():
    probabilities = np.array([[1.0, 0.0001, 0.0, np.nan]])
    figure = plots.plot_probabilities(build_pictures(1), ["a"], probabilities, NAMES, "Pictures")
    render(figure)
    labels = figure.axes[1].texts
    assert [text.get_text() for text in labels] == ["100.0%", "<0.1%", "0.0%", "nan%"]
    assert all(text.get_window_extent().x1 < figure.bbox.x1 for text in labels)


def test_pictures_may_differ_in_size():
    pictures = [build_pictures(1, 10, 20)[0], build_pictures(1, 224, 224)[0]]
    figure = plots.plot_probabilities(
        pictures, ["a", "b"], np.full((2, 4), 0.25), NAMES, "Pictures"
    )
    (left, right, bottom, top), _ = boxes_of(figure, PICTURE)
    assert (right - left) / (bottom - top) == pytest.approx(2)


def test_probabilities_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="expected one name and 4 probabilities an image"):
        plots.plot_probabilities(build_pictures(1), ["a"], np.ones((1, 3)), NAMES, "Pictures")
