"""Reads the UI's own code, to check that it still understands the format of the views."""

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urljoin

import requests

from pipeline.tracking.address import is_server

_CODE = "main.*.js"
_LINK = re.compile(r'src="([^"]*/main\.[^"/]*\.js)"')
_SECONDS = 10


def words_it_lacks(uri: str, words: Iterable[str]) -> list[str]:
    """The words that the UI's code does not contain; none if the code cannot be read.

    Args:
        uri: the tracking URI; the UI of a server is the server's, else the installed MLflow's.
        words: of a format that the UI is to understand.
    """
    code = _served(uri) if is_server(uri) else _installed()
    return [word for word in words if code is not None and word not in code]


def _installed() -> str | None:
    # Looked up and not imported: the server's module takes a second.
    found = importlib.util.find_spec("mlflow.server")
    folders = (found.submodule_search_locations if found else None) or []
    for folder in folders:
        for path in Path(folder, "js/build/static/js").glob(_CODE):
            return path.read_text(encoding="utf-8")
    return None


def _served(uri: str) -> str | None:
    address = uri.rstrip("/") + "/"
    try:
        page = requests.get(address, timeout=_SECONDS)
        link = _LINK.search(page.text)
        if not page.ok or link is None:
            return None
        code = requests.get(urljoin(address, link[1]), timeout=_SECONDS)
    except requests.RequestException:
        return None
    return code.text if code.ok else None
