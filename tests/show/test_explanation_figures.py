"""The figure of what a filter follows, read through its artists."""

import numpy as np
import pytest
from made.figures import (
    bar_lengths,
    build_explained_class,
    build_kernel,
    draw_explanation,
    panel,
    pictures_of,
    render,
    tick_names,
)

from kerascnn.show.canvas import KERNEL
from kerascnn.show.explanation_figures import BASE_RATE, NUM_CLASSES
from kerascnn.show.pictures import kernel_to_picture


def test_the_twelve_strongest_correlations_are_bars_from_the_strongest_down():
    rhos = {f"property {i}": (-1) ** i * i / 30 for i in range(29, -1, -1)}
    axes = panel(draw_explanation(correlations=rhos), "Properties of the image, 12 strongest of 30")
    strongest = [f"property {i}" for i in range(29, 17, -1)]
    assert tick_names(axes) == strongest
    assert bar_lengths(axes) == [rhos[name] for name in strongest]
    assert axes.yaxis_inverted()


def test_correlations_are_labelled_with_sign_at_the_end_of_their_bar():
    axes = panel(
        draw_explanation(correlations={"a": 1.0, "b": -0.5, "c": 0.0}),
        "Properties of the image, all 3",
    )
    assert [text.get_text() for text in axes.texts] == ["+1.00", "−0.50", "+0.00"]
    assert [text.get_ha() for text in axes.texts] == ["left", "right", "left"]
    assert [text.xy for text in axes.texts] == [(1, 0), (-0.5, 1), (0, 2)]


def test_numbers_beside_the_longest_bars_stay_inside_the_panel():
    figure = draw_explanation(correlations={"a": 1.0, "b": -1.0})
    render(figure)
    axes = panel(figure, "Properties")
    for text in axes.texts:
        assert axes.bbox.x0 < text.get_window_extent().x0
        assert text.get_window_extent().x1 < axes.bbox.x1


def test_explanation_shows_the_kernel_where_there_is_one():
    kernel = build_kernel()
    (shown,) = pictures_of(draw_explanation(kernel), KERNEL)
    np.testing.assert_array_equal(shown.get_array(), kernel_to_picture(kernel))
    assert pictures_of(draw_explanation(), KERNEL) == []


def test_classes_are_bars_of_their_share_with_a_tick_at_the_base_rate():
    classes = [
        build_explained_class("bird", share=0.43, base_rate=0.1),
        build_explained_class("cat", share=0.31, base_rate=0.2),
    ]
    axes = panel(draw_explanation(classes=classes), "Over-represented classes")
    assert tick_names(axes) == ["bird", "cat"]
    assert bar_lengths(axes) == [0.43, 0.31]
    assert [text.get_text() for text in axes.texts] == ["43%", "31%"]
    (ticks,) = [ticks for ticks in axes.collections if ticks.get_gid() == BASE_RATE]
    for row, (segment, base_rate) in enumerate(zip(ticks.get_segments(), [0.1, 0.2], strict=True)):
        assert set(segment[:, 0]) == {base_rate}
        assert segment[0, 1] < row < segment[1, 1]
    assert axes.get_xlim()[0] == 0


def test_classes_that_are_not_shown_are_counted():
    classes = [build_explained_class(str(i)) for i in range(10)]
    axes = panel(draw_explanation(classes=classes), "Over-represented classes")
    assert len(bar_lengths(axes)) == NUM_CLASSES
    assert "2 more not shown" in axes.get_xlabel()


def test_explanation_without_classes_says_so():
    axes = panel(draw_explanation(), "Over-represented classes")
    assert [text.get_text() for text in axes.texts] == ["no class is over-represented"]
    assert bar_lengths(axes) == []


@pytest.mark.parametrize("word", ["filter ", "WW", "among images with about the same "])
def test_sentence_is_wrapped_into_the_figure(word):
    figure = draw_explanation(sentence=word * 60)
    render(figure)
    (sentence,) = [text for text in figure.texts if text.get_text() == figure.get_supxlabel()]
    box = sentence.get_window_extent()
    assert "\n" in sentence.get_text()
    assert sentence.get_text().replace("\n", "").replace(" ", "") == (word * 60).replace(" ", "")
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert box.y0 >= figure.bbox.y0
    assert all(axes.get_tightbbox().y0 > box.y1 for axes in figure.axes)
