"""`kerascnn augmentations`: what augmentation does to images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.output import DataDir, complete_recipe, remark, save_figure


def augmentations(
    recipe: Annotated[
        str, typer.Argument(help="A recipe that augments.", autocompletion=complete_recipe)
    ] = "adam-lr0.001",
    dataset: Annotated[
        str | None, typer.Option(help="Data set: cifar10, shapes, or a folder.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, max=50, help="Training images to show.")] = 6,
    draws: Annotated[int, typer.Option(min=1, max=50, help="Draws of each.")] = 7,
    seed: Annotated[int | None, typer.Option(help="Draws images and augmentation.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file to write.")] = Path(
        "augmentations.png"
    ),
    data_dir: DataDir = None,
) -> None:
    """Draw a grid: training images, and several augmented draws of each."""
    from kerascnn.backend import require_backend
    from kerascnn.recipe import load_recipe

    given = {"data.dataset": dataset, "train.seed": seed}
    resolved = load_recipe(recipe).with_values({k: v for k, v in given.items() if v is not None})
    require_backend()

    from kerascnn.cli.evaluate import load_with_progress
    from kerascnn.show.image_figures import plot_augmentations
    from kerascnn.training.augment import sample_augmentation

    loaded = load_with_progress(resolved.data.dataset, data_dir)
    originals = choose_originals(loaded.train_images, images, resolved.train.seed)
    title = f"{resolved.name}: training images of {loaded.name}, and draws of their augmentation"
    drawn = sample_augmentation(resolved, originals, draws)
    save_figure(plot_augmentations(originals, drawn, title), output)
    remark(f"Wrote {output}.")


def choose_originals(images, count: int, seed: int):
    """Training images drawn from a seed."""
    from kerascnn.seeds import random_stream

    return images[random_stream(seed, "examples").permutation(len(images))[:count]]
