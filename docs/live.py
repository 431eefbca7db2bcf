"""Makes the live pages of the site from the runs in `live`, with today's scripts.

A hook of mkdocs.
"""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipeline.explorer import page as explorer
from pipeline.page import assemble
from pipeline.toy import page as toy

ROOMS = {"explorer": explorer, "toy": toy}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site with a page in the place of each run."""
    for name, room in ROOMS.items():
        held = files.get_file_from_path(f"live/{name}.json")
        if held is None or held.abs_src_path is None:
            raise FileNotFoundError(f"docs/live/{name}.json must exist: run `make pictures`")
        files.remove(held)
        run = json.loads(Path(held.abs_src_path).read_text("utf-8"))
        text = assemble(room.__name__, room.SCRIPTS, run=run)
        files.append(File.generated(config, f"live/{name}.html", content=text))
    return files
