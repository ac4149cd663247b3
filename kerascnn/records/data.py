"""What a data set holds."""

from kerascnn.records import Record


class SplitSummary(Record):
    """The images of one split.

    Attributes:
        num_images: how many.
        per_class: how many of each class.
        channel_means: of red, green and blue, fractions from 0 to 1.
    """

    num_images: int
    per_class: tuple[int, ...]
    channel_means: tuple[float, ...]


class DatasetSummary(Record):
    """A data set: its classes, the shape of its images, and its splits `train` and `test`."""

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: dict[str, SplitSummary]
