"""Image files in, grey pixels out: what is read, and which files are refused with which line."""

import gzip
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.predict import image_files
from pipeline.predict.image_files import read_images

ROOT = Path(__file__).parent.parent.parent
GREY = np.arange(60, dtype=np.uint8).reshape(6, 10) * 4


def idx_bytes(images: NDArray[np.uint8]) -> bytes:
    return struct.pack(">IIII", 0x0803, *images.shape) + images.tobytes()


def png_bytes(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def written(folder: Path, content: bytes, name: str = "image") -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def pixels(folder: Path, image: Image.Image) -> NDArray[np.uint8]:
    [found] = read_images(written(folder, png_bytes(image))).pixels
    return found


def colours(*rows: list[tuple[int, ...]]) -> NDArray[np.uint8]:
    return np.array(rows, dtype=np.uint8)


# What is read


def test_a_grey_png_is_read_level_by_level(tmp_path: Path) -> None:
    np.testing.assert_array_equal(pixels(tmp_path, Image.fromarray(GREY)), GREY)


def test_equal_channels_are_the_grey_they_look_like(tmp_path: Path) -> None:
    image = Image.fromarray(np.stack([GREY] * 3, -1))
    np.testing.assert_array_equal(pixels(tmp_path, image), GREY)


def test_a_colour_becomes_its_luma_as_itu_r_601_weighs_it(tmp_path: Path) -> None:
    image = Image.fromarray(colours([(255, 0, 0), (0, 255, 0), (0, 0, 255)]))
    # 0.299 R + 0.587 G + 0.114 B
    np.testing.assert_array_equal(pixels(tmp_path, image), [[76, 150, 29]])


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 257, 65535, 32896]], dtype=np.uint16))
    np.testing.assert_array_equal(pixels(tmp_path, image), [[0, 1, 255, 128]])


def test_a_bilevel_image_is_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1")
    np.testing.assert_array_equal(pixels(tmp_path, image), [[0, 255]])


def test_behind_what_is_transparent_the_ground_contrasts_with_what_is_drawn(
    tmp_path: Path,
) -> None:
    dark = Image.fromarray(colours([(9, 9, 9, 255), (9, 9, 9, 0)]), "RGBA")
    np.testing.assert_array_equal(pixels(tmp_path, dark), [[9, 255]])
    light = Image.fromarray(colours([(240, 240, 240, 255), (0, 0, 0, 0)]), "RGBA")
    np.testing.assert_array_equal(pixels(tmp_path, light), [[240, 0]])


def test_half_transparent_is_half_way_to_the_ground(tmp_path: Path) -> None:
    image = Image.fromarray(colours([(0, 0, 0, 255), (0, 0, 0, 51)]), "RGBA")
    # 51 / 255 = 0.2 of black on white
    np.testing.assert_array_equal(pixels(tmp_path, image), [[0, 204]])


