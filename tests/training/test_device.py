"""What the step does on a GPU, so that nothing has to be read from it, is the same arithmetic."""

import keras
import numpy as np
import pytest
from made.interrupted import DATASET, RECIPE, assert_same_run

from kerascnn.model import native
from kerascnn.training import build_batches, train

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.config.backend() != "torch", reason="what torch alone does")


@pytest.fixture
def gpu(monkeypatch):
    """The processor, taken for a GPU."""
    from kerascnn.training.steps import torch as step

    monkeypatch.setattr("kerascnn.training.batches.device_of_training", lambda: "cuda")
    monkeypatch.setattr(step, "fused_adam", step.waitless_adam)
    monkeypatch.setattr(native, "_draw_on_processor", native._draw_on_device)


def test_batches_of_a_device_are_those_of_the_processor(monkeypatch):
    here, _ = build_batches(RECIPE, DATASET)
    monkeypatch.setattr("kerascnn.training.batches.device_of_training", lambda: "cuda")
    there, _ = build_batches(RECIPE, DATASET)
    for epoch in (0, 3):
        here.begin(epoch)
        there.begin(epoch)
        for index in range(len(here)):
            (images, labels), (others, same) = here[index], there[index]
            assert isinstance(others, torch.Tensor)
            np.testing.assert_array_equal(others.numpy(), images)
            np.testing.assert_array_equal(same.numpy(), labels)


def test_adam_that_waits_for_nothing_is_the_fused_one_but_for_rounding():
    from kerascnn.training.steps.torch import fused_adam, waitless_adam

    def trained(apply):
        torch.manual_seed(2)
        weights = [keras.Variable(np.ones((30, 20), "float32")) for _ in range(2)]
        optimizer = keras.optimizers.Adam(0.01, epsilon=1e-8)
        optimizer.build(weights)
        state = [[each.value for each in part] for part in
                 (weights, optimizer._momentums, optimizer._velocities)]  # fmt: skip
        for _ in range(50):
            gradients = [torch.randn(30, 20) * 10.0 ** torch.randint(-6, 3, (1,)) for _ in weights]
            with torch.no_grad():
                apply(optimizer, gradients, *state)
            optimizer.iterations.value.add_(1)
        return [each.detach().numpy() for part in state for each in part]

    for one, other in zip(trained(fused_adam), trained(waitless_adam), strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("keep", [655, 22938, 42598, 65000])
def test_dropout_of_a_device_keeps_its_share_anew_each_step(keep):
    def draw(counter, seed=7):
        state = torch.tensor([seed, counter], dtype=torch.int32)
        return native._draw_on_device(state, 200_000, keep)

    first, second, other = draw(0), draw(1), draw(0, seed=8)
    share = keep / 2**16
    deviation = (share * (1 - share) / 200_000) ** 0.5
    for kept in (first, second, other):
        assert abs(kept.float().mean().item() - share) < 5 * deviation
    # Of two independent draws, as many are kept by both as by chance.
    for kept in (second, other, first.roll(1), first.roll(512)):
        both = (first & kept).float().mean().item()
        assert abs(both - share**2) < 5 * (share**2 * (1 - share**2) / 200_000) ** 0.5
    assert torch.equal(draw(0), first)


def test_training_and_resuming_so_is_bit_exact(gpu, tmp_path):
    from made.interrupted import interrupted

    from kerascnn.training import resume

    whole = train(RECIPE, tmp_path, dataset=DATASET)
    run = interrupted(3, 2)
    resume(run, dataset=DATASET)
    assert_same_run(run, whole)


def test_losses_are_those_of_the_processor_where_nothing_is_dropped(gpu, monkeypatch, tmp_path):
    recipe = RECIPE.with_values({"model.dropout": 0.0, "train.epochs": 1})
    there = train(recipe, tmp_path, dataset=DATASET).read_history()
    monkeypatch.undo()
    here = train(recipe, tmp_path, dataset=DATASET).read_history()
    assert there.loss == pytest.approx(here.loss, rel=1e-4)
    assert there.val_loss == pytest.approx(here.val_loss, rel=1e-3)
