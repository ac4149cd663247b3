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

# The public names of each module.
_NAMES = {
    "errors": "KerascnnError BackendError BenchError DatasetError ExchangeError ImageError "
    "ModelError RecipeError RunError SelectionError TrainingError TrainingInterrupted",
    "recipe": "Recipe list_recipes load_recipe",
    "data": "Dataset load_dataset",
    "training.augment": "ColorJitter RandomCropWithPadding RandomHorizontalFlip build_augmentation",
    "model.build": "build_model compile_model",
    "run": "Run",
    "run.find": "find_run list_runs",
    "look.activations": "TopActivations feature_maps top_activations",
    "model.graph": "truncate",
    "training": "resume train",
    "evaluation.compare": "compare",
    "evaluation": "evaluate predict",
    "evaluation.figures": "write_figures",
    "page": "write_page",
    "study.audit": "audit",
    "exchange": "convert export",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
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
