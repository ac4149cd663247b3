"""The peer that a competent user writes by hand: plain PyTorch, eager, with PIL augmentation.

What such a script does without trying hard: NCHW tensors, `torch.optim` as it comes, a DataLoader
that augments each image as torchvision's transforms do (torchvision's own where it can be imported)
in the main process or in two workers, whichever was faster in the warm-up.
"""

import itertools
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset

from kerascnn.bench import TIMED_IMAGES
from kerascnn.recipe import Augmentation, Recipe

VALIDATION_BATCH = 500


class Network(nn.Module):
    """The study's network as a module; logits of float images (num_images, 3, 32, 32)."""

    def __init__(self, recipe: Recipe):
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
        side = 32 // 2 ** len(settings.pool_after)
        self.dropout = nn.Dropout(settings.dropout)
        self.fc1 = nn.Linear(settings.filters[-1] * side**2, settings.units)
        self.fc2 = nn.Linear(settings.units, 10)

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


class PyTorchScript:
    """Plain PyTorch, as a peer of the bench."""

    def __init__(self, recipe: Recipe, images: np.ndarray, labels: np.ndarray):
        self.model = Network(recipe)
        self.loss = nn.CrossEntropyLoss()
        settings = recipe.train
        if settings.optimizer == "adam":
            self.optimizer = torch.optim.Adam(self.model.parameters(), settings.learning_rate)
        else:
            self.optimizer = torch.optim.SGD(
                self.model.parameters(), settings.learning_rate, settings.momentum
            )
        pictures = Pictures(images, labels, _build_transform(recipe.augmentation))
        self.loaders = {
            workers: DataLoader(
                pictures,
                settings.batch_size,
                shuffle=True,
                num_workers=workers,
                persistent_workers=workers > 0,
            )
            for workers in (0, 2)
        }
        plain = Pictures(images[:TIMED_IMAGES], labels[:TIMED_IMAGES], _to_tensor)
        self.validation = DataLoader(plain, VALIDATION_BATCH)
        self.workers = None

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        source = "torchvision" if _torchvision() else "PIL, as torchvision does it"
        return f"plain PyTorch, eager; augmentation by {source}, {self.workers} loader processes"

    def train(self) -> list[float]:
        """Train for a turn; the times at which its steps end."""
        if self.workers is None:
            for _ in range(2):  # the second time counts: by then the loaders' processes are there
                ends = {workers: self._train(loader) for workers, loader in self.loaders.items()}
            self.workers = min(ends, key=lambda workers: ends[workers][-1] - ends[workers][0])
            self.loaders = {self.workers: self.loaders[self.workers]}
        return self._train(self.loaders[self.workers])

    def validate(self) -> int:
        """Evaluate some images; how many."""
        self.model.eval()
        with torch.no_grad():
            for images, labels in self.validation:
                self.loss(self.model(images), labels).item()
        self.model.train()
        return len(self.validation.dataset)

    def _train(self, loader: DataLoader) -> list[float]:
        ends = []
        total = 0.0
        for images, labels in loader:
            self.optimizer.zero_grad()
            loss = self.loss(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(labels)
            ends.append(time.perf_counter())
        return ends


def _build_transform(settings: Augmentation) -> Callable[[Image.Image], torch.Tensor]:
    if transforms := _torchvision():
        steps = [
            transforms.RandomHorizontalFlip(settings.horizontal_flip),
            transforms.RandomCrop(32, padding=settings.crop_padding),
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
