"""The figures are read through their artists: what is drawn, where, and in which words."""

import subprocess
import sys
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from made.figures import HOSTILE_SETTINGS, build_pictures, render, shown_texts, words
from made.records import make_classes, make_history
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from kerascnn.records.run import History, ReportedNumbers
from kerascnn.show import run_figures as plots
from kerascnn.show.curves import BEST, UNSEEN, plot_history
from kerascnn.show.image_figures import plot_augmentations, plot_examples
from kerascnn.show.style import TITLE_LINES

NAMES = ["airplane", "automobile", "bird", "cat"]
MATH_NAMES = ["$a_1$", "b_c^d", "$\\frac{", "50$ or 60$"]
LONG_NAMES = [f"industrial building with a very long roof {i}" for i in range(4)]


def build_history(val_loss, loss=None):
    rows = make_history(list(val_loss), list(val_loss if loss is None else loss)).rows
    return History.of(row.model_copy(update={"val_accuracy": 0.01 * row.epoch}) for row in rows)


def draw_examples(labels, predictions, class_names=NAMES, title="Examples"):
    probabilities = np.full((len(labels), len(class_names)), 0.1, dtype=np.float32)
    probabilities[np.arange(len(labels)), predictions] = 0.87
    pictures = build_pictures(len(labels))
    return plot_examples(
        pictures, np.array(labels), np.array(predictions), probabilities, class_names, title
    )


def draw_per_class(accuracy, class_names=NAMES, title="Classes", **options):
    rows = make_classes(accuracy, class_names, options.pop("reported", None))
    return plots.plot_per_class(rows, title, **options)


def draw_all(class_names=NAMES, title="A title"):
    """One figure of each kind."""
    pictures = build_pictures(2)
    return {
        "history": plot_history(
            build_history([3.0, 2.0, 2.5]), title, ReportedNumbers(accuracy=0.8)
        ),
        "examples": draw_examples([0, 1, 2], [0, 2, 3], class_names, title),
        "confusion": plots.plot_confusion(np.diag([5, 6, 7, 8]), class_names, title),
        "augmentations": plot_augmentations(pictures, pictures[:, None], title),
        "per class": draw_per_class([0.9, 0.8, 0.7, 0.6], class_names, title),
    }


def line_named(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def lines_of(axes, gid):
    return [line for line in axes.lines if line.get_gid() == gid]


def texts_with_dollars(figure):
    return [text for text in shown_texts(figure) if "$" in text.get_text()]


def legend_labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def tile_words(axes):
    return axes.get_title(loc="left"), axes.get_xlabel()


def inked_box(artist):
    return artist.get_window_extent()


# All figures


def test_every_function_returns_a_figure_with_its_title():
    for figure in draw_all(title="What is seen").values():
        assert type(figure) is Figure
        assert figure.get_suptitle() == "What is seen"


def test_pyplot_is_never_imported():
    code = (
        "import sys, io, kerascnn.show.curves as plots\n"
        "from kerascnn.records.run import Epoch, History\n"
        "row = dict.fromkeys(Epoch.model_fields, 1)\n"
        "history = History.of([Epoch(**row)])\n"
        "plots.plot_history(history, 'one').savefig(io.BytesIO())\n"
        "print('matplotlib.figure' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["True", "False"]


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


@pytest.mark.parametrize("kind", ["examples", "confusion", "per class"])
def test_math_signs_in_class_names_are_drawn_as_they_stand(kind):
    figure = draw_all(MATH_NAMES)[kind]
    render(figure)
    for name in MATH_NAMES:
        assert name in words(figure)
    assert not any(text.get_parse_math() for text in texts_with_dollars(figure))


def test_math_signs_in_a_title_are_drawn_as_they_stand():
    for figure in draw_all(title="$\\frac{ at x_1^$").values():
        render(figure)
        assert figure.get_suptitle() == "$\\frac{ at x_1^$"
        (title,) = texts_with_dollars(figure)
        assert not title.get_parse_math()


def test_what_the_font_cannot_draw_is_replaced_without_a_warning():
    for figure in draw_all(["猫", "chien\n", "a\tb", "\x00"], title="猫 of 犬").values():
        render(figure)
        assert figure.get_suptitle() == "� of �"


def test_a_long_title_is_wrapped_into_the_figure():
    for figure in draw_all(title="a rather long title " * 30).values():
        render(figure)
        title = next(text for text in figure.texts if text.get_text() == figure.get_suptitle())
        assert len(title.get_text().splitlines()) == TITLE_LINES
        assert title.get_text().endswith("…")
        assert inked_box(title).x1 <= figure.bbox.x1


@pytest.mark.parametrize("class_names", [LONG_NAMES, ["W" * 40 + str(i) for i in range(4)]])
def test_long_class_names_are_shortened_and_leave_the_layout_whole(class_names):
    figures = draw_all(class_names)
    for kind in ("examples", "confusion", "per class"):
        figure = figures[kind]
        render(figure)
        assert not any(name in words(figure) for name in class_names)
        shortened = [text for text in shown_texts(figure) if "…" in text.get_text()]
        assert len(shortened) >= 3
        for text in shortened:
            box = inked_box(text)
            assert figure.bbox.x0 <= box.x0, text
            assert box.x1 <= figure.bbox.x1, text


def test_a_shortened_name_has_at_most_twenty_characters_and_keeps_both_ends():
    figure = plots.plot_confusion(np.diag([5, 6, 7, 8]), LONG_NAMES, "Confusion")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"industrial bu…roof {i}" for i in range(4)]
    assert max(len(label) for label in labels) == 20


def test_a_name_of_twenty_characters_is_not_shortened():
    name = "twenty characters ok"
    figure = plots.plot_confusion(np.eye(2, dtype=int), [name, name + "s"], "Confusion")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == name
    assert labels[1] != name + "s"


# plot_history


def test_history_draws_the_values_it_was_given():
    history = build_history([2.0, 1.5, 1.7], loss=[2.2, 1.4, 1.0])
    loss_axes, accuracy_axes = plot_history(history, "Run").axes
    for axes, label, key in (
        (loss_axes, "training", "loss"),
        (loss_axes, "validation", "val_loss"),
        (accuracy_axes, "training", "accuracy"),
        (accuracy_axes, "validation", "val_accuracy"),
    ):
        line = line_named(axes, label)
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), getattr(history, key))