def test_a_palette_with_a_transparent_entry_is_read(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.putdata([0, 1])
    content = png_bytes(image, transparency=1)
    [found] = read_images(written(tmp_path, content)).pixels
    np.testing.assert_array_equal(found, [[0, 255]])


def test_a_jpeg_is_read_nearly_and_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    buffer = io.BytesIO()
    blocks = np.kron(np.array([[0, 255]]), np.ones((8, 8))).astype(np.uint8)
    Image.fromarray(blocks).save(buffer, "JPEG", exif=exif)
    [found] = read_images(written(tmp_path, buffer.getvalue(), "photo")).pixels
    assert found.shape == (16, 8)
    assert found[:8].max() < 10
    assert found[8:].min() > 245


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_image_of_an_idx_file_is_read_and_named_by_its_place(
    pack: type[bytes], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    found = read_images(written(tmp_path, pack(idx_bytes(images)), "some"))
    assert found.is_data
    assert found.names == tuple(f"{tmp_path}/some[{place}]" for place in range(3))
    np.testing.assert_array_equal(np.stack(found.pixels), images)


@pytest.mark.parametrize("content", [png_bytes(Image.fromarray(GREY)), idx_bytes(GREY[None])])
def test_a_dash_is_the_standard_input_whatever_kind_of_file_comes(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    found = read_images("-")
    assert found.names[0].startswith("standard input")
    np.testing.assert_array_equal(found.pixels[0], GREY)


# What is refused


def animation() -> bytes:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return png_bytes(frames[0], save_all=True, append_images=frames[1:])


def bomb(side: int) -> bytes:
    """A PNG of 60 bytes that promises an image of this width and height."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, b"IDAT" + zlib.compress(b""), b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


GIF = io.BytesIO()
Image.fromarray(GREY).save(GIF, "GIF")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must not be empty"),
        (b"hello", "must be a PNG, JPEG or IDX file"),
        (b"\0\0", "must be a PNG, JPEG or IDX file"),
        (GIF.getvalue(), "must be a PNG, JPEG or IDX file"),
        (png_bytes(Image.fromarray(GREY))[:50], "must be complete"),
        (animation(), "must be a still"),
        (bomb(20_000), "must have at most"),
        (idx_bytes(GREY[None])[:-1], "it is truncated"),
        (gzip.compress(idx_bytes(GREY[None]), mtime=0)[:-9], "must unpack"),
        (gzip.compress(b"hello", mtime=0), "must start with the bytes 00 00 08"),
        (struct.pack(">II", 0x0801, 2) + b"\1\2", "not the labels"),
        (struct.pack(">IIIIi", 0x0C03, 1, 1, 1, 5), "not the labels"),
    ],
)
def test_a_file_without_a_readable_image_is_refused_by_name_in_one_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    name = written(tmp_path, content, "given.png")
    with pytest.raises(PipelineError) as caught:
        read_images(name)
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_what_pillow_only_warns_of_is_refused_as_well(tmp_path: Path) -> None:
    """It warns above 89 million pixels and refuses above twice as many."""
    with pytest.raises(PipelineError, match="must have at most 89478485 pixels"):
        read_images(written(tmp_path, bomb(10_000)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nobody.png", "No such file"), (".", "Is a directory"), ("a\0b", "null")],
)
def test_what_cannot_be_opened_is_refused(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=reason):
        read_images(name)


def test_a_name_that_would_break_the_line_is_shown_escaped(tmp_path: Path) -> None:
    name = written(tmp_path, png_bytes(Image.fromarray(GREY)), "two\nlines")
    assert read_images(name).names == (repr(name),)


_buffer = io.BytesIO()
Image.fromarray(GREY).save(_buffer, "JPEG")
WHOLE = (_buffer.getvalue(), png_bytes(Image.fromarray(GREY)))


@given(
    whole=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    length=st.integers(1, 10_000),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused_in_one_line_and_nothing_else(
    whole: bytes,
    changes: list[tuple[int, int]],
    length: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = bytearray(whole)
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[:length])
    outcome = ""
    try:
        assert read_images(str(path)).pixels[0].ndim == 2
    except PipelineError as error:
        outcome = str(error)
    assert "\n" not in outcome


def huge(mode: str) -> Image.Image:
    """Four squares of 2 x 2 pixels, whose means are 10, 20, 30 and 40."""
    grey = np.kron(np.array([[10, 20], [30, 40]]), np.ones((2, 2)))
    grey += np.tile([[-2, 2], [1, -1]], (2, 2))
    if mode == "I;16":
        return Image.fromarray((grey * 257).astype(np.uint16))
    image = Image.fromarray(grey.astype(np.uint8))
    return image.quantize(64) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_a_picture_of_more_pixels_than_are_worked_on_is_reduced_square_by_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    image = huge(mode)
    assert image.mode == mode
    np.testing.assert_array_equal(pixels(tmp_path, image), np.asarray(huge("L")))
    monkeypatch.setattr(image_files, "MOST_PIXELS", 4)
    np.testing.assert_array_equal(pixels(tmp_path, image), [[10, 20], [30, 40]])


@pytest.mark.slow
def test_the_largest_picture_allowed_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    """9,400 x 9,400 pixels with an alpha channel, in a file of less than a megabyte."""
    side = 9400
    layers = np.zeros((side, side, 2), np.uint8)
    layers[100:300, 100:300] = 255
    name = written(tmp_path, png_bytes(Image.fromarray(layers, "LA")))
    del layers
    read = """
import resource, sys
from pipeline.predict.image_files import read_images
from pipeline.predict.layouts import laid_out
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = most()
[pixels] = read_images(sys.argv[1]).pixels
laid_out(pixels, (28, 28), layout="mnist", ink="auto", name="it")
print((most() - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", read, name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1000  # MiB


class Endless(io.RawIOBase):
    """A stream that starts with some bytes and then repeats others, and counts what is taken."""

    def __init__(self, start: bytes) -> None:
        self.start, self.taken = start, 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "an endless stream is read to its end"
        self.taken += size
        made, self.start = (self.start + bytes(size))[:size], b""
        return made


@pytest.mark.parametrize(
    ("start", "most"),
    [
        (b"y\n" * 2, 4),
        (b"\x89PNG", image_files.MOST_PICTURE_BYTES),
        (b"\0\0\x08\x03", image_files.MOST_IDX_BYTES),
    ],
)
def test_standard_input_without_an_end_is_read_to_a_bound(
    start: bytes, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Endless(start)
    for name in ("MOST_PICTURE_BYTES", "MOST_IDX_BYTES"):
        monkeypatch.setattr(image_files, name, getattr(image_files, name) >> 10)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stream))
    with pytest.raises(PipelineError, match="standard input"):
        read_images("-")
    assert stream.taken <= (most if most == 4 else (most >> 10) + 1)
