"""Figures about filters to be looked at, and how tests read a figure through its artists."""

import io

import numpy as np
from matplotlib.text import Text

from kerascnn.records.filters import (
    ClassShare,
    ExplainedClass,
    Explanation,
    ExplanationPicture,
    FilterMap,
    FilterPicture,
    FilterRow,
    ImageMaps,
    MapPictures,
    Probabilities,
    ProbabilityPicture,
    RankedImage,
    Superiority,
    TopImages,
    TopPictures,
)
from kerascnn.show.canvas import LINE, PICTURE
from kerascnn.show.explanation_figures import plot_explanation
from kerascnn.show.filter_figures import plot_feature_maps, plot_filters, plot_top_activations
from kerascnn.show.prediction_figures import plot_probabilities

NAMES = ["airplane", "automobile", "bird", "cat"]
# What a user may have set, and no figure may follow.
HOSTILE_SETTINGS = {
    "axes.facecolor": "black",
    "axes.grid": True,
    "figure.facecolor": "black",
    "font.family": ["serif"],
    "font.sans-serif": ["DejaVu Serif"],
    "font.size": 17,
    "image.cmap": "gray",
    "image.interpolation": "bilinear",
    "image.origin": "lower",
    "legend.frameon": True,
    "lines.linewidth": 9,
    "text.color": "yellow",
    "xtick.direction": "in",
    "xtick.labelcolor": "red",
    "ytick.labelsize": 20,
}


def build_pictures(num_images, height=32, width=32):
    shape = (num_images, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def build_kernel(channels=3):
    return np.random.default_rng(1).normal(size=(3, 3, channels))


def build_ranked(rank=1, **changes):
    values = {"index": 7, "image": "7", "label": "airplane", "prediction": "airplane"}
    return RankedImage(**values | {"rank": rank, "activation": 10.905 - rank} | changes)


def build_top(number=16, k=2, ranked=None, images=None, kernel="any"):
    ranked = ranked or [build_ranked(rank) for rank in range(1, k + 1)]
    images = build_pictures(len(ranked)) if images is None else images
    record = TopImages(filter=number, top=tuple(ranked))
    return TopPictures(record, images, build_kernel() if isinstance(kernel, str) else kernel)


def build_maps(num_maps=2, maps=None, numbers=None, **changes):
    if maps is None:
        maps = np.random.default_rng(2).random((num_maps, 16, 16)).astype("float32")
    numbers = numbers or range(1, len(maps) + 1)
    values = {"index": 0, "image": "0", "label": "cat", "prediction": "cat", "probability": 0.98}
    filters = tuple(FilterMap(filter=number, mean=0, max=0) for number in numbers)
    record = ImageMaps(**values | {"filters": filters} | changes)
    return MapPictures(record, build_pictures(1)[0], maps)


def build_filter(number=1, kernel=None, classes=(), **changes):
    values = {"is_dead": False, "active_share": 0.63, "mean": 0.5}
    shares = tuple(
        ClassShare(label=0, name=name, count=9, share=0.9, base_rate=0.1, p_value=0.01)
        for name in classes
    )
    record = FilterRow(**values | {"filter": number, "classes": shares} | changes)
    return FilterPicture(record, build_kernel() if kernel is None else kernel)


def build_explained_class(name, share=0.3, base_rate=0.1):
    given = Superiority(probability=0.67, low=0.65, high=0.7, p_value=0.001)
    shares = {"count": 30, "share": share, "base_rate": base_rate, "p_value": 0.001}
    return ExplainedClass(label=0, name=name, given_property=given, **shares)


def build_explanation(correlations=None, classes=(), sentence="It follows.", kernel=None):
    return Explanation(
        filter=16,
        layer="relu1",
        kernel=kernel,
        correlations={"blueness of the image": 0.9} if correlations is None else correlations,
        num_top=100,
        classes=tuple(classes),
        sentence=sentence,
    )


def draw_explanation(kernel=None, title="A title", **values):
    return plot_explanation(ExplanationPicture(build_explanation(**values), kernel), title)


def build_probabilities(name, probabilities, class_names=NAMES, image=None):
    ranked = sorted(
        zip(class_names, probabilities, strict=True), key=lambda item: item[1], reverse=True
    )
    record = Probabilities(image=name, prediction=ranked[0][0], probabilities=dict(ranked))
    return ProbabilityPicture(record, build_pictures(1)[0] if image is None else image)


def _draw_top(names, title):
    ranked = [
        build_ranked(rank, label=name, prediction=names[rank % len(names)])
        for rank, name in enumerate(names, 1)
    ]
    return plot_top_activations([build_top(ranked=ranked)], title)


def _draw_maps(names, title):
    rows = [build_maps(label=name, prediction=None, probability=None) for name in names]
    return plot_feature_maps(rows, title)


def _draw_filters(names, title):
    return plot_filters([build_filter(i, classes=[n]) for i, n in enumerate(names, 1)], title)


def _draw_explanation(names, title):
    return draw_explanation(build_kernel(), title, classes=map(build_explained_class, names))


def _draw_probabilities(names, title):
    rows = [build_probabilities(name, [0.25] * len(names), names) for name in names]
    return plot_probabilities(rows, title)


# One figure of each kind, with four names wherever text from outside goes.
KINDS = {
    "top": _draw_top,
    "maps": _draw_maps,
    "filters": _draw_filters,
    "explanation": _draw_explanation,
    "probabilities": _draw_probabilities,
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
