"""Makes a page of each notebook of the site: its text, its code, and what it gave when it was run.

A hook of mkdocs. The notebook itself is copied as well, to be downloaded.
"""

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

NOTEBOOK = ".ipynb"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site with a page for each notebook."""
    for file in list(files):
        if file.src_uri.endswith(NOTEBOOK) and file.abs_src_path:
            name = file.src_uri.removesuffix(NOTEBOOK) + ".md"
            files.append(File.generated(config, name, abs_src_path=file.abs_src_path))
    return files


def on_page_read_source(page: Page, config: MkDocsConfig) -> str | None:
    """The Markdown of a notebook's page; None for other pages, which are read as they are."""
    del config
    path = Path(page.file.abs_src_path or "")
    return as_markdown(path) if path.suffix == NOTEBOOK else None


def on_post_build(config: MkDocsConfig) -> None:
    """Offer the Markdown of these pages where the theme has copied their source."""
    for path in Path(config.docs_dir).rglob(f"*{NOTEBOOK}"):
        copy = Path(config.site_dir) / path.relative_to(config.docs_dir).with_suffix(".md")
        copy.write_text(as_markdown(path), "utf-8")


def as_markdown(notebook: Path) -> str:
    """The notebook's cells, with a link to itself below the first."""
    first, *others = json.loads(notebook.read_text("utf-8"))["cells"]
    link = f"[Download this page as a notebook]({notebook.name})"
    return "\n\n".join([_shown(first), link, *map(_shown, others)]) + "\n"


def _shown(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    return "\n\n".join([f"```python\n{source}\n```", *map(_given, cell["outputs"])])


def _given(output: dict[str, Any]) -> str:
    """What a cell gave: a table, a picture, or text."""
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f"![What the cell above draws](data:image/png;base64,{picture})"
    return f"```text\n{''.join(output['text']).rstrip()}\n```"
