"""The study's network as one writes it in PyTorch; it shares no code with the package."""

import numpy as np
import torch
from torch import nn

from kerascnn.data import load_dataset


class Reference(nn.Module):
    """The study's network in PyTorch; images (num_images, 3, 32, 32) from -1 to 1."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(128)
        self.pool = nn.MaxPool2d(2, 2)
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(128 * 4 * 4, 512)
        self.fc2 = nn.Linear(512, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.pool(torch.relu(self.bn2(self.conv2(x))))
        x = self.pool(torch.relu(self.bn3(self.conv3(x))))
        x = self.dropout(torch.flatten(x, 1))
        x = self.dropout(torch.relu(self.fc1(x)))
        return self.fc2(x)


def as_pytorch_has_it(images, dtype=torch.float32):
    """Bytes as ToTensor and Normalize((0.5,) * 3, (0.5,) * 3) give them."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(dtype).div(255).sub(0.5) / 0.5


def draw_images(batch_size=20, steps=1, seed=0):
    """Images and labels of `shapes`, in a random order."""
    dataset = load_dataset("shapes")
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(dataset.train_images))[: batch_size * steps]
    return dataset.train_images[chosen], dataset.train_labels[chosen].astype("int64")
