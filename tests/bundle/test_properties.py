"""What holds for every record, every name and every byte of a bundle."""

import json
import math
import zipfile
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.bundle import open_bundle
from pipeline.bundle.codec import decode, encode, strict_json
from pipeline.bundle.contents import ModelRecord, RunRecord
from pipeline.bundle.convert import rounded_up
from pipeline.bundle.layout import BundleError, check_names
from pipeline.errors import PipelineError

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
NUMBER = st.integers(-(2**53), 2**53)
POINT = st.tuples(NUMBER, NUMBER, st.floats(allow_nan=False))  # NaN is not even itself
POINTS = st.dictionaries(TEXT, st.lists(POINT, max_size=2).map(tuple), max_size=2)
TAGS = st.dictionaries(TEXT, TEXT, max_size=2)
# Mappings, since a record checks its types as it is made, which draws numbers of its own.
MODEL = st.fixed_dictionaries(
    {
        "id": TEXT, "name": TEXT, "type": st.none() | TEXT, "step": NUMBER, "parameters": TAGS,
        "tags": TAGS, "metrics": POINTS,
    }
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(MODEL)
def test_a_record_comes_back_from_its_json_as_it_was_and_gives_the_same_json(
    values: dict[str, Any],
) -> None:
    record = ModelRecord(**values)
    text = encode(record)
    assert decode(ModelRecord, text) == record
    assert encode(decode(ModelRecord, text)) == text
    assert json.dumps(strict_json(text), allow_nan=False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "tags", "step"]), inner, max_size=4)
    ),
)


@settings(deadline=None)
@given(JSON)
def test_json_of_any_other_shape_is_refused_by_the_reader_itself(value: object) -> None:
    with pytest.raises(ValueError, match=r"^[a-z_]+: "):
        decode(RunRecord, json.dumps(value))


@given(st.text() | st.from_regex(r"[a-zA-Z./\\: ]{1,12}", fullmatch=True))
@example("..")
@example("a/../..")
@example("C:a")
@example("COM1.txt")
@example("a ")
def test_a_name_that_is_taken_stays_below_its_folder_on_every_system(name: str) -> None:
    try:
        check_names([name])
    except BundleError:
        return
    assert Path("/srv/bundle", name).resolve().is_relative_to("/srv/bundle")
    windows = PureWindowsPath(name)
    assert not windows.drive
    assert not windows.root
    assert ".." not in windows.parts
    assert windows.as_posix() == name


@pytest.fixture(scope="module")
def packed(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """The bundle as a zip, and its digest."""
    path = tmp_path_factory.mktemp("packed") / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(exported.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(exported).as_posix())
    with open_bundle(path) as bundle:
        return path.read_bytes(), bundle.digest


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_zip_with_one_byte_changed_is_refused_or_the_same_bundle(
    packed: tuple[bytes, str], tmp_path: Path, where: float, change: int
) -> None:
    content = bytearray(packed[0])
    content[int(where * len(content))] ^= change
    (tmp_path / "b.zip").write_bytes(content)
    try:
        with open_bundle(tmp_path / "b.zip") as bundle:
            assert bundle.digest == packed[1]  # a date, say, that nobody reads
    except PipelineError:
        return


@given(st.floats(1e-12, 1e-4))
def test_a_difference_is_never_told_smaller_than_it_is(value: float) -> None:
    told = rounded_up(value)
    assert value <= told <= 1.11 * value
    assert math.isclose(told, float(f"{told:.1e}"))
