"""What the filters of a layer answer: records that `--json` prints, and what figures add to them.

Filters count from 1 here, images from 0. Labels and predictions are names of classes, None where
they are not known. A class of pictures (`TopPictures`, ...) is a record beside its arrays.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from kerascnn.records import Record


class RankedImage(Record):
    """One of the images that excite a filter most; `image` is its file, or its index."""

    rank: int
    index: int
    image: str
    label: str | None
    prediction: str | None
    activation: float


class TopImages(Record):
    """The images that excite a filter most, the best first."""

    filter: int
    top: tuple[RankedImage, ...]


class FilterMap(Record):
    """The mean and the highest value of a filter's map of one image."""

    filter: int
    mean: float
    max: float


class ImageMaps(Record):
    """What some filters answer to one image; `probability` is that of the prediction."""

    index: int
    image: str
    label: str | None
    prediction: str | None
    probability: float | None
    filters: tuple[FilterMap, ...]


class ClassShare(Record):
    """A class that a filter's top images hold more often than by chance.

    Attributes:
        count: how many of the top images are of the class.
        share: the same as a fraction of the top images.
        base_rate: the fraction of all images that are of the class.
        p_value: how probable so many are where images are drawn at random, times the number of
            classes.
    """

    label: int = Field(exclude=True)
    name: str
    count: int
    share: float
    base_rate: float
    p_value: float


class FilterRow(Record):
    """What a filter did on all images.

    Attributes:
        active_share: the fraction of images for which some pixel of its map is above zero.
        mean: its mean activation.
        classes: those over-represented among its top images, the least probable first.
    """

    filter: int
    is_dead: bool
    active_share: float
    mean: float
    classes: tuple[ClassShare, ...]


class KernelDescription(Record):
    """What a kernel answers to most.

    Attributes:
        orientation: degrees from 0 up to 180, along the edge, counter-clockwise from horizontal.
        selectivity: 1 where it answers edges of one orientation only, 0 where of all alike.
        color: a name; `none` where the weights cancel out; None where channels are not three.
        color_weights: sums of the weights for red, green and blue.
        color_share: the fraction of the kernel's energy that is not gray.
    """

    orientation: float
    selectivity: float
    color: str | None = None
    color_weights: tuple[float, ...] | None = None
    color_share: float | None = None


class Superiority(Record):
    """How often an image of a class scores higher than another image.

    Attributes:
        probability: 0.5 where the class makes no difference.
        low, high: its 95 % interval.
        p_value: two-sided, for no difference.
    """

    probability: float
    low: float
    high: float
    p_value: float


class ExplainedClass(Record):
    """A `ClassShare`, and how the class scores among images that are alike in a property."""

    label: int
    count: int
    share: float
    base_rate: float
    p_value: float
    name: str
    given_property: Superiority


class Explanation(Record):
    """What a filter's answer follows.

    Attributes:
        correlations: rank correlation with each property of the images, the strongest first.
        num_top: how many images count as its top images.
        classes: those over-represented among its top images, the least probable first; each
            compared among images that are alike in the property that the filter follows most.
        sentence: the same in words.
    """

    filter: int
    layer: str
    kernel: KernelDescription | None
    correlations: dict[str, float]
    num_top: int
    classes: tuple[ExplainedClass, ...]
    sentence: str

    @property
    def followed(self) -> str:
        """The property that the filter follows most."""
        return next(iter(self.correlations))


class Probabilities(Record):
    """What a picture is taken for: the probability of each class or label, the highest first.

    `prediction` is the most probable class; None where each label is right or wrong by itself.
    """

    image: str
    prediction: str | None
    probabilities: dict[str, float]


@dataclass(frozen=True)
class TopPictures:
    """The images that excite a filter most: uint8 (k, height, width, 3), and its kernel."""

    record: TopImages
    images: np.ndarray
    kernel: np.ndarray | None


@dataclass(frozen=True)
class MapPictures:
    """An image, uint8 (height, width, 3), and maps, float (filters shown, height, width)."""

    record: ImageMaps
    image: np.ndarray
    maps: np.ndarray


@dataclass(frozen=True)
class FilterPicture:
    """What a filter did, and its kernel, float (height, width, channels), if it has one."""

    record: FilterRow
    kernel: np.ndarray | None


@dataclass(frozen=True)
class ExplanationPicture:
    """What a filter follows, and its kernel, float (height, width, channels), if it has one."""

    record: Explanation
    kernel: np.ndarray | None


@dataclass(frozen=True)
class ProbabilityPicture:
    """What a picture is taken for, and the picture, uint8 (height, width, 3), if it is drawn."""

    record: Probabilities
    image: np.ndarray | None
