"""The figure of class probabilities, read through its artists."""

import numpy as np
import pytest
from made.figures import (
    bar_lengths,
    boxes_of,
    build_pictures,
    build_probabilities,
    pictures_of,
    render,
    tick_names,
)

from kerascnn.show.canvas import PICTURE
from kerascnn.show.prediction_figures import plot_probabilities


def test_pictures_stand_beside_their_most_probable_classes():
    images = build_pictures(2)
    rows = [
        build_probabilities("a.png", [0.1, 0.7, 0.05, 0.15], image=images[0]),
        build_probabilities("b.png", [0.25, 0.25, 0.3, 0.2], image=images[1]),
    ]
    figure = plot_probabilities(rows, "Pictures", top=3)
    np.testing.assert_array_equal([image.get_array() for image in pictures_of(figure)], images)
    first, second = figure.axes[1:]
    assert tick_names(first) == ["automobile", "cat", "airplane"]
    assert bar_lengths(first) == [0.7, 0.15, 0.1]
    assert tick_names(second) == ["bird", "airplane", "automobile"]
    assert [text.get_text() for text in second.texts] == ["30.0%", "25.0%", "25.0%"]
    assert first.get_xlim() == second.get_xlim() == (0, 1)


def test_bars_stand_beside_their_picture_under_its_name():
    names = ["a.png", "b.png", "c.png"]
    figure = plot_probabilities(
        [build_probabilities(name, [0.25] * 4) for name in names], "Pictures"
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
    row = build_probabilities("a", [0.4, 0.6], ["no", "yes"])
    figure = plot_probabilities([row], "Pictures")
    assert tick_names(figure.axes[1]) == ["yes", "no"]


def test_percent_at_both_ends_is_written_and_in_the_figure():
    figure = plot_probabilities([build_probabilities("a", [1.0, 0.0001, 0.0, 0.0])], "Pictures")
    render(figure)
    labels = figure.axes[1].texts
    assert [text.get_text() for text in labels] == ["100.0%", "<0.1%", "0.0%", "0.0%"]
    assert all(text.get_window_extent().x1 < figure.bbox.x1 for text in labels)


def test_pictures_may_differ_in_size():
    pictures = [build_pictures(1, 10, 20)[0], build_pictures(1, 224, 224)[0]]
    rows = [build_probabilities("a", [0.25] * 4, image=image) for image in pictures]
    figure = plot_probabilities(rows, "Pictures")
    (left, right, bottom, top), _ = boxes_of(figure, PICTURE)
    assert (right - left) / (bottom - top) == pytest.approx(2)
