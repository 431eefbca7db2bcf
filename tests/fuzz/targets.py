"""What is fed with bytes from outside: each target takes any input, and refuses with our errors."""

import gc
import gzip
import hashlib
import io
import json
import logging
import random
import struct
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from pipeline.bundle import open_bundle
from pipeline.bundle.layout import SUMS
from pipeline.cli import commands
from pipeline.config.options import STEPS, module_of
from pipeline.config.settings import argument, declared, name_of
from pipeline.data import parse_idx
from pipeline.errors import PipelineError
from pipeline.predict.inputs import read_inputs
from pipeline.steps import sweep
from pipeline.tracking import journal as journals
from pipeline.tracking.journal import DamagedError as DamagedJournalError
from pipeline.tracking.journal import Journal, Plan, local_id
from pipeline.tracking.outbox import Sender
from pipeline.training import checkpoint as checkpoints
from pipeline.training.checkpoint import DamagedError
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack
from tests.bundle.conftest import make_bundle
from tests.fuzz.mutations import mutated, mutated_json
from tests.training.test_checkpoint import ADAM, begin, three, train


class BrokenPromiseError(Exception):
    """An answer that is no refusal in one line."""


@dataclass(kw_only=True)
class Target:
    """Something that is fed.

    Attributes:
        corpus: valid inputs.
        feed: takes one input; True if it was accepted. What it raises is a fault.
        mutate: makes an input from the corpus.
        room: bytes of memory that it may take beyond what is held before.
        seconds: that one input may take.
    """

    corpus: Sequence[bytes]
    feed: Callable[[bytes], bool]
    mutate: Callable[[random.Random], bytes] = field(init=False)
    room: int = 256 << 20
    seconds: float = 10

    def __post_init__(self) -> None:
        """Mutate the corpus byte by byte, unless told otherwise."""
        self.mutate = lambda source: mutated(source.choice(self.corpus), source, self.corpus)


def check_line(message: str) -> None:
    """Return if a message is one line that can be printed.

    Raises:
        BrokenPromiseError: it is not.
    """
    if not message or not message.isprintable():
        raise BrokenPromiseError(f"a message of several lines: {message!r}")


def idx(_: Path) -> Target:
    """Contents of IDX files, plain and gzipped."""
    arrays = [
        (0x08, np.arange(24, dtype=">u1").reshape(2, 3, 4)),
        (0x0C, np.arange(6, dtype=">i4").reshape(3, 2)),
        (0x08, np.arange(10, dtype=">u1")),
    ]
    plain = [
        struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()
        for code, array in arrays
    ]
    target = Target(corpus=[*plain, *map(gzip.compress, plain)], feed=_feed_idx)

    def mutate(source: random.Random) -> bytes:
        data = mutated(source.choice(target.corpus), source, target.corpus)
        return gzip.compress(data, 1) if source.random() < 0.2 else data

    target.mutate = mutate
    return target


def _feed_idx(data: bytes) -> bool:
    try:
        array = parse_idx(data, "x")
    except PipelineError as error:
        check_line(str(error))
        return False
    if array.size == 0 or array.ndim > 3:
        raise BrokenPromiseError(f"an array of shape {array.shape}")
    return True


def images(_: Path) -> Target:
    """Contents of image files, through standard input to what a network takes."""
    grey = np.random.default_rng(0).integers(0, 256, (12, 9)).astype(np.uint8)
    color = np.dstack([grey] * 3)
    kinds = [
        (grey, "PNG", {}), (color, "PNG", {}), (np.dstack([color, grey]), "PNG", {}),
        (grey.astype(np.uint16) * 257, "PNG", {}), (grey > 127, "PNG", {}),
        (grey, "JPEG", {}), (color, "JPEG", {"progressive": True}),
        (color, "JPEG", {"exif": _upright()}),
    ]  # fmt: skip
    corpus = []
    for array, name, options in kinds:
        file = io.BytesIO()
        Image.fromarray(array).save(file, name, **options)  # type: ignore[arg-type]
        corpus.append(file.getvalue())
    return Target(corpus=corpus, feed=_feed_image, room=1 << 30)


def _upright() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _feed_image(data: bytes) -> bool:
    sys.stdin = SimpleNamespace(buffer=io.BytesIO(data))  # type: ignore[assignment]
    found = read_inputs(
        ["-"], size=(28, 28), layout="mnist", ink="auto", is_fitted_anew=True, learned="light"
    )
    for line in found.failures:
        check_line(line)
    for image in found.images:
        if image.shape != (28, 28) or image.dtype != np.uint8:
            raise BrokenPromiseError(f"an image of shape {image.shape}")
    return bool(found.images)


