"""Denormal numbers are zero in every thread that computes, while kerascnn trains or looks."""

import contextlib
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from kerascnn.data import load_dataset
from kerascnn.denormals import flush_denormals, flushes_denormals
from kerascnn.evaluation import evaluate
from kerascnn.look.forward import Forward
from kerascnn.model.build import compile_model
from kerascnn.recipe import load_recipe
from kerascnn.training import build_batches, train
from kerascnn.training.steps import use_fast_step

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the other backends flush by themselves"
)
# In float32, the smallest normal number is 1.18e-38.
DENORMAL = 1e-40
# Enough that torch divides the work, one part a thread.
DENORMALS = torch.full((2_000_000,), DENORMAL)
RECIPE = load_recipe("adam-lr0.001").with_values(
    {"data.dataset": "shapes", "train.epochs": 1, "train.batch_size": 1000}
)


def share_kept():
    """Of many denormal numbers, how many still are after arithmetic in all threads."""
    bits = (DENORMALS * 1.0).numpy().view("int32")  # comparing numbers would flush as well
    return np.count_nonzero(bits) / len(bits)


@pytest.fixture(autouse=True)
def threads(request):
    """Two of them; one for long training, which others' work would slow down by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if request.node.get_closest_marker("slow") else 2)
    torch.ones(2_000_000) * 2  # the threads are there before anything is flushed
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(before)


def test_all_threads_flush_whatever_ran_before():
    assert share_kept() == 1
    with flush_denormals():
        assert share_kept() == 0
    assert share_kept() == 1


def test_torch_alone_tells_only_the_thread_that_calls():
    torch.set_flush_denormal(True)
    assert share_kept() == 0.5


def test_threads_of_another_number_flush_too():
    torch.set_num_threads(3)
    torch.ones(2_000_000) * 2
    with flush_denormals():
        assert share_kept() == 0


@pytest.mark.parametrize("before", [False, True])
def test_what_the_caller_had_set_is_put_back(before):
    torch.set_flush_denormal(before)
    with flush_denormals(), flush_denormals():
        assert flushes_denormals()
    assert flushes_denormals() is before
    with pytest.raises(KeyboardInterrupt), flush_denormals():
        raise KeyboardInterrupt
    assert flushes_denormals() is before
    assert share_kept() == (0 if before else 1)


def test_numpy_does_not_warn_meanwhile():
    code = (
        "import torch\nfrom kerascnn.denormals import flush_denormals\nimport numpy as np\n"
        "with flush_denormals():\n    np.finfo('float32').tiny, repr(np.float32(0.1))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


class Watch(keras.callbacks.Callback):
    """What share of denormal numbers is kept at each point of training."""

    def __init__(self):
        super().__init__()
        self.kept = set()

    def _look(self, *_, **__):
        self.kept.add(share_kept())

    on_train_batch_end = on_test_batch_end = on_epoch_end = _look


def test_training_flushes_and_puts_back(tmp_path):
    watch = Watch()
    run = train(RECIPE, tmp_path, callbacks=(watch,))
    assert watch.kept == {0}
    assert share_kept() == 1
    evaluate(run)
    assert share_kept() == 1


class Multiply(keras.layers.Layer):
    """By one, in all threads."""

    def call(self, inputs):
        return inputs * 1.0


def test_evaluating_and_looking_flush(monkeypatch, tmp_path):
    from kerascnn.model import native

    run, kept = train(RECIPE, tmp_path), []

    def watch(owner, name):
        original = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *a, **k: kept.append(share_kept()) or original(*a, **k)
        )

    watch(native, "predict_natively")
    watch(keras.Model, "predict_on_batch")
    evaluate(run)
    assert kept == [0]
    image = keras.Input((1000, 1000, 1))
    model = keras.Model(image, Multiply()(image))
    (answer,) = Forward(model)([np.full((2, 1000, 1000, 1), DENORMAL, "float32")])
    assert kept[1:] == [0]
    assert not answer.view("int32").any()
    assert share_kept() == 1


def test_another_openmp_flushes_in_the_thread_that_calls(monkeypatch):
    monkeypatch.setattr("kerascnn.denormals._openmp", lambda: None)
    with flush_denormals():
        assert flushes_denormals()
        assert share_kept() == 0.5
    assert not flushes_denormals()


def denormal_share(model):
    """Of Adam's first moments."""
    values = [moment.value.abs() for moment in model.optimizer._momentums]
    smallest = torch.finfo(torch.float32).tiny
    few = sum(int(((value > 0) & (value < smallest)).sum()) for value in values)
    return few / sum(value.numel() for value in values)


class Steps(keras.callbacks.Callback):
    """The loss and the seconds of each step."""

    def __init__(self):
        super().__init__()
        self.losses, self.seconds = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        self.seconds.append(time.perf_counter() - self.start)


def fit(dataset, data_dir, epochs, flush):
    """Train as `train` does, with or without denormal numbers."""
    recipe = load_recipe("adam-lr0.001").with_values({"data.dataset": dataset})
    model = compile_model(recipe)
    assert use_fast_step(model)
    batches, _ = build_batches(recipe, load_dataset(dataset, data_dir))
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.begin(epoch))
    steps = Steps()
    with flush_denormals() if flush else contextlib.nullcontext():
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[begin, steps])
    return model, steps


@pytest.mark.slow
def test_after_a_thousand_steps_a_step_is_as_fast_as_at_first(cifar10_dir):
    model, steps = fit("cifar10", cifar10_dir, epochs=1, flush=True)
    assert denormal_share(model) == 0
    first, last = steps.seconds[100:200], steps.seconds[-100:]
    # With denormal numbers 1.7, on a processor where they are slow.
    assert np.median(last) < 1.3 * np.median(first)


@pytest.mark.slow
def test_flushing_changes_no_loss_and_no_weight():
    model, steps = fit("shapes", None, epochs=6, flush=True)
    plain, plain_steps = fit("shapes", None, epochs=6, flush=False)
    assert denormal_share(plain) > 0.5
    assert steps.losses == plain_steps.losses
    for weight, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
