"""Train a small convolutional network on CIFAR-10, check the numbers, and look inside it.

    import kerascnn

    recipe = kerascnn.load_recipe("adam-lr0.001")
    run = kerascnn.train(recipe)
    evaluation = kerascnn.evaluate(run)

Importing this package imports neither Keras nor torch; the names below are resolved when used.
It does settle the Keras backend: `KERAS_BACKEND` where that is set, torch otherwise.
"""

from importlib import import_module

from kerascnn.backend import choose_backend, require_backend

__version__ = "0.1.0"

_HOMES = {
    "KerascnnError": "errors",
    "BackendError": "errors",
    "BenchError": "errors",
    "DatasetError": "errors",
    "ExchangeError": "errors",
    "ImageError": "errors",
    "ModelError": "errors",
    "RecipeError": "errors",
    "RunError": "errors",
    "SelectionError": "errors",
    "TrainingError": "errors",
    "TrainingInterrupted": "errors",
    "Recipe": "recipe",
    "list_recipes": "recipe",
    "load_recipe": "recipe",
    "Dataset": "data",
    "load_dataset": "data",
    "ColorJitter": "training.augment",
    "RandomCropWithPadding": "training.augment",
    "RandomHorizontalFlip": "training.augment",
    "build_augmentation": "training.augment",
    "build_model": "model.build",
    "compile_model": "model.build",
    "Run": "run",
    "find_run": "run.find",
    "list_runs": "run.find",
    "TopActivations": "look.activations",
    "feature_maps": "look.activations",
    "top_activations": "look.activations",
    "truncate": "model.graph",
    "resume": "training",
    "train": "training",
    "compare": "evaluation.compare",
    "evaluate": "evaluation",
    "predict": "evaluation",
    "write_figures": "evaluation.figures",
    "write_page": "page",
    "audit": "study.audit",
    "convert": "exchange",
    "export": "exchange",
}

_NEED_KERAS = {"exchange", "look", "model", "training"}

__all__ = ["__version__", *_HOMES]

choose_backend()


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kerascnn' has no attribute '{name}'")
    if _HOMES[name].split(".")[0] in _NEED_KERAS:
        require_backend()
    value = getattr(import_module(f"kerascnn.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