def arguments(_: Path) -> Target:
    """Command lines, words separated by zero bytes, for every step; none is run."""
    for step in STEPS:
        sys.modules[f"pipeline.steps.{module_of(step)}"] = SimpleNamespace(run=_planned)  # type: ignore[assignment]
    gc.get_freeze_count = lambda: 1  # a step freezes once, and counting takes long
    group = commands.build()
    commands.build = lambda _: group
    logging.disable(logging.CRITICAL)
    corpus = []
    for step, settings in STEPS.items():
        words = [step]
        for item, kind, _ in declared(settings):
            text = kind.words[0] if kind.words else commands_text(item.default)
            words += [f"--{name_of(item).replace('_', '-')}", text]
        if argument(settings):
            words += ["a.png", "b.png"]
        corpus.append("\0".join(words).encode())
    ranges = ("0:0.9:0.1", "1-5", "0.1,0.2", "64,64/32", "~/x", "models:/a@b", "http://u:p@h:1/")
    target = Target(corpus=corpus, feed=_feed_arguments)

    def mutate(source: random.Random) -> bytes:
        words = source.choice(corpus).split(b"\0")
        for _ in range(source.randint(1, 4)):
            place = source.randrange(len(words))
            made = source.choice(ranges).encode() if source.random() < 0.4 else words[place]
            words[place] = mutated(made, source, corpus).replace(b"\0", b"")
        return b"\0".join(words)

    target.mutate = mutate
    return target


