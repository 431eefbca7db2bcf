"""The probe in a plain training loop: which zeros are dropout's, which ReLU's, which units die.

Run it with `python examples/plain_loop.py`. The learning rate is far too high on purpose, so that
ReLUs die; dropout's zeros look the same in the activations and are not.
"""

import torch
from torch import nn

from why_zero import ZeroProbe

SAMPLES, FEATURES, CLASSES = 256, 20, 3


def main() -> None:
    """Train, report the causes of every epoch's zeros, and count the dead between epochs."""
    torch.manual_seed(1)
    inputs = torch.randn(SAMPLES, FEATURES)
    labels = inputs[:, :CLASSES].argmax(1)
    model = nn.Sequential(
        *(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Dropout(0.2)),
        *(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(32, CLASSES),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    loss_of = nn.CrossEntropyLoss()

    for epoch in range(4):
        with ZeroProbe(model, every=2) as probe:
            for x, target in zip(inputs.split(32), labels.split(32), strict=True):
                optimizer.zero_grad()
                loss_of(model(x), target).backward()
                optimizer.step()
        states = probe.census([inputs])
        for name, causes in probe.causes().items():
            print(
                f"epoch {epoch + 1} layer {name}: {causes.zero_share:.1%} zero = "
                f"{causes.share('dropped'):.1%} dropped + {causes.share('inactive'):.1%} inactive "
                f"+ {causes.share('both'):.1%} both; {states[name].dead.mean():.1%} of units dead"
            )


if __name__ == "__main__":
    main()
