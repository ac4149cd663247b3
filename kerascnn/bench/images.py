"""The images that every peer trains on, and those that validate."""

from dataclasses import dataclass

import numpy as np

from kerascnn.data import Dataset, load_dataset, split_validation
from kerascnn.recipe import Recipe


@dataclass(frozen=True)
class Sizes:
    """How many images train, and how many validate; by default the study's numbers."""

    training: int = 40_000
    validation: int = 10_000

    @property
    def fraction(self) -> float:
        """The share that validates."""
        return self.validation / (self.training + self.validation)


STUDY = Sizes()


@dataclass(frozen=True)
class Images:
    """A data set of some sizes, and which of its training images train and which validate."""

    dataset: Dataset
    training: np.ndarray
    validation: np.ndarray

    def trained(self) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (num_images, height, width, 3) and int32 (num_images,) that train."""
        return self._of(self.training)

    def validated(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of those that validate."""
        return self._of(self.validation)

    def _of(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.dataset.train_images[indices], self.dataset.train_labels[indices]


def load_images(recipe: Recipe, sizes: Sizes) -> Images:
    """The images of a recipe's data set, repeated where there are too few.

    Args:
        recipe: its data set and its seed are used; `sizes.fraction` is its share for validation.

    Raises:
        DatasetError: if the data set cannot be loaded.
    """
    loaded = load_dataset(recipe.data.dataset)
    chosen = np.arange(sizes.training + sizes.validation) % len(loaded.train_images)
    tested = np.arange(sizes.validation) % len(loaded.test_images)
    dataset = Dataset(
        loaded.name,
        loaded.class_names,
        loaded.train_images[chosen],
        loaded.train_labels[chosen],
        loaded.test_images[tested],
        loaded.test_labels[tested],
    )
    return Images(dataset, *split_validation(len(chosen), sizes.fraction, recipe.train.seed))
