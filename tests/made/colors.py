"""A small data set that is quickly learned."""

import numpy as np

from kerascnn.data import Dataset
from kerascnn.recipe import load_recipe

NUM_TRAIN, NUM_TEST = 120, 30
RECIPE = load_recipe("adam-lr0.001").with_values(
    {
        "data.dataset": "shapes",
        "model.filters": [4, 6, 8],
        "model.units": 16,
        "train.epochs": 2,
        "train.learning_rate": 0.01,
    }
)


def draw_colors(num_train, num_test, seed=0):
    """Three classes: mostly red, mostly green, mostly blue; with noise; 32x32 pixels."""
    generator = np.random.default_rng(seed)

    def draw(num_images):
        labels = generator.integers(0, 3, num_images).astype("int32")
        images = generator.integers(0, 160, (num_images, 32, 32, 3))
        images[np.arange(num_images), :, :, labels] += 60
        images = images.astype("uint8")
        images.setflags(write=False)
        return images, labels

    return Dataset("shapes", ("red", "green", "blue"), *draw(num_train), *draw(num_test))


DATASET = draw_colors(NUM_TRAIN, NUM_TEST)
