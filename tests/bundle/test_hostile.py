"""Bundles that are damaged, truncated or made to do harm: each is refused by the file's name."""

import errno
import io
import json
import os
import stat
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from pipeline.bundle import archive, new_bundle, open_bundle
from pipeline.errors import PipelineError

Spoil = Callable[[Path], object]
ONNX = "model.onnx"
STATE = "artifacts/state_dict.safetensors"
EXAMPLE = "model/input_example.json"


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def refusal(bundle: Path) -> str:
    """The line that refuses the bundle, which leaves nothing behind."""
    with pytest.raises(PipelineError) as caught, open_bundle(bundle):
        pass
    message = str(caught.value)
    assert message.isprintable()
    assert "nothing was written" in message
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
    return message


def replaced(name: str, old: str, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return spoil


def written(name: str, content: bytes | str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def changed(name: str, change: Callable[[dict], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        value = json.loads((folder / name).read_text("utf-8"))
        change(value)
        (folder / name).write_text(json.dumps(value), "utf-8")

    return spoil


def parameters(change: Callable[[dict], object]) -> Spoil:
    """Change the parameters, of the run and of its model alike."""

    def spoil(folder: Path) -> None:
        for name in ("run.json", "model.json"):
            changed(name, lambda record: change(record["parameters"]))(folder)

    return spoil


def saved(value: object) -> bytes:
    """What `torch.save` makes of a value: a zip with a pickle."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


class Harm:
    """What a pickle can do: run any command as soon as it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


def lying_header(folder: Path) -> None:
    """The first tensor claims four times the bytes that are there."""
    content = (folder / STATE).read_bytes()
    [length] = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    first = next(key for key in header if key != "__metadata__")
    header[first]["shape"] = [4 * header[first]["shape"][0], *header[first]["shape"][1:]]
    text = json.dumps(header).encode()
    (folder / STATE).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


# What is changed, which file the refusal names, and what it says; each bundle is signed anew.
CASES: dict[str, tuple[Spoil, str, str]] = {
    "a pickle instead of tensors": (written(STATE, saved(Harm())), STATE, "header"),
    "a header that lies": (lying_header, STATE, ""),
    "a header without end": (written(STATE, struct.pack("<Q", 1 << 60)), STATE, ""),
    "weights of another type": (
        lambda f: save_file({"linear1.weight": np.zeros((8, 30))}, f / STATE),
        STATE, "linear1.bias",
    ),
    "weights of another network": (
        parameters(lambda of: of.update(widths="9")), STATE, "(9,)",
    ),
    "parameters that define no network": (
        parameters(lambda of: of.update(drop_rate="2")), "run.json", "drop_rate must be",
    ),
    "a parameter that is missing": (
        parameters(lambda of: of.pop("widths")), "run.json", "widths",
    ),
    "a run of a step": (
        changed("run.json", lambda run: run["tags"].update(kind="step")),
        "run.json", "no network",
    ),
    "a model with a parameter of its own": (
        changed("model.json", lambda model: model["parameters"].update(epochs="99")),
        "model.json", "not its run's",
    ),
    "a model that claims better numbers than its run": (
        changed("model.json", lambda m: m["metrics"]["val/loss"][0].__setitem__(2, 0.001)),
        "model.json", "points of 'val/loss'",
    ),
    "an example that does not fit": (
        written(EXAMPLE, "[[0.0, 1.0], [0.0, 1.0]]"), EXAMPLE, "network cannot take",
    ),
    "an example beyond [0, 1]": (
        replaced(EXAMPLE, "[[[[", "[[[[7e0, "), EXAMPLE, "network cannot take",
    ),
    "shapes that are not the network's": (
        changed("bundle.json", lambda b: b.update(output_shape=[-1, 4])), "bundle.json", "shapes",
    ),
    "a program of one's own": (
        replaced("predict.py", "import json", "import json, os"), "predict.py", "did not write",
    ),
    "a picture that is none": (
        written("artifacts/plots/a.png", saved(Harm())), "artifacts/plots/a.png", "not PNG",
    ),
    "a page that is none": (
        written("artifacts/report.html", b"\x80\x04."), "artifacts/report.html", "not text",
    ),
    "a pickle among the artifacts": (
        written("artifacts/notes.pkl", saved(1)), "artifacts/notes.pkl", ".pkl",
    ),
    "a program beside the bundle": (written("setup.py", "import os"), "setup.py", "not belong"),
    "JSON without end": (
        written("run.json", "[" * 200_000), "run.json", "deeply",
    ),
    "JSON that takes more memory than it is worth": (
        written("artifacts/a.json", b"[" + b"[]," * 2_600_000 + b"0]"),
        "artifacts/a.json", "more than 5,000,000 values",
    ),
    "JSON of another type": (
        changed("run.json", lambda run: run.update(tags=["a"])), "run.json", "tags",
    ),
    "a number as text": (
        changed("run.json", lambda run: run.update(start_ms="0")), "run.json", "start_ms",
    ),
    "a key too many": (
        changed("run.json", lambda r: r.update(evil=1)), "run.json", "evil: Unexpected",
    ),
    "a key too few": (
        changed("run.json", lambda r: r.pop("tags")), "run.json", "tags: Field required",
    ),
    "a key twice": (
        replaced("run.json", '"status"', '"status": "FAILED", "status"'), "run.json", "twice",
    ),
    "a number that JSON has not": (
        replaced("metrics.json", '"NaN"', "NaN"), "metrics.json", "NaN",
    ),
    "a letter that is none": (
        changed("run.json", lambda run: run["tags"].update(a="\ud800")), "run.json", "Invalid JSON",
    ),
    "a text that ends early": (
        changed("run.json", lambda run: run.update(name="a\0b")), "run.json", "characters",
    ),
    "an id that is a search": (
        changed("run.json", lambda run: run.update(id="x' OR tags.a = 'b")),
        "run.json", "invalid id",
    ),
    "a metric that leads out": (
        changed("metrics.json", lambda m: m.update({"../a": []})), "metrics.json", "'../a'",
    ),
    "a step beyond all numbers": (
        changed("metrics.json", lambda m: m.update(a=[[2**70, 0, 0.0]])),
        "metrics.json", "invalid step",
    ),
    "a registered name that leads out": (
        changed("version.json", lambda v: v.update(name="a/b")), "version.json", "the name",
    ),
    "an alias that is a version": (
        changed("version.json", lambda v: v.update(aliases=["v1"])), "version.json", "the name",
    ),
    "a run that is not the summary's": (
        changed("bundle.json", lambda b: b.update(run="0" * 32)), "bundle.json", "different model",
    ),
    "another format": (
        changed("bundle.json", lambda b: b.update(format=2)), "bundle.json", "format 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "file", "said"), CASES.values(), ids=CASES)
def test_a_file_that_could_do_harm_is_refused_though_its_digest_is_right(
    bundle: Path, sign: Callable[[Path], None], spoil: Spoil, file: str, said: str
) -> None:
    spoil(bundle)
    sign(bundle)
    message = refusal(bundle)
    assert repr(file) in message
    assert said in message
    assert not Path("harmed").exists()


def resigned(name: str, digest: str = "0" * 64) -> Spoil:
    """Adds a line to SHA256SUMS."""

    def spoil(folder: Path) -> None:
        with (folder / "SHA256SUMS").open("a", encoding="utf-8") as file:
            file.write(f"{digest}  {name}\n")

    return spoil


def linked(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/passwd")


PATH = "an unsafe path"
DAMAGED: dict[str, tuple[Spoil, str, str]] = {
    "a byte": (
        lambda f: (f / ONNX).write_bytes((f / ONNX).read_bytes()[:-1] + b"\1"),
        ONNX,
        "do not match the digest",
    ),
    "the end of a file": (lambda f: os.truncate(f / STATE, 100), STATE, "do not match the digest"),
    "a missing file": (lambda f: (f / "metrics.json").unlink(), "metrics.json", "no such file"),
    "a file too many": (written("extra.txt", ""), "extra.txt", "does not name"),
    "a file too many in the depth": (
        written("artifacts/x.txt", ""),
        "artifacts/x.txt",
        "does not name",
    ),
    "no list": (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS", "missing or oversized"),
    "a line that is none": (
        lambda f: (f / "SHA256SUMS").write_text("a  b\n"),
        "SHA256SUMS",
        "not a digest and a name",
    ),
    "a list that is no text": (
        lambda f: (f / "SHA256SUMS").write_bytes(b"\xff"),
        "SHA256SUMS",
        "not text",
    ),
    "a file listed twice": (resigned("README.md"), "README.md", "a second digest"),
    "the list listed": (resigned("SHA256SUMS"), "SHA256SUMS", "of SHA256SUMS itself"),
    "a path above": (resigned("../outside.txt"), "../outside.txt", PATH),
    "an absolute path": (resigned("/etc/passwd"), "/etc/passwd", PATH),
    "a drive": (resigned("C:/windows.txt"), "C:/windows.txt", PATH),
    "a path of backslashes": (resigned("..\\outside.txt"), "..\\\\outside.txt", PATH),
    "a device of Windows": (resigned("artifacts/con.txt"), "artifacts/con.txt", PATH),
    "a stream of Windows": (resigned("run.json:evil"), "run.json:evil", PATH),
    "another case": (resigned("readme.MD"), "readme.MD", "same name"),
    "a file below a file": (resigned("README.md/x.txt"), "README.md", "a file and a folder"),
    "a symbolic link": (linked, "README.md", "a link"),
    "a hard link": (lambda f: os.link(f / "README.md", f.parent / "other"), "README.md", "a link"),
    "a pipe": (
        lambda f: os.mkfifo(f / "artifacts" / "pipe.txt"),
        "artifacts/pipe.txt",
        "a link or a device",
    ),
    "a link to a folder": (
        lambda f: (f / "artifacts" / "up").symlink_to(".."),
        "artifacts/up",
        "a link",
    ),
}


@pytest.mark.parametrize(("spoil", "file", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_folder_that_is_not_what_its_list_says_is_refused(
    bundle: Path, spoil: Spoil, file: str, said: str
) -> None:
    spoil(bundle)
    message = refusal(bundle)
    assert f"'{file}'" in message
    assert said in message


def packed(folder: Path, path: Path, change: Callable[[zipfile.ZipFile], object]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of a name given twice
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
        change(archive)
    return path


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("placeholder")
    made.filename = made.orig_filename = name  # ZipInfo would cut the name at NUL
    made.create_system, made.external_attr = 3, mode << 16
    return made


ZIPPED: dict[str, tuple[zipfile.ZipInfo, bytes, str, str]] = {
    "a path above": (entry("../outside.txt"), b"x", "../outside.txt", PATH),
    "an absolute path": (entry("/outside.txt"), b"x", "/outside.txt", PATH),
    "a path above by backslashes": (entry("..\\outside.txt"), b"x", "..\\\\outside.txt", PATH),
    "a drive": (entry("C:outside.txt"), b"x", "C:outside.txt", PATH),
    "NUL": (entry("run.json\0.txt"), b"x", "run.json\\x00.txt", PATH),
    "a line feed": (entry("a\nb.txt"), b"x", "a\\nb.txt", PATH),
    "a symbolic link": (entry("a.txt", stat.S_IFLNK | 0o777), b"/etc/passwd", "a.txt", "a link"),
    "a device": (entry("a.txt", stat.S_IFCHR | 0o666), b"", "a.txt", "a device"),
    "a folder": (entry("a/", stat.S_IFDIR | 0o755), b"", "a/", "a folder"),
    "a name twice": (entry("README.md"), b"x", "README.md", "a second file"),
    "a name in another case": (entry("readme.md"), b"x", "readme.md", "same name"),
    "an unlisted file": (entry("a.txt"), b"x", "a.txt", "does not name"),
    "no name": (entry(""), b"x", "''", "a file without a name"),
    "a bomb": (entry("a.txt"), bytes(40 << 20), "a.txt", "bytes out of"),
    "an endless name": (entry("a" * 60_000), b"x", "aaa", PATH),
}  # fmt: skip


@pytest.mark.parametrize(("info", "content", "file", "said"), ZIPPED.values(), ids=ZIPPED)
def test_a_zip_with_an_entry_that_no_bundle_has_is_refused(
    bundle: Path, info: zipfile.ZipInfo, content: bytes, file: str, said: str
) -> None:
    info.compress_type = zipfile.ZIP_DEFLATED
    path = bundle.parent / "b.zip"
    message = refusal(packed(bundle, path, lambda archive: archive.writestr(info, content)))
    assert file in message
    assert said in message


def patched(path: Path, change: Callable[[bytearray, int], object]) -> Path:
    """Changes the last entry of the central directory, found from its start."""
    content = bytearray(path.read_bytes())
    change(content, content.rindex(b"PK\x01\x02"))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c, at: c.__setitem__(at + 8, c[at + 8] | 1), "an encrypted file"),
        (lambda c, at: c.__setitem__(slice(at + 10, at + 12), b"\x0e\0"), "compression type 14"),
        (lambda c, at: c.__setitem__(slice(at + 24, at + 28), b"\xf0\xff\xff\xff"), "bytes out of"),
        (lambda c, at: c.__setitem__(slice(at + 16, at + 20), b"\0\0\0\0"), "damaged bytes"),
    ],
    ids=["encrypted", "unknown compression", "huge", "wrong checksum"],
)
def test_a_zip_whose_directory_lies_is_refused(
    bundle: Path, tmp_path: Path, change: Callable[[bytearray, int], object], said: str
) -> None:
    path = patched(packed(bundle, tmp_path / "b.zip", lambda _: None), change)
    message = refusal(path)
    assert said in message
    assert "'version.json'" in message


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_zip_that_was_cut_short_is_refused(bundle: Path, tmp_path: Path, share: float) -> None:
    path = packed(bundle, tmp_path / "b.zip", lambda _: None)
    os.truncate(path, int(share * path.stat().st_size))
    assert str(path) in refusal(path)


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.zip" in refusal(tmp_path / "nowhere.zip")


def test_a_bundle_as_it_was_written_is_received_as_folder_and_as_zip(
    bundle: Path, tmp_path: Path
) -> None:
    with open_bundle(bundle) as one:
        folder = one.folder
        assert one.summary.model == "models:/mine/1"
        assert (folder / "README.md").read_bytes() == (bundle / "README.md").read_bytes()
    assert not folder.exists()
    with open_bundle(packed(bundle, tmp_path / "b.zip", lambda _: None)) as two:
        assert (two.digest, two.contents.version) == (one.digest, one.contents.version)


@pytest.mark.parametrize(("limit", "said"), [("MOST_BYTES", "more than"), ("MOST_FILES", "files")])
def test_a_bundle_of_more_than_anybody_needs_is_refused_before_it_is_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, said: str
) -> None:
    path = packed(bundle, tmp_path / "b.zip", lambda _: None)
    monkeypatch.setattr(archive, limit, 10)
    for given in (bundle, path):
        assert said in refusal(given)


def test_a_disk_that_is_full_while_a_bundle_is_read_is_no_damage_of_the_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(bundle, tmp_path / "b.zip", lambda _: None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.bundle.read._copy_one", full)
    for given in (bundle, path):
        expected = pytest.raises(PipelineError, match="there must be room for a copy")
        with expected, open_bundle(given):
            pass


@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_what_the_writer_of_a_bundle_cannot_read_is_not_told_as_a_place_without_room(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(FileNotFoundError), new_bundle(tmp_path / name, is_forced=False):
        (tmp_path / "elsewhere" / "weights").read_bytes()
    no_room = pytest.raises(PipelineError, match="with enough room")
    with no_room, new_bundle(tmp_path / name, is_forced=False):
        raise OSError(errno.ENOSPC, "No space left on device")
    with no_room, new_bundle(tmp_path / name, is_forced=False) as folder:
        (folder / "nowhere" / "file").write_bytes(b"")
    assert list(tmp_path.glob("*b*")) == []


# Files that change while they are read


@pytest.mark.parametrize("kind", ["another file", "a link", "a pipe", "a longer file"])
def test_a_file_that_is_swapped_after_it_was_looked_at_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes((bundle / STATE).read_bytes()[:-1] + b"!")
    look = archive._folder_sizes

    def look_and_swap(root: Path) -> dict[str, int]:
        sizes = look(root)
        (root / STATE).unlink()
        if kind == "a link":
            (root / STATE).symlink_to(secret)
        elif kind == "a pipe":
            os.mkfifo(root / STATE)
        else:
            longer = bytes(9) if kind == "a longer file" else b""
            (root / STATE).write_bytes(secret.read_bytes() + longer)
        return sizes

    monkeypatch.setattr(archive, "_folder_sizes", look_and_swap)
    reasons = {
        "another file": "do not match the digest",
        "a longer file": "more bytes than announced",
    }
    assert reasons.get(kind, "a link or a device") in refusal(bundle)


def test_a_pipe_in_the_place_of_a_zip_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bundle.zip")
    assert "(a device)" in refusal(tmp_path / "bundle.zip")


# What the fuzzer has found


def test_a_name_that_begins_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    """Which zipfile cuts to nothing."""
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("QQQ", "x")
    path.write_bytes(path.read_bytes().replace(b"QQQ", b"\0QQ"))
    assert "a file without a name" in refusal(path)


def test_a_key_with_a_control_character_is_refused_in_one_line(
    bundle: Path, sign: Callable[[Path], None]
) -> None:
    changed("metrics.json", lambda metrics: metrics.update({"\0\x1b[2J\n": []}))(bundle)
    sign(bundle)
    assert "\\x00\\x1b[2J" in refusal(bundle)


def test_a_number_too_large_for_the_example_is_refused_without_a_warning(
    bundle: Path, sign: Callable[[Path], None]
) -> None:
    values = json.loads((bundle / EXAMPLE).read_text("utf-8"))
    values[0][0][0][0] = 1e308
    (bundle / EXAMPLE).write_text(json.dumps(values), "utf-8")
    sign(bundle)
    assert "numbers in [0, 1]" in refusal(bundle)
