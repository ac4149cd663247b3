"""`kerascnn augmentations`: what augmentation does to images."""

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.backend import require_backend
from kerascnn.cli.evaluate import load_with_progress
from kerascnn.cli.options import DataDir, DatasetName, RecipeName, Seed
from kerascnn.cli.output import remark, save_figure


def augmentations(
    recipe: RecipeName = "adam-lr0.001",
    dataset: DatasetName = None,
    images: Annotated[int, typer.Option(min=1, max=50, help="Training images to show.")] = 6,
    draws: Annotated[
        int, typer.Option(min=1, max=50, help="Augmented pictures of each image.")
    ] = 7,
    seed: Seed = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file to write.")] = Path(
        "augmentations.png"
    ),
    data_dir: DataDir = None,
) -> None:
    """Draw some training images, each beside what random augmentation makes of it."""
    from kerascnn.recipe import load_recipe, parse_values

    values = parse_values(None, {"data.dataset": dataset, "train.seed": seed})
    resolved = load_recipe(recipe).with_values(values)
    require_backend()

    from kerascnn.show.image_figures import plot_augmentations
    from kerascnn.training.augment import sample_examples

    loaded = load_with_progress(resolved.data.dataset, data_dir)
    originals, drawn = sample_examples(resolved, loaded.train_images, images, draws)
    title = f"{resolved.name}: training images of {loaded.name}, and draws of their augmentation"
    save_figure(plot_augmentations(originals, drawn, title), output)
    remark(f"Wrote {output}.")