def test_training_and_validation_differ_in_more_than_color():
    for axes in plot_history(build_history([2.0, 1.5]), "Run").axes:
        training, validation = (line_named(axes, name) for name in ("training", "validation"))
        assert training.get_marker() != validation.get_marker()


@pytest.mark.parametrize(
    ("val_loss", "best_epoch"), [([2.0, 1.0, 1.5], 2), ([2.0, 1.0, 1.0], 2), ([1.0], 1)]
)
def test_best_epoch_is_the_first_with_the_lowest_validation_loss(val_loss, best_epoch):
    history = build_history(val_loss, loss=[1.0] * len(val_loss))
    for axes, key in zip(
        plot_history(history, "Run").axes, ("val_loss", "val_accuracy"), strict=True
    ):
        vertical, marker = lines_of(axes, BEST)
        assert list(vertical.get_xdata()) == [best_epoch, best_epoch]
        assert list(marker.get_xdata()) == [best_epoch]
        assert list(marker.get_ydata()) == [getattr(history, key)[best_epoch - 1]]


def test_best_epoch_is_labelled_with_its_values_above_its_line():
    figure = plot_history(build_history([2.0, 1.2344, 1.5]), "Run")
    for axes, words_expected in zip(
        figure.axes, ("best epoch 2: 1.234", "at best epoch 2: 2.0%"), strict=True
    ):
        (label,) = axes.texts
        assert label.get_text() == words_expected
        assert label.get_position()[0] == 2
        render(figure)
        assert inked_box(label).y0 >= axes.bbox.y1


@pytest.mark.parametrize("best_epoch", [1, 25])
def test_label_of_the_best_epoch_stays_clear_of_the_panel_s_title(best_epoch):
    val_loss = [2.0] * 25
    val_loss[best_epoch - 1] = 1.0
    figure = plot_history(build_history(val_loss), "Run")
    render(figure)
    for axes in figure.axes:
        (label,) = axes.texts
        (title,) = [text for text in axes.findobj(Text) if text.get_text() in ("Loss", "Accuracy")]
        assert not inked_box(label).overlaps(inked_box(title))


def test_single_epoch_has_one_whole_tick_and_is_seen():
    figure = plot_history(build_history([2.0]), "Run")
    render(figure)
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
        assert line_named(axes, "training").get_marker() not in ("", "None", None)


