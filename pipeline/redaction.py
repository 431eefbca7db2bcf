"""Keeps passwords and tokens out of what is printed and written."""

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

_SHOWN = "***"
# Up to the last @ before a space: who types an @ or a / into a password does not always escape it.
_USER = re.compile(r"(?<=://)\S*@")
_NAMED = re.compile(
    r"(?i)(?<=[?&;])([\w.-]*(?:passw|pwd|token|secret|api_?key|credential|signature)[\w.-]*)"
    r"=[^&;\s'\"]*"
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *_PROXIES)
_PLAIN = (
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
_LEAST = 4  # shorter ones stand in ordinary words


def redacted(text: str) -> str:
    """The text without what is secret in its addresses, nor what the environment keeps secret.

    Of an address, users and tokens go too: `http://TOKEN@host` has nothing else.
    """
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        text = text.replace(secret, _SHOWN)
    return _NAMED.sub(rf"\1={_SHOWN}", _USER.sub(f"{_SHOWN}@", text))


def printable(text: str) -> str:
    """The text with control characters and line breaks escaped: it must not steer a terminal."""
    kept = "\u00a0"  # which our own numbers have before their units
    return "".join(
        each if each.isprintable() or each == kept else ascii(each)[1:-1] for each in text
    )


def has_secrets(address: str) -> bool:
    """Whether an address must not be shown as it is."""
    return redacted(address) != address


def _secrets() -> Iterator[str]:
    """The secrets of the environment as they may appear in a library's message."""
    for variable in _PLAIN:
        yield from _long(os.environ.get(variable, ""))
    for variable in _ADDRESSES:
        address = os.environ.get(variable, "")
        if user := _USER.search(address):
            name, colon, password = user.group()[:-1].partition(":")
            yield from _long(password if colon else name)


def _long(secret: str) -> Iterator[str]:
    """The secret as it stands, unescaped and escaped, where it can be told from other text."""
    for form in (secret, unquote(secret), quote(secret, safe="")):
        if len(form) >= _LEAST:
            yield form
