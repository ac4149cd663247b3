"""The peer that an expert writes by hand: PyTorch, with what makes it faster on this network.

Beside the plain script: channels_last tensors, the fused optimizer, denormal numbers flushed from
the start of the process on, and the augmentation of many images at a time as tensors.
"""

import torch
from torch.nn import functional

from kerascnn.bench.clock import Clock
from kerascnn.bench.images import Images
from kerascnn.bench.order import Order
from kerascnn.bench.pytorch_script import DEVICE, VALIDATION_BATCH, TorchLoop
from kerascnn.recipe import Augmentation

# Images augmented in one go, as kerascnn does it.
BLOCK = 1000
# Of red, green and blue in gray, as torchvision has them.
GRAY = (0.2989, 0.587, 0.114)


class ExpertScript(TorchLoop):
    """PyTorch by an expert, as a peer of the bench."""

    def __init__(self, order: Order, images: Images):
        # Before OpenMP makes its threads, which then do the same.
        torch.set_flush_denormal(True)
        super().__init__(order, images, fused=True)
        self.model.to(memory_format=torch.channels_last)
        self.size, self.settings = order.recipe.train.batch_size, order.recipe.augmentation
        trained, validated = images.trained(), images.validated()
        self.images, self.labels = (torch.from_numpy(each).to(DEVICE) for each in trained)
        self.validation = [torch.from_numpy(each).to(DEVICE) for each in validated]

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        return "PyTorch by an expert, augmentation of many images at a time"

    def train_epoch(self, clock: Clock) -> None:
        """All steps of an epoch."""
        total = torch.zeros((), device=DEVICE)
        block = max(1, BLOCK // self.size) * self.size
        for chosen in torch.randperm(len(self.images), device=DEVICE).split(block):
            images = to_input(augment(self.images[chosen], self.settings))
            labels = self.labels[chosen].long()
            for part in zip(images.split(self.size), labels.split(self.size), strict=True):
                total += self.step(*part) * len(part[1])
                clock.step()

    def validate(self) -> float:
        """The loss of the images that validate."""
        self.model.eval()
        total = torch.zeros((), device=DEVICE)
        batches = zip(*(each.split(VALIDATION_BATCH) for each in self.validation), strict=True)
        with torch.no_grad():
            for images, labels in batches:
                logits = self.model(to_input(images.float() / 255))
                total += self.loss(logits, labels.long()) * len(labels)
        self.model.train()
        return total.item() / len(self.validation[1])


def to_input(images: torch.Tensor) -> torch.Tensor:
    """Images as the network takes them, channels_last.

    Args:
        images: float32 (num_images, height, width, 3), from 0 to 1.
    """
    return ((images - 0.5) / 0.5).permute(0, 3, 1, 2)


def augment(images: torch.Tensor, settings: Augmentation) -> torch.Tensor:
    """Flip, padded crop and color jitter, with draws of its own for each image.

    The order of the jitter's operations is drawn once a call.

    Args:
        images: uint8 (num_images, height, width, 3).
        settings: how much of each.

    Returns:
        float32 of the same shape, from 0 to 1.
    """
    images = _flip_and_crop(images, settings).float() / 255
    amounts = (
        (_brighten, settings.brightness),
        (_contrast, settings.contrast),
        (_saturate, settings.saturation),
    )
    for place in torch.randperm(len(amounts)).tolist():
        change, amount = amounts[place]
        if amount:
            factors = torch.empty(len(images), 1, 1, 1, device=images.device)
            images = change(images, factors.uniform_(1 - amount, 1 + amount)).clamp_(0, 1)
    return images


def _flip_and_crop(images: torch.Tensor, settings: Augmentation) -> torch.Tensor:
    count, height, width, _ = images.shape
    padding, device = settings.crop_padding, images.device
    tops, lefts = torch.randint(0, 2 * padding + 1, (2, count, 1), device=device)
    rows = tops + torch.arange(height, device=device)
    columns = lefts + torch.arange(width, device=device)
    # Of a mirrored image the padded columns are read from the other end.
    flipped = torch.rand(count, 1, device=device) < settings.horizontal_flip
    columns = torch.where(flipped, width + 2 * padding - 1 - columns, columns)
    padded = functional.pad(images, (0, 0, padding, padding, padding, padding))
    which = torch.arange(count, device=device)
    return padded[which[:, None, None], rows[:, :, None], columns[:, None, :]]


def _gray(images: torch.Tensor) -> torch.Tensor:
    return (images @ torch.tensor(GRAY, device=images.device))[..., None]


def _brighten(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    return images * factors


def _contrast(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    return torch.lerp(_gray(images).mean((1, 2, 3), keepdim=True), images, factors)


def _saturate(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    return torch.lerp(_gray(images), images, factors)
