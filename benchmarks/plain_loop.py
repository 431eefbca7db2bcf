"""The post's training as its reader would write it: data set, DataLoader, Adam, two evaluations.

`python -m benchmarks.plain_loop RAW_FOLDER EPOCHS SEED` prints a line an epoch, as the post does;
with `memory` behind, all images are tensors before the first update, which is the usual mend.
"""

import sys
import time
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class DropoutModel(nn.Module):
    """784-256-256-128-128-10 with ReLU and dropout, dropout after the logits too."""

    def __init__(self, drop_rate: float = 0.5) -> None:
        """Build the five blocks."""
        super().__init__()
        blocks: list[nn.Module] = [nn.Flatten()]
        for inputs, units in ((784, 256), (256, 256), (256, 128), (128, 128)):
            blocks += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout(drop_rate)]
        blocks += [nn.Linear(128, 10), nn.Dropout(drop_rate)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of images."""
        logits: torch.Tensor = self.blocks(images)
        return logits


Batch = tuple[torch.Tensor, torch.Tensor]


class InMemory:
    """What a `DataLoader` yields, cut from tensors."""

    def __init__(self, whole: datasets.MNIST, *, shuffle: bool) -> None:
        """Scale all images."""
        self._images, self._labels = whole.data[:, None].float() / 255, whole.targets
        self._shuffle = shuffle

    def __iter__(self) -> Iterator[Batch]:
        """Batches of 200, which divides both sets."""
        count = len(self._labels)
        order = torch.randperm(count) if self._shuffle else torch.arange(count)
        for rows in order.split(200):
            yield self._images[rows], self._labels[rows]


def evaluate(model: nn.Module, loader: Iterable[Batch]) -> tuple[float, float]:
    """Mean loss and accuracy in evaluation mode."""
    model.eval()
    loss_fn = nn.CrossEntropyLoss()
    loss, right, batches, samples = 0.0, 0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            loss += loss_fn(logits, labels).item()
            right += (logits.argmax(1) == labels).sum().item()
            batches += 1
            samples += len(labels)
    return loss / batches, right / samples


def train(root: str, epochs: int, seed: int, *, in_memory: bool = False) -> None:
    """Train for `epochs` and print the scores of each."""
    torch.manual_seed(seed)
    sets = [
        datasets.MNIST(root, train=is_train, transform=transforms.ToTensor())
        for is_train in (True, False)
    ]
    train_loader: Iterable[Batch] = DataLoader(sets[0], batch_size=200, shuffle=True)
    test_loader: Iterable[Batch] = DataLoader(sets[1], batch_size=200)
    if in_memory:
        train_loader, test_loader = (InMemory(s, shuffle=s is sets[0]) for s in sets)
    model = DropoutModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loss_fn = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss_fn(model(images), labels).backward()
            optimizer.step()
        train_loss, train_accuracy = evaluate(model, train_loader)
        loss, accuracy = evaluate(model, test_loader)
        print(
            f"epoch {epoch + 1}/{epochs} train {train_loss:.5f} {train_accuracy:.5f} "
            f"validation {loss:.5f} {accuracy:.5f}",
            flush=True,
        )


if __name__ == "__main__":
    start = time.perf_counter()
    train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), in_memory="memory" in sys.argv[4:])
    print(f"{time.perf_counter() - start:.1f} s")
