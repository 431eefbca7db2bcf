"""The training of one stack, from what a worker is told to what it tells."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import torch

from pipeline.config.recipe import Recipe
from pipeline.data import ImageData, split
from pipeline.records import EpochRecord, History
from pipeline.training import device as devices
from pipeline.training.batches import Examples
from pipeline.training.checkpoint import Checkpoint, DamagedError
from pipeline.training.checkpoint_writer import CheckpointWriter
from pipeline.training.footprint import stack_bytes
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack
from pipeline.training.threads import Threads

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stack to train, or to continue training.

    Attributes:
        recipes: of all its networks.
        device: where it is trained.
        threads: that an operation on a CPU gets until it is known which number is the fastest.
        checkpoint: where it goes on from, and what it writes; locked by whoever gives the job. None
            as long as it is not known.
        cuda_graphs: capture an update once and replay it, on CUDA.
    """

    recipes: Sequence[Recipe]
    device: torch.device
    threads: int
    checkpoint: Checkpoint | None
    cuda_graphs: bool = True


@dataclass(frozen=True)
class Begun:
    """Training begins, or begins again where a checkpoint was.

    Attributes:
        histories: each network's records so far, empty for a new stack.
    """

    histories: Sequence[History]


@dataclass(frozen=True)
class Epoch:
    """An epoch has ended.

    Attributes:
        records: of the networks that were still going, without their weights.
    """

    records: Sequence[EpochRecord]


@dataclass(frozen=True)
class Trained:
    """Training has ended; nothing follows.

    Attributes:
        kept: of each network the record whose weights are kept, with these weights; None of one
            that has diverged before any.
    """

    kept: Sequence[EpochRecord | None]


Event = Begun | Epoch | Trained


def trained(
    job: Job,
    data: ImageData,
    heartbeat: Callable[[], None],
    *,
    checkpoint: Callable[[], Checkpoint] | None = None,
) -> Iterator[Event]:
    """Train a stack to its end, and yield what happens: `Begun`, an `Epoch` each, `Trained`.

    Leaving the loop ends training; the checkpoint stays.

    Args:
        job: the stack.
        data: the data set.
        heartbeat: called with every update; whatever it raises ends the loop.
        checkpoint: of a job without one; waits until it is known, in the thread that writes.

    Raises:
        OutOfMemoryError: the stack does not fit into the device's memory.
        BrokenIdentity: a measurement contradicts itself.
        PipelineError: the checkpoint cannot be written.
    """
    where = checkpoint or partial(_known, job)
    with (
        devices.explaining_lack_of_memory(job.device),
        closing(CheckpointWriter(where)) as writer,
    ):
        training, validation = _examples(job, data)
        _require_memory(job, data)
        stack, optimizer, histories, kept = _where_it_was(job, training, classes=len(data.classes))
        yield Begun(histories)
        is_cpu = job.device.type == "cpu"
        threads = Threads(job.threads, most=devices.cores() if is_cpu else job.threads)

        def beat() -> None:
            threads()
            heartbeat()

        for records in epochs(
            stack,
            optimizer,
            training=training,
            validation=validation,
            so_far=histories,
            cuda_graphs=job.cuda_graphs,
            heartbeat=beat,
        ):
            bare = [replace(record, weights=None) for record in records]
            for record in records:
                if record.weights is not None:
                    kept[record.member] = record
            _logger.debug("epoch %d ended at %.3f", bare[0].epoch, time.time())
            writer.save(stack, optimizer, records=bare, kept=kept)
            yield Epoch(bare)
        writer.wait()
        yield Trained(kept)


def _require_memory(job: Job, data: ImageData) -> None:
    """Return unless the stack is far beyond the machine: Linux promises such memory, and kills.

    The estimate is at most twice what is taken, and `memory_to_use` half of what there is.

    Raises:
        MemoryError: it is.
    """
    samples = len(data.train_labels)
    recipe = job.recipes[0]
    least_bytes = 0.5 * stack_bytes(
        replace(recipe, batch_size=min(recipe.batch_size, samples)),
        networks=len(job.recipes),
        inputs=data.train_images[0].numel(),
        classes=len(data.classes),
        samples=samples,
    )
    if job.device.type == "cpu" and least_bytes > 2 * devices.memory_to_use(job.device):
        raise MemoryError(f"{least_bytes:.0f} bytes")


def _known(job: Job) -> Checkpoint:
    if job.checkpoint is None:
        raise ValueError("a job must have a checkpoint, got none")
    return job.checkpoint


def _where_it_was(
    job: Job, training: Examples, *, classes: int
) -> tuple[Stack, Optimizer, Sequence[History], list[EpochRecord | None]]:
    """The stack and its optimizer from the checkpoint, all records and those kept; or as born."""
    is_standard = any(recipe.scaling == "standard" for recipe in job.recipes)
    pixels = training.pixels if is_standard else None
    inputs = training.images.shape[1]

    def born() -> tuple[Stack, Optimizer]:
        stack = Stack(job.recipes, inputs=inputs, classes=classes, pixels=pixels).to(job.device)
        return stack, Optimizer(stack)

    stack, optimizer = born()
    if job.checkpoint and job.checkpoint.has_state:
        try:
            progress = job.checkpoint.restore(stack, optimizer)
        except DamagedError as damage:
            _logger.warning("%s", damage)
            job.checkpoint.restart()
            stack, optimizer = born()
        else:
            return stack, optimizer, progress.histories, list(progress.kept)
    return stack, optimizer, [() for _ in job.recipes], [None] * len(job.recipes)


def _examples(job: Job, data: ImageData) -> tuple[Examples, Examples]:
    """What is trained on and what is validated on, on the device."""
    holdout = job.recipes[0].holdout
    kept, held_out = split(len(data.train_labels), holdout)

    def examples(images: torch.Tensor, labels: torch.Tensor) -> Examples:
        return Examples(images.flatten(1).to(job.device), labels.to(job.device))

    training = examples(data.train_images[kept], data.train_labels[kept])
    if holdout:
        return training, examples(data.train_images[held_out], data.train_labels[held_out])
    return training, examples(data.test_images, data.test_labels)
