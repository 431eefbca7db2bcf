"""Which texts are addresses of registered models, and what the others are told."""

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
)

from pipeline.config.model_address import ModelAddress, alias_name, model_address, model_name
from pipeline.errors import UsageError

NAMES = ["dropout-mnist", "a", "with space", "ünï", "a@b", "v1", "a.b", "%41", "x" * 256]
ALIASES = ["champion", "a-b_c", "v", "version1", "1", "v1a", "latest2", "x" * 255]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alias", ALIASES[:3])
def test_an_address_by_alias_is_read_as_mlflow_reads_it(name: str, alias: str) -> None:
    text = f"models:/{name}@{alias}"
    assert model_address(text) == ModelAddress(name=name, alias=alias)
    theirs = _parse_model_uri(text)
    assert (theirs.name, theirs.alias) == (name, alias)


@pytest.mark.parametrize("name", NAMES)
def test_an_address_by_version_is_read_as_mlflow_reads_it(name: str) -> None:
    assert model_address(f"models:/{name}/12") == ModelAddress(name=name, version=12)
    theirs = _parse_model_uri(f"models:/{name}/12")
    assert (theirs.name, theirs.version) == (name, "12")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dropout-mnist",
        "models:/dropout-mnist",
        "models:/dropout-mnist/latest",
        "models:/dropout-mnist/0",
        "models:/dropout-mnist/-1",
        "models:/dropout-mnist/1/2",
        "models:/dropout-mnist@v1",
        "models:/dropout-mnist@a.b",
        "models:/dropout-mnist@",
        "models:/@champion",
        "models:/a?b@champion",
        "models://dropout-mnist@champion",
        "runs:/abc/model",
    ],
)
def test_any_other_text_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        model_address(text)
    message = str(caught.value)
    assert "must be models:/NAME@ALIAS or models:/NAME/VERSION" in message
    assert repr(text) in message


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_we_take_the_registry_takes(name: str) -> None:
    assert model_name(name) == name
    _validate_model_name(name)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "a?", "it's", '"', ".", "..", "x" * 257])
def test_a_name_that_could_not_be_found_again_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        model_name(name)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_that_we_take_the_registry_takes(alias: str) -> None:
    assert alias_name(alias) == alias
    _validate_model_alias_name(alias)
    _validate_model_alias_name_reserved(alias)


@pytest.mark.parametrize("alias", ["", "latest", "Latest", "v1", "V23", "a.b", "a b", "x" * 256])
def test_an_alias_that_the_registry_refuses_we_refuse(alias: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        alias_name(alias)
    with pytest.raises(MlflowException):
        _both(alias)


def _both(alias: str) -> None:
    _validate_model_alias_name(alias)
    _validate_model_alias_name_reserved(alias)