@pytest.mark.parametrize("num_epochs", [2, 25, 50, 200])
def test_epochs_are_ticked_at_whole_numbers(num_epochs):
    axes = plot_history(build_history([1.0] * num_epochs), "Run").axes[0]
    ticks = axes.get_xticks()
    assert len(ticks) >= 2
    np.testing.assert_array_equal(ticks, np.rint(ticks))


def test_collapsed_curve_is_flat_on_an_axis_from_zero():
    axes = plot_history(build_history([2.3] * 50), "Run").axes[0]
    low, high = axes.get_ylim()
    assert low == 0
    assert 2.3 < high < 3
    assert lines_of(axes, UNSEEN) == []


def test_losses_of_zero_still_have_an_axis():
    assert plot_history(build_history([0.0, 0.0]), "Run").axes[0].get_ylim() == (0, 1)


def test_huge_first_losses_are_clipped_and_the_legend_says_so():
    loss = [54.2, 12.0] + [1.5] * 10
    axes = plot_history(build_history([1e6] + [1.0] * 11, loss=loss), "Run").axes[0]
    assert 1.5 < axes.get_ylim()[1] < 2
    training, validation = lines_of(axes, UNSEEN)
    assert list(training.get_xdata()) == [1, 2]
    assert list(validation.get_xdata()) == [1]
    assert training.get_markersize() > validation.get_markersize(), "one would hide the other"
    assert "training above the view: 2 epochs, up to 54.2" in legend_labels(axes)
    assert "validation above the view: 1 epoch, up to 1e+06" in legend_labels(axes)


def test_ordinary_losses_are_all_in_view():
    loss = np.linspace(2.5, 0.6, 25)
    axes = plot_history(build_history(loss[::-1], loss=loss), "Run").axes[0]
    assert axes.get_ylim()[1] > 2.5
    assert lines_of(axes, UNSEEN) == []


def test_reported_figures_are_dashed_and_named_as_the_study_s():
    reported = ReportedNumbers(best_val_loss=0.678, best_epoch=2, train_loss=0.25, accuracy=0.76)
    loss_axes, accuracy_axes = plot_history(build_history([2.0, 1, 3]), "R", reported).axes
    for axes, label, value in (
        (loss_axes, "study: best validation 0.678 at epoch 2", 0.678),
        (loss_axes, "study: training 0.250", 0.25),
        (accuracy_axes, "study: test accuracy 76%", 0.76),
    ):
        line = line_named(axes, label)
        assert list(line.get_ydata()) == [value, value]
        assert line.get_linestyle() == "--"
        assert label in legend_labels(axes)
    (marker,) = [line for line in loss_axes.lines if line.get_marker() == "D"]
    assert (list(marker.get_xdata()), list(marker.get_ydata())) == ([2], [0.678])


def test_reported_best_epoch_without_its_loss_is_a_dashed_vertical_line():
    axes = plot_history(build_history([2.0, 1.0]), "Run", ReportedNumbers(best_epoch=2)).axes[0]
    line = line_named(axes, "study: best epoch 2")
    assert list(line.get_xdata()) == [2, 2]
    assert line.get_linestyle() == "--"


def test_reported_best_epoch_after_the_last_is_told_but_does_not_stretch_the_axis():
    reported = ReportedNumbers(best_val_loss=0.5, best_epoch=28)
    axes = plot_history(build_history([2.0, 1.0]), "Run", reported).axes[0]
    assert axes.get_xlim() == (0.5, 2.5)
    assert "study: best validation 0.500 at epoch 28" in legend_labels(axes)
    assert not any(line.get_marker() == "D" for line in axes.lines)


def test_reported_loss_above_all_others_is_in_view():
    axes = plot_history(build_history([0.2, 0.1]), "Run", ReportedNumbers(train_loss=2.3)).axes[0]
    assert axes.get_ylim()[1] > 2.3


def test_accuracies_are_in_percent_from_0_to_100():
    figure = plot_history(build_history([2.0, 1.0]), "Run")
    render(figure)
    axes = figure.axes[1]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert axes.get_ylim() == (0, 1)
    assert (labels[0], labels[-1]) == ("0%", "100%")


# plot_examples


def test_examples_draw_each_image_without_blur():
    figure = draw_examples([0, 1, 2, 3, 0, 1, 2], [0] * 7)
    pictures = build_pictures(7)
    assert len(figure.axes) == 7
    for axes, picture in zip(figure.axes, pictures, strict=True):
        (shown,) = axes.images
        np.testing.assert_array_equal(shown.get_array(), picture)
        assert shown.get_interpolation() == "nearest"


