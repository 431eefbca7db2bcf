"""A data set in memory: uint8 images, their labels, and a digest of all of it."""

import hashlib
import json
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from pipeline.data.paths import check_name
from pipeline.errors import PipelineError


class Part(NamedTuple):
    """Images and labels of one half of a data set, as read and not yet checked."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageData:
    """A verified data set; `assemble` makes one.

    Attributes:
        name: a file's stem: `mnist`.
        train_images: 0 … 255, 0 = background.
        train_labels: class indices.
        test_images: as `train_images`.
        test_labels: as `train_labels`.
        classes: what each label stands for.
        digest: 32 hexadecimal digits over shapes, images, labels and classes.
        source: where it was read from, for people.
        licence: owner and terms of use.
    """

    name: str
    train_images: UInt8[Tensor, "train height width"]
    train_labels: Int64[Tensor, " train"]
    test_images: UInt8[Tensor, "test height width"]
    test_labels: Int64[Tensor, " test"]
    classes: tuple[str, ...]
    digest: str
    source: str
    licence: str

    @property
    def class_counts(self) -> dict[str, tuple[int, int]]:
        """How many training and test images each class has."""
        count = len(self.classes)
        train = torch.bincount(self.train_labels, minlength=count).tolist()
        test = torch.bincount(self.test_labels, minlength=count).tolist()
        return dict(zip(self.classes, zip(train, test, strict=True), strict=True))


def as_input(
    images: UInt8[Tensor, "images height width"],
) -> Float32[Tensor, "images 1 height width"]:
    """Images as a network takes them: one channel, in [0, 1]."""
    return images[:, None].to(torch.float32, copy=True).div_(255)


def assemble(
    name: str,
    train: Part,
    *,
    test: Part,
    classes: tuple[str, ...],
    source: str,
    licence: str,
) -> ImageData:
    """A data set whose parts were checked against each other and digested.

    Args:
        name: the data set's name.
        train: uint8 images (n, height, width) and labels (n,).
        test: the same, with images of the same size.
        classes: what each label stands for.
        source: where it was read from.
        licence: owner and terms of use.

    Raises:
        UsageError: a name that cannot be a file's stem.
        PipelineError: images that are not uint8 (n, height, width), an empty part, images and
            labels that differ in number, sizes that differ, labels beyond the classes.
    """
    check_name(name)
    for half, part in (("train", train), ("test", test)):
        _check(part, half=half, classes=len(classes), source=source)
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = (f"{height} x {width}" for _, height, width in (train[0].shape, test[0].shape))
        raise PipelineError(
            f"train and test images must have the same size, got {' and '.join(sizes)} in "
            f"{source}: give files that belong together"
        )
    return ImageData(
        name=name,
        train_images=train.images,
        train_labels=train.labels.long(),
        test_images=test.images,
        test_labels=test.labels.long(),
        classes=classes,
        digest=_digest(train, test, classes=classes),
        source=source,
        licence=licence,
    )


def _check(part: Part, *, half: str, classes: int, source: str) -> None:
    """Raise PipelineError unless images, labels and classes match."""
    images, labels = part
    if images.dtype != torch.uint8 or images.ndim != 3:
        raise PipelineError(
            f"{half} images must be uint8 in 3 dimensions, got {_kind(images)} in {source}: "
            "give grey images, one byte per pixel"
        )
    if labels.dtype not in (torch.uint8, torch.int64) or labels.ndim != 1:
        raise PipelineError(
            f"{half} labels must be whole numbers in 1 dimension, got {_kind(labels)} in {source}: "
            "give one label per image"
        )
    if len(images) != len(labels) or images.numel() == 0:
        raise PipelineError(
            f"{half} images and labels must match in number and be non-empty, got {len(images)} "
            f"images and {len(labels)} labels in {source}: give files that belong together"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise PipelineError(
            f"{half} labels must be in [0, {classes}), one for each class, got {low} to {high} "
            f"in {source}: give the labels of these images"
        )


def _kind(tensor: Tensor) -> str:
    """A tensor described for a message: `uint8 in 2 dimensions`."""
    return f"{str(tensor.dtype).removeprefix('torch.')} in {tensor.ndim} dimensions"


def _digest(train: Part, test: Part, *, classes: tuple[str, ...]) -> str:
    """BLAKE2b over shapes, classes, images and labels, 32 hexadecimal digits."""
    shapes = [list(train.images.shape), list(test.images.shape)]
    digest = hashlib.blake2b(json.dumps([shapes, classes]).encode(), digest_size=16)
    for tensor in (*train, *test):
        # Labels are below 256 (they come from bytes), so one byte each, on every machine alike.
        digest.update(tensor.to(torch.uint8).contiguous().view(-1).numpy().data)
    return digest.hexdigest()
