"""The scripts that PyTorch users write do what they say: augment, learn, and keep the best."""

import numpy as np
import pytest

from kerascnn.bench import expert_script, pytorch_script
from kerascnn.bench.images import Sizes, load_images
from kerascnn.bench.order import Order
from kerascnn.recipe import load_recipe

torch = pytest.importorskip("torch")
RECIPE = load_recipe("adam-lr0.001").with_values({"data.dataset": "shapes"})
PLAIN = RECIPE.augmentation.model_copy(
    update=dict.fromkeys(("brightness", "contrast", "saturation"), 0.0)
)


@pytest.fixture
def order(tmp_path):
    return Order(RECIPE, Sizes(1_000, 200), 4, 1, str(tmp_path))


class Epochs:
    """A clock that stops training after some epochs."""

    def __init__(self, count):
        self.left, self.steps = count, 0

    def step(self):
        self.steps += 1

    def validated(self):
        pass

    def epoch(self):
        self.left -= 1
        return self.left > 0


@pytest.fixture
def denormals():
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    "build", [pytorch_script.PyTorchScript, expert_script.ExpertScript], ids=["plain", "expert"]
)
def test_a_script_learns_and_keeps_its_best_weights(order, build, tmp_path, denormals):
    torch.manual_seed(0)
    script = build(order, load_images(order.recipe, order.sizes))
    clock, before = Epochs(2), script.validate()
    script.train(clock)
    assert clock.steps == 2 * 50
    assert script.best < before
    kept = torch.load(tmp_path / "best.pt")
    script.model.load_state_dict(kept["model"])
    assert script.validate() == pytest.approx(script.best, rel=1e-4)
    # Whole epochs, after the trial of loaders that the plain script makes.
    steps = {state["step"].item() for state in kept["optimizer"]["state"].values()}
    assert [step % 50 for step in steps] == [0]
    assert sum(moments.size for moments in script.moments()) == sum(
        parameter.numel() for parameter in script.model.parameters()
    )


def test_the_experts_flip_and_crop_are_windows_of_the_padded_image_or_its_mirror_image():
    torch.manual_seed(0)
    images = torch.from_numpy(np.random.default_rng(0).integers(1, 256, (40, 8, 8, 3), "uint8"))
    padding = PLAIN.crop_padding
    augmented = (expert_script.augment(images, PLAIN) * 255).round().to(torch.uint8)
    flips = 0
    for image, result in zip(images, augmented, strict=True):
        windows = {
            (flip, top, left): torch.nn.functional.pad(
                image.flip(1) if flip else image, (0, 0, *(padding,) * 4)
            )[top : top + 8, left : left + 8]
            for flip in (False, True)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
        }
        found = [key for key, window in windows.items() if torch.equal(window, result)]
        assert found
        flips += found[0][0]
    assert 5 < flips < 35


def test_the_experts_jitter_is_that_of_pil():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), "uint8")
    from PIL import Image, ImageEnhance

    pixels, factor = torch.from_numpy(image).float() / 255, torch.full((1, 1, 1, 1), 1.3)
    for change, enhance in (
        (expert_script._brighten, ImageEnhance.Brightness),
        (expert_script._contrast, ImageEnhance.Contrast),
        (expert_script._saturate, ImageEnhance.Color),
    ):
        expected = np.asarray(enhance(Image.fromarray(image[0])).enhance(1.3), "float32")
        ours = change(pixels, factor).clamp(0, 1)[0].numpy() * 255
        assert np.abs(ours - expected).max() <= 2