def test_examples_stand_five_to_a_row():
    figure = draw_examples([0] * 12, [0] * 12)
    places = [axes.get_subplotspec() for axes in figure.axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [
        (i // 5, i % 5) for i in range(12)
    ]


def test_examples_name_the_true_class_the_predicted_one_and_its_probability():
    (axes,) = draw_examples([3], [1]).axes
    assert tile_words(axes)[1] == "true: cat\npredicted: automobile\nprobability: 87%"


def test_right_and_wrong_tiles_differ_in_word_sign_and_frame():
    right, wrong = draw_examples([0, 0], [0, 1]).axes
    assert tile_words(right)[0] == "✓ right"
    assert tile_words(wrong)[0] == "✗ wrong"
    assert {spine.get_linestyle() for spine in right.spines.values()} == {"solid"}
    assert "solid" not in {spine.get_linestyle() for spine in wrong.spines.values()}
    assert all(spine.get_visible() for axes in (right, wrong) for spine in axes.spines.values())


def test_examples_count_the_right_ones():
    assert draw_examples([0, 1, 2], [0, 1, 3]).get_supxlabel().startswith("2 of 3 right")


def test_texts_of_neighboring_examples_do_not_overlap():
    figure = draw_examples([0, 1, 2, 3, 0], [1, 2, 3, 0, 1], LONG_NAMES)
    render(figure)
    boxes = [inked_box(axes.xaxis.label) for axes in figure.axes]
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0


def test_texts_of_a_row_of_examples_end_above_the_next_row():
    figure = draw_examples([0] * 10, [1] * 10)
    render(figure)
    above = min(inked_box(axes.xaxis.label).y0 for axes in figure.axes[:5])
    below = max(axes.get_tightbbox().y1 for axes in figure.axes[5:])
    assert above > below


# plot_confusion


def test_confusion_writes_every_count_in_its_cell():
    confusion = np.arange(16).reshape(4, 4)
    axes = plots.plot_confusion(confusion, NAMES, "Confusion").axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {
        (column, row): str(confusion[row, column]) for row in range(4) for column in range(4)
    }


def test_confusion_is_shaded_by_the_share_of_the_true_class():
    axes = plots.plot_confusion(np.array([[30, 10], [0, 2]]), ["a", "b"], "Confusion").axes[0]
    (shades,) = axes.images
    np.testing.assert_allclose(shades.get_array(), [[0.75, 0.25], [0, 1]])
    assert shades.get_clim() == (0, 1)


def test_confusion_of_a_class_without_images_has_no_shade():
    figure = plots.plot_confusion(np.array([[0, 0], [1, 3]]), ["a", "b"], "Confusion")
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0, 0], [0.25, 0.75]])


def test_confusion_names_its_axes_and_classes():
    axes = plots.plot_confusion(np.eye(4, dtype=int), NAMES, "Confusion").axes[0]
    assert axes.get_ylabel() == "true class"
    assert axes.get_xlabel() == "predicted class"
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES


def test_counts_are_readable_on_every_shade():
    confusion = np.stack([np.arange(101), 100 - np.arange(101)], axis=1)
    for row in confusion[::5]:
        axes = plots.plot_confusion(np.array([row, row[::-1]]), ["a", "b"], "Confusion").axes[0]
        (shades,) = axes.images
        for text in axes.texts:
            column, row_index = text.get_position()
            shade = shades.cmap(shades.norm(shades.get_array()[row_index, column]))
            assert contrast(to_rgb(text.get_color()), shade[:3]) >= 4.5


def contrast(first, second):
    """The contrast ratio of WCAG 2, from 1 to 21."""
    luminances = []
    for color in (first, second):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        luminances.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


@pytest.mark.parametrize("num_classes", [2, 5, 20])
@pytest.mark.parametrize("count", [7, 10_000_000])
def test_counts_fit_their_cells(num_classes, count):
    names = [f"class {i}" for i in range(num_classes)]
    figure = plots.plot_confusion(np.full((num_classes, num_classes), count), names, "Confusion")
    render(figure)
    axes = figure.axes[0]
    cell = axes.bbox.width / num_classes
    assert len(axes.texts) == num_classes**2
    assert max(inked_box(text).width for text in axes.texts) < cell


# plot_augmentations


