"""Which runs a comparison's file names."""

import pytest

from pipeline.records.networks_file import run_ids


def test_runs_are_named_once_in_the_order_of_the_file() -> None:
    assert run_ids("seed,run_id\n0,b\n1,a\n2,\n3,b\n") == ["b", "a"]
    assert run_ids("run_id\n") == []


@pytest.mark.parametrize("text", ["", "seed,id\n0,b\n"])
def test_a_file_without_runs_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no column run_id"):
        run_ids(text)
