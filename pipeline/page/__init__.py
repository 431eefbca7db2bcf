"""What the pages that people explore share: look, marks, words, and how a page is put together.

A page is one self-contained HTML file that fetches nothing, for use from disk or in any frame. A
room with such a page has a folder of parts: `page.html` (its `main` and `footer`), `style.css`,
`words.json` and scripts.
The scripts are one module: each uses what those before it define.
"""

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

SCRIPTS = ("dom", "numbers", "words", "shapes", "address")


def assemble(package: str, scripts: Sequence[str], *, run: object) -> str:
    """The page of a package as one file.

    Args:
        package: whose folder holds the page's own parts.
        scripts: its own, in order. One of them defines `position`, which holds the language, and
            `accept`, which takes over changes of it.
        run: what the page shows, as `JSON.parse(byId("run").textContent)` gives it back.

    Raises:
        ValueError: the run holds a number that JSON has not, such as NaN.
    """
    shared, own = _words(__name__), _words(package)
    script = [_part(__name__, f"{name}.js") for name in SCRIPTS]
    script += [_part(package, f"{name}.js") for name in scripts]
    text = _part(__name__, "frame.html")
    for mark, part in (
        ("<!-- page -->\n", f"{_part(package, 'page.html')}\n"),
        ("/* style */", _part(__name__, "base.css") + _part(package, "style.css")),
        ("<!-- hatches -->", _part(__name__, "hatches.svg")),
        ("/* words */", _safe({language: shared[language] | own[language] for language in own})),
        ("/* script */", "\n".join(script)),
        # Last, so that no text of a run is taken for a mark.
        ("/* run */", _safe(run)),
    ):
        text = text.replace(mark, part, 1)
    return text


def _words(package: str) -> dict[str, dict[str, Any]]:
    return json.loads(_part(package, "words.json"))


def _safe(values: object) -> str:
    """JSON that cannot end its script element."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _part(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")
