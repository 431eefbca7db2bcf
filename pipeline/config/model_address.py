"""The address of a registered model as text: `models:/NAME@ALIAS` or `models:/NAME/VERSION`."""

import re
from dataclasses import dataclass

from pipeline.errors import UsageError

NAME_RULE = "a name of at most 256 characters, without any of / : ? ' \" and no . or .."
ALIAS_RULE = "a word of letters, digits, - and _ that is not latest, nor v and a number"
ADDRESS_RULE = "models:/NAME@ALIAS or models:/NAME/VERSION"

# The registry accepts `?` and quotes, but then no address or search finds the model again.
_NAME = re.compile(r"(?!\.{1,2}$)[^/:?'\"\s]([^/:?'\"]{0,254}[^/:?'\"\s])?")
_ALIAS = re.compile(r"(?!(latest|v\d+)$)[\w-]{1,255}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ModelAddress:
    """The address of a version of a registered model; either `alias` or `version` is given.

    Attributes:
        name: of the registered model.
        alias: that points to the version.
        version: its number.
    """

    name: str
    alias: str | None = None
    version: int | None = None


def model_name(text: str) -> str:
    """The text, if it is a valid name of a registered model.

    Raises:
        ValueError: it is not; see `NAME_RULE`.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(text)
    return text


def alias_name(text: str) -> str:
    """The text, if it is a valid alias.

    Raises:
        ValueError: it is not; see `ALIAS_RULE`.
    """
    if not _ALIAS.fullmatch(text):
        raise ValueError(text)
    return text


def model_address(text: str) -> ModelAddress:
    """Parse an address.

    Raises:
        UsageError: it is not a valid address.
    """
    scheme, _, rest = text.partition(":/")
    name, slash, number = rest.partition("/")
    named, at, alias = rest.rpartition("@")
    try:
        if scheme == "models" and slash and re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII):
            return ModelAddress(name=model_name(name), version=int(number))
        if scheme == "models" and at and not slash:
            return ModelAddress(name=model_name(named), alias=alias_name(alias))
    except ValueError:
        pass
    raise UsageError(
        f"a registered model's address must be {ADDRESS_RULE}, got {text!r}: NAME is "
        f"{NAME_RULE}; ALIAS is {ALIAS_RULE}"
    )
