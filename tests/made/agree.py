"""What one backend computes, as a file that the others' can be compared with.

    KERAS_BACKEND=jax python agree.py OUTPUT.npz RUN

RUN is a run of the recipe below that was interrupted after its second epoch; each backend goes on
with a copy of its own. If it is not there yet, it is made.
"""

import shutil
import sys
from pathlib import Path

import keras
import numpy as np

from kerascnn.data import load_dataset
from kerascnn.evaluation import evaluate, load_best_model
from kerascnn.look.activations import top_activations
from kerascnn.model.build import compile_model
from kerascnn.recipe import load_recipe
from kerascnn.run import Run
from kerascnn.training import build_batches, resume, train
from kerascnn.training.steps import use_fast_step

STEPS, IMAGES = 20, 1000
RECIPE = load_recipe("adam-lr0.001").with_values(
    {"data.dataset": "shapes", "train.seed": 3, "train.epochs": 4, "model.filters": [8, 16, 16]}
)
WITHOUT_DROPOUT = RECIPE.with_values({"model.dropout": 0.0})
SGD = {"train.optimizer": "sgd", "train.learning_rate": 0.01}


def few(dataset):
    return type(dataset)(
        dataset.name,
        dataset.class_names,
        dataset.train_images[:IMAGES],
        dataset.train_labels[:IMAGES],
        dataset.test_images[:IMAGES],
        dataset.test_labels[:IMAGES],
    )


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


class Losses(keras.callbacks.Callback):
    """Mean loss of the steps so far, after each of them."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        if len(self.losses) == STEPS:
            self.model.stop_training = True


def steps_of(recipe, dataset, fast):
    model = compile_model(recipe, dataset.image_shape, dataset.num_classes)
    if fast:
        use_fast_step(model)
    batches, _ = build_batches(recipe, dataset)
    losses = Losses()
    model.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[losses])
    return np.array(losses.losses[:STEPS])


def main():
    output, begun = Path(sys.argv[1]), Path(sys.argv[2])
    dataset = few(load_dataset("shapes"))
    found = {}
    model = compile_model(RECIPE, dataset.image_shape, dataset.num_classes)
    for place, weight in enumerate(model.get_weights()):
        found[f"weight/{place}"] = weight
    batches, _ = build_batches(RECIPE, dataset)
    for epoch in (0, 1):
        batches.epoch = epoch
        for index in (0, 1, len(batches) - 1):
            images, labels = batches[index]
            found[f"images/{epoch}/{index}"], found[f"labels/{epoch}/{index}"] = images, labels
    for fast in (True, False):
        found[f"losses/adam/{fast}"] = steps_of(WITHOUT_DROPOUT, dataset, fast)
        found[f"losses/sgd/{fast}"] = steps_of(WITHOUT_DROPOUT.with_values(SGD), dataset, fast)

    runs_dir = output.with_suffix("")
    for seed in (0, 1, 2):
        recipe = RECIPE.with_values({"train.seed": seed})
        history = train(recipe, runs_dir, dataset=dataset).read_history()
        found[f"dropout/{seed}"] = np.array(history["val_loss"])

    if not begun.exists():
        try:
            train(WITHOUT_DROPOUT, begun.parent, dataset=dataset, callbacks=(Stop(),))
        except KeyboardInterrupt as interrupt:
            interrupt.run.path.rename(begun)
    run = Run(shutil.copytree(begun, runs_dir / "begun"))
    evaluate(run, dataset=dataset)
    found["probabilities"] = run.read_predictions()["probabilities"]
    top = top_activations(load_best_model(run), dataset.test_images, "relu1")
    found["top/indices"], found["top/scores"] = top.indices, top.scores
    resume(run, dataset=dataset)
    evaluate(run, dataset=dataset)
    found["resumed/val_loss"] = np.array(run.read_history().val_loss)
    found["resumed/probabilities"] = run.read_predictions()["probabilities"]
    np.savez(output, **found)


main()
