"""The peer that a competent user writes by hand: plain PyTorch, eager, with PIL augmentation.

What such a script does without trying hard: NCHW tensors, `torch.optim` as it comes, a DataLoader
that augments each image as torchvision's transforms do (torchvision's own where it can be imported)
in the main process or in two workers, whichever was faster in a trial, and `torch.save` where the
validation loss is lower than before.
"""

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from kerascnn.bench.clock import PROBED_STEPS, Clock
from kerascnn.bench.images import Images
from kerascnn.bench.order import Order
from kerascnn.recipe import Augmentation, Recipe

VALIDATION_BATCH = 500
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Network(nn.Module):
    """The study's network as a module.

    Input shape:
        (num_images, 3, height, width), float32.

    Output shape:
        (num_images, num_classes), logits.
    """

    def __init__(self, recipe: Recipe, image_shape: tuple[int, int, int], num_classes: int):
        super().__init__()
        settings = recipe.model
        channels = (3, *settings.filters)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, settings.kernel_size, padding=settings.kernel_size // 2)
            for before, after in itertools.pairwise(channels)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(filters) for filters in settings.filters)
        self.pool = nn.MaxPool2d(2, 2)
        self.pool_after = set(settings.pool_after)
        height, width = (size // 2 ** len(settings.pool_after) for size in image_shape[:2])
        self.dropout = nn.Dropout(settings.dropout)
        self.fc1 = nn.Linear(settings.filters[-1] * height * width, settings.units)
        self.fc2 = nn.Linear(settings.units, num_classes)

    def forward(self, x):
        layers = zip(self.convolutions, self.norms, strict=True)
        for block, (convolution, norm) in enumerate(layers, start=1):
            x = torch.relu(norm(convolution(x)))
            if block in self.pool_after:
                x = self.pool(x)
        x = self.dropout(x.flatten(1))
        x = self.dropout(torch.relu(self.fc1(x)))
        return self.fc2(x)


class Pictures(Dataset):
    """PIL images, transformed one by one."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable):
        self.pictures = [Image.fromarray(image) for image in images]
        self.labels, self.transform = labels, transform

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        return self.transform(self.pictures[index]), int(self.labels[index])


class TorchLoop:
    """Training by hand, epoch after epoch; what the two scripts of PyTorch have in common.

    Args:
        fused: whether the optimizer is torch's fused one.
    """

    def __init__(self, order: Order, images: Images, fused: bool):
        dataset = images.dataset
        self.model = Network(order.recipe, dataset.image_shape, dataset.num_classes).to(DEVICE)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = build_optimizer(order.recipe, self.model, fused)
        self.path = Path(order.directory, "best.pt")
        self.best = float("inf")

    def train(self, clock: Clock) -> None:
        """Train until the clock says that it is enough."""
        go_on = True
        while go_on:
            self.train_epoch(clock)
            loss = self.validate()
            clock.validated()
            if loss < self.best:
                self.best = loss
                parts = {"model": self.model, "optimizer": self.optimizer}
                torch.save({name: part.state_dict() for name, part in parts.items()}, self.path)
            go_on = clock.epoch()

    def train_epoch(self, clock: Clock) -> None:
        """All steps of an epoch."""
        raise NotImplementedError

    def validate(self) -> float:
        """The loss of the images that validate."""
        raise NotImplementedError

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One training step; its loss."""
        self.optimizer.zero_grad()
        loss = self.loss(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def moments(self) -> list[np.ndarray]:
        """Adam's first moments; none of another optimizer."""
        states = self.optimizer.state.values()
        return [state["exp_avg"].cpu().numpy() for state in states if "exp_avg" in state]


class PyTorchScript(TorchLoop):
    """Plain PyTorch, as a peer of the bench."""

    def __init__(self, order: Order, images: Images):
        super().__init__(order, images, fused=False)
        self.size = order.recipe.train.batch_size
        transform = _build_transform(order.recipe.augmentation, images.dataset.image_shape[:2])
        pictures = Pictures(*images.trained(), transform)
        self.workers = self._choose_workers(pictures)
        self.loader = self._load(pictures, self.workers)
        self.validation = DataLoader(Pictures(*images.validated(), _to_tensor), VALIDATION_BATCH)

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        source = "torchvision" if _torchvision() else "PIL"
        return f"plain PyTorch, augmentation by {source}, {self.workers} loader processes"

    def train_epoch(self, clock: Clock) -> None:
        """All steps of an epoch."""
        self._train(self.loader, clock.step)

    def validate(self) -> float:
        """The loss of the images that validate."""
        self.model.eval()
        total = 0.0
        with torch.no_grad():
            for images, labels in self.validation:
                images, labels = images.to(DEVICE), labels.to(DEVICE)
                total += self.loss(self.model(images), labels).item() * len(labels)
        self.model.train()
        return total / len(self.validation.dataset)

    def _train(self, loader: DataLoader, stepped: Callable[[], object]) -> None:
        total = 0.0
        for images, labels in loader:
            images, labels = images.to(DEVICE), labels.to(DEVICE)
            total += self.step(images, labels).item() * len(labels)
            stepped()

    def _load(self, pictures: Dataset, workers: int) -> DataLoader:
        return DataLoader(
            pictures,
            self.size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def _choose_workers(self, pictures: Pictures) -> int:
        some = Subset(pictures, range(min(len(pictures), PROBED_STEPS * self.size)))
        loaders = {workers: self._load(some, workers) for workers in (0, 2)}
        seconds = {}
        for _ in range(2):  # the second time counts: by then the loaders' processes are there
            for workers, loader in loaders.items():
                start = time.perf_counter()
                self._train(loader, lambda: None)
                seconds[workers] = time.perf_counter() - start
        return min(seconds, key=seconds.get)


def build_optimizer(recipe: Recipe, model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    """The recipe's optimizer by torch.

    Args:
        recipe: its `train` section is used.
        model: whose parameters are trained.
        fused: whether it is one kernel for all parameters; else as torch has it by default.
    """
    settings, parameters = recipe.train, model.parameters()
    how = {"fused": True} if fused else {}
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, settings.learning_rate, **how)
    return torch.optim.SGD(parameters, settings.learning_rate, settings.momentum, **how)


def _build_transform(
    settings: Augmentation, size: tuple[int, int]
) -> Callable[[Image.Image], torch.Tensor]:
    if transforms := _torchvision():
        steps = [
            transforms.RandomHorizontalFlip(settings.horizontal_flip),
            transforms.RandomCrop(size, padding=settings.crop_padding),
            transforms.ColorJitter(settings.brightness, settings.contrast, settings.saturation),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
        return transforms.Compose(steps)

    def transform(picture: Image.Image) -> torch.Tensor:
        if random.random() < settings.horizontal_flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return _to_tensor(_jitter(_crop(picture, settings.crop_padding), settings))

    return transform


def _torchvision():
    try:
        from torchvision import transforms
    except ImportError:
        return None
    return transforms


def _crop(picture: Image.Image, padding: int) -> Image.Image:
    if not padding:
        return picture
    width, height = picture.size
    left, top = random.randint(0, 2 * padding), random.randint(0, 2 * padding)
    padded = ImageOps.expand(picture, padding)
    return padded.crop((left, top, left + width, top + height))


def _jitter(picture: Image.Image, settings: Augmentation) -> Image.Image:
    operations = [
        (ImageEnhance.Brightness, settings.brightness),
        (ImageEnhance.Contrast, settings.contrast),
        (ImageEnhance.Color, settings.saturation),
    ]
    random.shuffle(operations)
    for enhance, amount in operations:
        if amount:
            picture = enhance(picture).enhance(random.uniform(1 - amount, 1 + amount))
    return picture


def _to_tensor(picture: Image.Image) -> torch.Tensor:
    # As ToTensor and Normalize: to 0..1, channels first, then mean 0.5 and deviation 0.5.
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    return image.to(torch.float32).div_(255).sub_(0.5).div_(0.5)