def commands_text(default: object) -> str:
    """A default as a user would type it; lists with commas."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _planned(settings: object, _: object) -> None:
    if isinstance(settings, STEPS["sweep"]):
        sweep.recipes_of(settings)  # type: ignore[arg-type]


def _feed_arguments(data: bytes) -> bool:
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")]
    # A shell's completion, a step of its own and a help would print at length.
    if not words[0] or words[0].startswith("-"):
        words[0] = "mnist"
    said = sys.stdout = sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="replace")
    try:
        code = commands.run(words)
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    said.flush()
    text = said.buffer.getvalue().decode()  # type: ignore[attr-defined]
    if code not in {0, 1, 2} or "Traceback" in text:
        raise BrokenPromiseError(f"exit code {code}: {text}")
    if code and text.count("\n") != 1:
        raise BrokenPromiseError(f"a message of several lines: {text!r}")
    return code == 0


def checkpoint(folder: Path) -> Target:
    """Plan, records and state of a checkpoint, as bytes and as JSON with a right digest."""
    recipes = three(ADAM)
    begun = begin(folder / "checkpoints", recipes)
    train(recipes, begun, stop_after=1)
    stack = Stack(recipes, inputs=9, classes=3)
    optimizer = Optimizer(stack)
    files = {path.name: path.read_bytes() for path in begun.folder.glob("*.*")}
    names = sorted(files)
    whole = json.loads(files["plan.json"])
    logging.disable(logging.CRITICAL)

    def feed(data: bytes) -> bool:
        place = begun.folder / names[data[0] % len(names)]
        place.write_bytes(data[1:])
        try:
            found = checkpoints.unfinished(folder / "checkpoints", store="here")
            for each in found:
                if len(each.members) == len(recipes):
                    each.restore(stack, optimizer)
        except DamagedError as error:
            check_line(str(error).replace("\n", " "))
            return False
        finally:
            place.write_bytes(files[place.name])
        return bool(found)

    corpus = [bytes([number]) + files[name] for number, name in enumerate(names)]
    target = Target(corpus=corpus, feed=feed)

    def mutate(source: random.Random) -> bytes:
        if source.random() < 0.5:
            number = source.randrange(len(names))
            return bytes([number]) + mutated(corpus[number][1:], source, [c[1:] for c in corpus])
        plan = mutated_json(whole["plan"], source)
        try:
            digest = checkpoints._digest(begun.folder / "plan.json", {}, plan)
            text = json.dumps({**whole, "digest": digest, "plan": plan})
        except RecursionError:
            text = "[" * 100_000
        return bytes([names.index("plan.json")]) + text.encode("utf-8", "replace")

    target.mutate = mutate
    return target


def bundles(folder: Path) -> Target:
    """Zips of a bundle: as bytes, or with one file changed and all digests right again."""
    original = make_bundle(folder)
    files = {
        path.relative_to(original).as_posix(): path.read_bytes()
        for path in sorted(original.rglob("*"))
        if path.is_file()
    }
    names = [name for name in files if name != SUMS]
    archive = folder / "spoiled.zip"

    def zipped(content: dict[str, bytes]) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
            for name, data in content.items():
                made.writestr(name, data)
        return file.getvalue()

    def feed(data: bytes) -> bool:
        archive.write_bytes(data)
        try:
            with open_bundle(archive):
                return True
        except PipelineError as error:
            check_line(str(error))
            return False

    def signed(name: str, data: bytes) -> bytes:
        before, after = (hashlib.sha256(one).hexdigest() for one in (files[name], data))
        sums = files[SUMS].decode().replace(f"{before}  {name}\n", f"{after}  {name}\n")
        return zipped({**files, name: data, SUMS: sums.encode()})

    target = Target(corpus=[zipped(files)], feed=feed, room=1 << 30, seconds=60)

    def mutate(source: random.Random) -> bytes:
        if source.random() < 0.3:
            return mutated(target.corpus[0], source, target.corpus)
        name = source.choice(names)
        if name.endswith(".json") and source.random() < 0.7:
            try:
                value = mutated_json(json.loads(files[name]), source)
                return signed(name, json.dumps(value).encode("utf-8", "replace"))
            except RecursionError:
                return signed(name, b"[" * 100_000)
        return signed(name, mutated(files[name], source, list(files.values())))

    target.mutate = mutate
    return target


def journal(folder: Path) -> Target:
    """Plan, records, notes and artifacts of a journal, as bytes and as JSON with right digests."""
    begun = Journal.begin(folder / "journals", Plan("1", "experiment 1 of 0", "http://here"))
    (folder / "x").write_bytes(b"content")
    run = local_id()
    made = begun.append(run, "create", {"experiment": "1", "name": "a", "tags": {}, "at_ms": 1})
    begun.append(run, "log", {"points": [["loss", 0.5, 1]], "at_ms": 2, "tags": {"a": run}})
    begun.append(run, "log_files", {"folder": "plots"}, folder / "x")
    begun.append(run, "end", {"status": "FINISHED", "tags": {}, "at_ms": 3})
    begun.mark_sent(made, given="1" * 32)
    begun.leave()
    files = {
        path.relative_to(begun.folder).as_posix(): path.read_bytes()
        for path in begun.folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }
    names = sorted(files)
    logging.disable(logging.CRITICAL)

    def feed(data: bytes) -> bool:
        name = names[data[0] % len(names)]
        (begun.folder / name).write_bytes(data[1:])
        try:
            for found in journals.left(folder / "journals"):
                places, damages = found.waiting()
                sender = Sender(None, found)  # type: ignore[arg-type]
                for damage in damages:
                    check_line(damage)
                for place in places:
                    sender._wanted(found.read(place))
                found.leave()
                return not damages and len(places) == 3
        except DamagedJournalError as error:
            found.leave()
            check_line(str(error))
        finally:
            (begun.folder / name).write_bytes(files[name])
        return False

    corpus = [bytes([number]) + files[name] for number, name in enumerate(names)]
    target = Target(corpus=corpus, feed=feed)

    def mutate(source: random.Random) -> bytes:
        number = source.randrange(len(names))
        name, content = names[number], files[names[number]]
        lines = content.splitlines()
        if name.startswith("files/") or source.random() < 0.4:
            changed = mutated(content, source, [each[1:] for each in corpus])
            return bytes([number]) + changed
        before = {"plan.json": "", "sent": "sent"}.get(name, run)
        place, sealed = source.randrange(len(lines)), list[bytes]()
        for index, line in enumerate(lines):
            value = json.loads(line[33:])
            try:
                text = json.dumps(mutated_json(value, source) if index == place else value)
            except RecursionError:
                text = "[" * 100_000
            sealed.append(journals._sealed(text.encode("utf-8", "replace"), before))
            before = before if name == "sent" else sealed[-1][:32].decode()
        return bytes([number]) + b"".join(sealed)

    target.mutate = mutate
    return target


TARGETS: dict[str, Callable[[Path], Target]] = {
    "idx": idx,
    "images": images,
    "arguments": arguments,
    "checkpoints": checkpoint,
    "journals": journal,
    "bundles": bundles,
}
