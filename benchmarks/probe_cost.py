"""What a probe adds to a training step, beside what others who look inside add.

Every contestant trains a network of its own, and all take turns. A contestant's block is as long as
the period at which it looks, so that each block looks as often. Some see less than a probe: hooks
see what modules give and no masks, `wandb.watch` weights and gradients.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from benchmarks.conditions import Conditions
from benchmarks.interleaved import medians
from benchmarks.results import Row
from pipeline.training import device as devices
from why_zero import ZeroProbe

AfterStep = Callable[[], object]
Watching = Callable[[nn.Module], AbstractContextManager[AfterStep]]

PERIODS = (1, 20, 100)
CLASSES = 10


@dataclass(frozen=True)
class Subject:
    """A network, and the size of a batch for it."""

    build: Callable[[], nn.Module]
    size: tuple[int, ...]


class Encoder(nn.Module):
    """A small BERT: four layers, 256 features, ReLU, dropout 0.1."""

    def __init__(self) -> None:
        """Build embedding, encoder and head."""
        super().__init__()
        self.embedding = nn.Linear(64, 256)
        layer = nn.TransformerEncoderLayer(
            256, nhead=4, dim_feedforward=1024, activation=nn.ReLU(), batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=4, enable_nested_tensor=False)
        self.head = nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of sequences of features."""
        logits: Tensor = self.head(self.encoder(self.embedding(x)).mean(1))
        return logits


def _perceptron() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(512, CLASSES),
    )


SUBJECTS = {
    "784-512-512-10": Subject(_perceptron, (128, 784)),
    "small BERT": Subject(Encoder, (32, 64, 64)),
    "ResNet18": Subject(
        partial(torchvision.models.resnet18, num_classes=CLASSES), (128, 3, 32, 32)
    ),
}


def measure(conditions: Conditions) -> Iterator[Row]:
    """Each contestant's time for a step, over that of the plain step."""
    rounds = conditions.pick(smoke=1, usual=5, full=15)
    warm_up = conditions.pick(smoke=0, usual=1)
    with _wandb_run():
        contestants = _contestants()
        missing = " and ".join(name for name in ("fastai", "wandb") if find_spec(name) is None)
        note = f"without {missing}: pip install '.[bench]'" if missing else ""
        for name, subject in SUBJECTS.items():
            with ExitStack() as stack:
                blocks = {
                    who: _block(subject, watching, conditions, period=period, stack=stack)
                    for who, (watching, period) in contestants.items()
                }
                functions = {who: run for who, (run, _) in blocks.items()}
                taken = medians(functions, rounds=rounds, warm_up=warm_up)
            seconds = {who: taken[who] / steps for who, (_, steps) in blocks.items()}
            base = seconds.pop("plain")
            yield Row(name=f"{name}: a plain step", value=1e3 * base, unit="ms", note=note)
            for who, value in seconds.items():
                yield Row(name=f"{name}: {who}, over plain", value=value / base, unit="x")


def _contestants() -> Mapping[str, tuple[Watching, int]]:
    """How a model is watched, and at which period, by name."""
    found: dict[str, tuple[Watching, int]] = {"plain": (_plain, 1)}
    for every in PERIODS:
        found[f"ZeroProbe, every={every}"] = (partial(_probed, every=every), every)
    found["hooks that count zeros"] = (_zeros_counted, 1)
    found["hooks that keep activations"] = (_kept, 1)
    if find_spec("fastai") is not None:
        found["fastai's ActivationStats"] = (_fastai, 1)
    if find_spec("wandb") is not None:
        for every in PERIODS:
            found[f"wandb.watch, log_freq={every}"] = (partial(_wandb, every=every), every)
    return found


def _block(
    subject: Subject,
    watching: Watching,
    conditions: Conditions,
    *,
    period: int,
    stack: ExitStack,
) -> tuple[Callable[[], None], int]:
    """A function that takes a block of steps under watch, and how many these are."""
    device = conditions.device
    batch, *rest = subject.size
    size = (conditions.pick(smoke=2, usual=batch), *rest)
    steps = conditions.pick(smoke=1, usual=max(period, 20))
    torch.manual_seed(0)
    model = subject.build().to(device).train()
    x = torch.randn(size, device=device)
    target = torch.randint(CLASSES, size[:1], device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    after_step = stack.enter_context(watching(model))

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), target).backward()
            optimizer.step()
            after_step()
        devices.synchronize(device)

    return run, steps


@contextmanager
def _plain(_: nn.Module) -> Iterator[AfterStep]:
    yield lambda: None


@contextmanager
def _probed(model: nn.Module, *, every: int) -> Iterator[AfterStep]:
    with ZeroProbe(model, every=every):
        yield lambda: None


@contextmanager
def _hooked(
    modules: Mapping[str, nn.Module], look: Callable[[str, object], None]
) -> Iterator[None]:
    """A block in which `look` gets what each of these modules gives, with its name."""
    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: look(name, output))
        for name, part in modules.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _zeros_counted(model: nn.Module) -> Iterator[AfterStep]:
    """The least that anybody would write: zeros of each ReLU module."""
    relus = {name: part for name, part in model.named_modules() if isinstance(part, nn.ReLU)}
    zeros: dict[str, Tensor] = {}

    def count(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            found = (output.detach() == 0).sum()
            zeros[name] = zeros[name] + found if name in zeros else found

    with _hooked(relus, count):
        yield lambda: None


@contextmanager
def _kept(model: nn.Module) -> Iterator[AfterStep]:
    """As TransformerLens and Captum: every module's output, for the time of a step."""
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            # A later call in place would change what is only referred to.
            kept[name] = output.detach().clone()

    with _hooked(dict(model.named_modules()), keep):
        yield kept.clear


@contextmanager
def _fastai(model: nn.Module) -> Iterator[AfterStep]:
    """The hooks that the callback sets in a Learner, with the modules that it takes by itself."""
    from fastai.callback.hook import (  # noqa: PLC0415 - an extra
        ActivationStats,
        Hooks,
        flatten_model,
        has_params,
    )

    modules = [part for part in flatten_model(model) if has_params(part)]
    with Hooks(modules, ActivationStats().hook, is_forward=True, detach=True, cpu=True):
        yield lambda: None


@contextmanager
def _wandb_run() -> Iterator[None]:
    """The one run of wandb, offline, in a folder that is gone afterwards."""
    if find_spec("wandb") is None:
        yield
        return
    import wandb  # noqa: PLC0415 - an extra

    settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
    with tempfile.TemporaryDirectory() as folder:
        run = wandb.init(mode="offline", dir=folder, settings=settings)
        try:
            yield
        finally:
            run.finish()


@contextmanager
def _wandb(model: nn.Module, *, every: int) -> Iterator[AfterStep]:
    """Histograms of weights and gradients."""
    import wandb  # noqa: PLC0415 - an extra

    wandb.watch(model, log="all", log_freq=every)
    yield lambda: wandb.log({})
    wandb.unwatch(model)
