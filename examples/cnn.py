"""Why the activations of a small convolutional network are zero, on 512 MNIST images.

Run it with `python examples/cnn.py`. It needs torch and this package, no MLflow.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pipeline
import why_zero
from pipeline.data.idx import read_idx

MNIST = Path(pipeline.__file__).parent / "data" / "mnist"


class Network(nn.Module):
    """Two convolutions and two linear layers; one ReLU for all, dropout of both sorts."""

    def __init__(self) -> None:
        """Set the layers up."""
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
        self.norm = nn.BatchNorm2d(16)
        self.fc1, self.fc2 = nn.Linear(16 * 5 * 5, 64), nn.Linear(64, 10)
        self.relu = nn.ReLU(inplace=True)
        self.drop_channels = nn.Dropout2d(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of 28 x 28 images."""
        x = F.max_pool2d(self.relu(self.conv1(x)), 2)
        x = self.drop_channels(self.relu(self.norm(self.conv2(x))))
        x = F.max_pool2d(x, 2).flatten(1)
        x = F.dropout(self.relu(self.fc1(x)), 0.5, training=self.training)
        return self.fc2(x)


def main() -> None:
    """Train for two epochs and say what was zero, and why."""
    torch.manual_seed(0)
    images = torch.from_numpy(read_idx(MNIST / "t10k-images-idx3-ubyte.gz")[:512])
    labels = torch.from_numpy(read_idx(MNIST / "t10k-labels-idx1-ubyte.gz")[:512]).long()
    inputs = images[:, None] / 255
    model = Network()
    optimizer = torch.optim.Adam(model.parameters())

    with why_zero.ZeroProbe(model) as probe:
        for _ in range(2):
            for x, target in zip(inputs.split(32), labels.split(32), strict=True):
                optimizer.zero_grad()
                F.cross_entropy(model(x), target).backward()
                optimizer.step()

    print(probe.table())
    for name, states in probe.census(inputs.split(128)).items():
        source = probe.layers[name].source
        print(
            f"{name} after {source}: {states.dead.sum()} of {len(states.dead)} units are dead, "
            f"{states.always_on.sum()} always on, {states.dormant.sum()} dormant, "
            f"{states.starved.sum()} starved"
        )


if __name__ == "__main__":
    main()
