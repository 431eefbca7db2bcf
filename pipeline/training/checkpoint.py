"""A stack at the end of an epoch, on disk: everything needed to resume bit for bit.

A checkpoint is a folder. `plan.json` says which networks train together; `records-0003.safetensors`
holds their records of epoch 3; `state.safetensors` the weights, the optimizer's state and the
weights kept so far. Every file is written under a temporary name and renamed, the state last, so
that the process may be killed at any moment. Every file holds a digest of its content and of its
place, and nothing is taken from one that does not match it.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.files import beside, remove_abandoned, remove_folder
from pipeline.records import EpochRecord
from pipeline.records import history as histories
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack

T = TypeVar("T")
Array = NDArray[Any]
FORMAT = "why-zero checkpoint 3"
_PLAN, _STATE, _LOCK = "plan.json", "state.safetensors", "lock"
_DIGEST = "digest"
# What reading a damaged file can raise.
_BROKEN = (
    OSError, SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError,
    OverflowError,
)  # fmt: skip

_logger = logging.getLogger(__name__)


class UnderWayError(PipelineError):
    """Networks that another process trains."""


class DamagedError(PipelineError):
    """A checkpoint that cannot be gone on with."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One network of a stack.

    Attributes:
        fingerprint: of its task.
        parameters: its recipe as canonical text.
    """

    fingerprint: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """The progress of the networks of a stack.

    Attributes:
        histories: the records of each, from epoch 0 on.
        kept: the record of each whose weights are kept so far, with these weights, or None.
    """

    histories: Sequence[Sequence[EpochRecord]]
    kept: Sequence[EpochRecord | None]


@dataclass(frozen=True, kw_only=True)
class EpochEnd:
    """A stack at the end of an epoch, in memory of its own; `epoch_end` makes one.

    Attributes:
        records: of the networks that were still going, without their weights.
        kept: of every network the record whose weights are kept so far, with these weights.
        state: weights and the optimizer's state; None to go on from an earlier epoch.
    """

    records: Sequence[EpochRecord]
    kept: Sequence[EpochRecord | None]
    state: Mapping[str, Tensor] | None

    @property
    def epoch(self) -> int:
        """Its number, 0 at birth."""
        [epoch] = {record.epoch for record in self.records}
        return epoch


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The folder of one stack that is being trained; `begin` makes one, `unfinished` finds them.

    Attributes:
        folder: where its files are.
        store: which one the networks' runs are in.
        members: the networks, in their order in the stack.
        is_halved: they were part of a stack that did not fit into memory.
    """

    folder: Path
    store: str
    members: Sequence[Planned]
    is_halved: bool = False

    @property
    def identity(self) -> str:
        """A unique name of the stack, which tags its networks' runs."""
        return self.folder.name

    @property
    def is_there(self) -> bool:
        """Whether it still exists; another process may have finished and removed it."""
        return (self.folder / _PLAN).exists()

    @property
    def has_state(self) -> bool:
        """Whether at least one epoch has ended."""
        return (self.folder / _STATE).exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training the same networks while the block runs.

        Raises:
            UnderWayError: one does.
            PipelineError: the folder cannot be read.
        """
        lock = FileLock(self.folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UnderWayError(
                f"another process trains {len(self.members)} of the networks (checkpoint "
                f"{self.folder}): run the same command again once it has ended, or train them "
                "anyway with force=true"
            ) from None
        except OSError as error:
            raise PipelineError(
                f"a checkpoint must be readable, got {self.folder} ({error}): check its "
                "permissions, or delete that folder to train these networks from scratch"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def write(self, end: EpochEnd) -> None:
        """Write the end of an epoch: its records, then its state, if it has any."""
        arrays: dict[str, Tensor] = {}
        header: dict[str, str] = {}
        for record in end.records:
            packed, text = histories.packed([record])
            arrays |= _prefixed(f"{record.member}/", _tensors(packed))
            header |= _prefixed(f"{record.member}/", text)
        _write(self.folder / _records_file(end.epoch), arrays, header)
        if end.state is None:
            return
        tensors = dict(end.state)
        for member, kept in enumerate(end.kept):
            weights = kept.weights if kept else None
            tensors |= _prefixed(f"kept/{member}/", _tensors(weights or {}))
        epochs = [kept.epoch if kept else None for kept in end.kept]
        _write(self.folder / _STATE, tensors, {"epoch": str(end.epoch), "kept": json.dumps(epochs)})

    def restore(self, stack: Stack, optimizer: Optimizer) -> TrainingState:
        """Restore the stack and the optimizer as they were at an `epoch_end` that was written.

        Raises:
            DamagedError: a file is missing, or not as it was written.
        """
        with self._reading():
            state, header = _read(self.folder / _STATE)
            past: list[list[EpochRecord]] = [[] for _ in self.members]
            for epoch in range(int(header["epoch"]) + 1):
                arrays, texts = _read(self.folder / _records_file(epoch))
                for member, history in enumerate(past):
                    if text := _below(f"{member}/", texts):
                        packed = _arrays(_below(f"{member}/", arrays))
                        history.extend(histories.unpacked(packed, text, member=member))
            try:
                stack.load_state_dict({name: state[name] for name in stack.state_dict()})
            except RuntimeError as error:  # another shape
                raise ValueError(error) from error
            optimizer.load(_below("optimizer/", state))
            kept = [
                None
                if epoch is None
                else replace(past[member][epoch], weights=_arrays(_below(f"kept/{member}/", state)))
                for member, epoch in enumerate(json.loads(header["kept"]))
            ]
        return TrainingState(histories=past, kept=kept)

    def restart(self) -> None:
        """Forget all epochs: the networks are trained from scratch."""
        for path in self.folder.glob("*.safetensors"):
            with _writing(path):
                path.unlink()

    def halves(self) -> list["Checkpoint"]:
        """Two checkpoints with half of the networks each, at the same epoch, instead of this one.

        Raises:
            DamagedError: as `restore`; this one stays.
        """
        middle = len(self.members) // 2
        halves: list[Checkpoint] = []
        try:
            for part in (range(middle), range(middle, len(self.members))):
                members = [self.members[i] for i in part]
                half = replace(self, folder=_new_name(self.folder), members=members, is_halved=True)
                with half._made() as folder:  # noqa: SLF001 - another of this class
                    if self.has_state:
                        with self._reading():
                            self._copy_part(folder, part)
                halves.append(half)
        except PipelineError:
            for half in halves:
                half.remove()
            raise
        self.remove()
        return halves

    @contextmanager
    def _made(self) -> Iterator[Path]:
        """The new folder to fill, which after the block is in its place, with the plan."""
        with _writing(self.folder.parent), beside(self.folder) as work:
            folder = work / self.folder.name
            folder.mkdir()
            yield folder
            replace(self, folder=folder).plan()
            folder.rename(self.folder)

    def _copy_part(self, folder: Path, part: range) -> None:
        """Write the state of some of the networks into another folder."""
        state, header = _read(self.folder / _STATE)
        rows = slice(part.start, part.stop)
        tensors = {
            # An optimizer's step has no axis of networks.
            name: value[rows].clone() if value.ndim else value
            for name, value in state.items()
            if not name.startswith("kept/")
        }
        tensors |= _of_members(part, state, below="kept/")
        for epoch in range(int(header["epoch"]) + 1):
            arrays, texts = _read(self.folder / _records_file(epoch))
            _write(
                folder / _records_file(epoch), _of_members(part, arrays), _of_members(part, texts)
            )
        epochs = json.dumps(json.loads(header["kept"])[rows])
        _write(folder / _STATE, tensors, {"epoch": header["epoch"], "kept": epochs})

    def plan(self) -> None:
        """Write which networks these are, by which `unfinished` finds the folder."""
        path = self.folder / _PLAN
        plan = {
            "store": self.store,
            "members": [asdict(member) for member in self.members],
            "is_halved": self.is_halved,
        }
        whole = {"format": FORMAT, "digest": _digest(path, {}, plan), "plan": plan}
        with _placing(path) as beside:
            beside.write_text(json.dumps(whole), encoding="utf-8")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise DamagedError(
                f"a checkpoint must be as it was written, got {self.folder} ({error}): its "
                f"{len(self.members)} networks are trained from scratch, in the same runs"
            ) from error

    def remove(self) -> None:
        """Delete the folder; the caller must hold its lock."""
        remove_folder(self.folder)

    def discard(self) -> None:
        """Delete the folder, unless another process trains from it."""
        with suppress(PipelineError), self.locked():
            self.remove()


def epoch_end(
    stack: Stack,
    optimizer: Optimizer,
    *,
    records: Sequence[EpochRecord],
    kept: Sequence[EpochRecord | None],
) -> EpochEnd:
    """A copy of everything that training needs to resume from here.

    Args:
        stack: as it is now.
        optimizer: likewise.
        records: of the networks that were still going, without their weights.
        kept: of every network the record whose weights are kept so far, with these weights.
    """
    state = {**stack.state_dict(), **_prefixed("optimizer/", optimizer.state)}
    copies = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()
    }
    return EpochEnd(records=records, kept=list(kept), state=copies)


def begin(root: Path, *, store: str, members: Sequence[Planned]) -> Checkpoint:
    """A new checkpoint, before the first epoch.

    Args:
        root: the folder of all checkpoints.
        store: where the networks' runs are.
        members: the networks, in their order in the stack.
    """
    checkpoint = Checkpoint(folder=_new_name(root / "first"), store=store, members=members)
    with checkpoint._made():  # noqa: SLF001 - the same module
        pass
    return checkpoint


def _new_name(beside_folder: Path) -> Path:
    return beside_folder.with_name(uuid.uuid4().hex[:16])


def unfinished(root: Path, *, store: str) -> list[Checkpoint]:
    """The checkpoints that were begun and not removed, smallest stacks first.

    One in another format is left alone; one that cannot be read is a warning. What killed processes
    had not yet put in its place is removed.

    Args:
        root: the folder of all checkpoints.
        store: only those whose runs are there.
    """
    remove_abandoned(root)
    found = []
    for path in sorted(root.glob(f"*/{_PLAN}")):
        try:
            whole = json.loads(path.read_bytes())
            if whole["format"] != FORMAT:
                continue
            plan = whole["plan"]
            _check(path, whole["digest"], {}, plan)
            if plan["store"] == store:
                checkpoint = Checkpoint(
                    folder=path.parent,
                    store=store,
                    members=[Planned(**member) for member in plan["members"]],
                    is_halved=plan["is_halved"],
                )
                found.append(checkpoint)
        except FileNotFoundError:
            continue  # the process that trained from it has finished
        except _BROKEN as error:
            _logger.warning(
                "a checkpoint's plan must be as it was written, got %s (%s): its networks are "
                "trained from scratch, in the same runs; delete that folder", path, error,
            )  # fmt: skip
    return sorted(found, key=lambda checkpoint: len(checkpoint.members))


def _records_file(epoch: int) -> str:
    return f"records-{epoch:04}.safetensors"


def _write(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    digest = _digest(path, tensors, header)
    with _placing(path) as beside:
        save_file(tensors, beside, metadata={**header, _DIGEST: digest})


def _digest(path: Path, tensors: Mapping[str, Tensor], header: object) -> str:
    """A digest of what a file holds and of where it lies, 32 hexadecimal digits.

    With its place, a whole file from another epoch or checkpoint is no whole file here.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([path.parent.name, path.name, header], sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        # As bytes: numpy does not have every type of torch.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check(path: Path, digest: object, tensors: Mapping[str, Tensor], header: object) -> None:
    if digest != _digest(path, tensors, header):
        raise ValueError(f"{path.name} does not match its digest")


@contextmanager
def _placing(path: Path) -> Iterator[Path]:
    """Where to write a file, which is moved into place once all of it is on disk."""
    beside = path.with_name(f"{path.name}.tmp")
    with _writing(path.parent):
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise PipelineError(
            f"a checkpoint must be written, got {error} for {folder}: free space or that path, "
            "then run the same command again"
        ) from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = dict(file.metadata())
    _check(path, header.pop(_DIGEST), tensors, header)
    return tensors, header


def _prefixed(prefix: str, values: Mapping[str, T]) -> dict[str, T]:
    return {prefix + name: value for name, value in values.items()}


def _below(prefix: str, values: Mapping[str, T]) -> dict[str, T]:
    """The entries whose names start with this prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def _of_members(part: range, values: Mapping[str, T], *, below: str = "") -> dict[str, T]:
    """The entries under the numbers of these networks, renumbered from 0."""
    found: dict[str, T] = {}
    for place, member in enumerate(part):
        found |= _prefixed(f"{below}{place}/", _below(f"{below}{member}/", values))
    return found


def _tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