def test_augmentations_draw_the_original_first_and_then_its_draws():
    originals = build_pictures(2)
    draws = np.stack([255 - originals, originals // 2, originals // 3], axis=1)
    figure = plot_augmentations(originals, draws, "Draws")
    assert len(figure.axes) == 2 * (1 + 3)
    rows = [figure.axes[:4], figure.axes[4:]]
    for row, original, its_draws in zip(rows, originals, draws, strict=True):
        shown = [axes.images[0].get_array() for axes in row]
        np.testing.assert_array_equal(shown, [original, *its_draws])
        assert {axes.get_subplotspec().rowspan.start for axes in row} == {rows.index(row)}
    assert [axes.get_title() for axes in rows[0]] == ["original", "draw 1", "draw 2", "draw 3"]


def test_originals_are_framed_and_set_apart():
    pictures = build_pictures(2)
    figure = plot_augmentations(pictures, np.stack([pictures] * 3, axis=1), "Draws")
    render(figure)
    original, first, second, _ = figure.axes[:4]
    assert all(spine.get_visible() for spine in original.spines.values())
    assert not any(spine.get_visible() for spine in first.spines.values())
    gap = first.get_position().x0 - original.get_position().x1
    assert gap > 1.5 * (second.get_position().x0 - first.get_position().x1)


def test_float_pictures_are_rounded_and_kept_in_range():
    originals = np.full((1, 2, 2, 3), 99.6)
    draws = np.array([-3.0, 300.0]).reshape(1, 2, 1, 1, 1) * np.ones((1, 2, 2, 2, 3))
    figure = plot_augmentations(originals, draws, "Draws")
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [picture.dtype for picture in shown] == [np.uint8] * 3
    assert [np.unique(picture).tolist() for picture in shown] == [[100], [0], [255]]


# plot_per_class


def test_classes_stand_from_the_best_down():
    axes = draw_per_class([0.7, 0.9, 0.8, 0.9]).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["automobile", "cat", "bird", "airplane"]
    assert axes.yaxis_inverted()
    dots = line_named(axes, "this run")
    np.testing.assert_array_equal(dots.get_xdata(), [0.9, 0.9, 0.8, 0.7])
    np.testing.assert_array_equal(dots.get_ydata(), [0, 1, 2, 3])
    assert [text.get_text() for text in axes.texts] == ["90.0%", "90.0%", "80.0%", "70.0%"]


def test_whiskers_span_the_intervals():
    rows = make_classes([0.5, 0.8])
    rows = [
        rows[0].model_copy(update={"low": 0.4, "high": 0.7}),
        rows[1].model_copy(update={"low": 0.75, "high": 0.9}),
    ]
    axes = plots.plot_per_class(rows, "Classes").axes[0]
    (whiskers,) = axes.collections
    np.testing.assert_allclose(
        whiskers.get_segments(), [[[0.75, 0], [0.9, 0]], [[0.4, 1], [0.7, 1]]]
    )
    assert "95% interval" in legend_labels(axes)


def test_reported_classes_have_a_marker_of_another_shape_on_their_row():
    axes = draw_per_class([0.7, 0.9, 0.8, 0.6], reported={"cat": 0.64, "bird": 0.58}).axes[0]
    study = line_named(axes, "study")
    assert dict(zip(study.get_ydata(), study.get_xdata(), strict=True)) == {1: 0.58, 3: 0.64}
    assert study.get_marker() != line_named(axes, "this run").get_marker()


def test_without_reported_classes_the_study_is_not_named():
    assert "study" not in words(draw_per_class([0.7, 0.9, 0.8, 0.6]))


def test_overall_accuracy_is_a_labelled_line():
    axes = draw_per_class([0.7, 0.9, 0.8, 0.6], overall=0.75).axes[0]
    assert [0.75, 0.75] in [list(line.get_xdata()) for line in axes.lines]
    assert "overall 75.0%" in [text.get_text() for text in axes.texts]


def test_class_without_images_is_last_and_says_so():
    axes = draw_per_class([None, 0.2, 0.8, 0.6]).axes[0]
    assert axes.get_yticklabels()[-1].get_text() == "airplane"
    assert axes.texts[-1].get_text() == "no images"
    assert len(line_named(axes, "this run").get_xdata()) == 3


def test_accuracies_of_collapsed_run_are_not_cut_at_the_edges():
    axes = draw_per_class([1.0, 0.0, 0.0, 0.0]).axes[0]
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 1
    assert not line_named(axes, "this run").get_clip_on()
