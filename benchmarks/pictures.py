"""Draws the documentation's pictures from the newest sweep: `python -m benchmarks.pictures`.

It is the README's sweep of five seeds, in the store that `MLFLOW_TRACKING_URI` names:
`python -m pipeline sweep --drop-rates 0,0.1,0.2,0.3,0.4,0.5 --seeds 0-4`.
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from pipeline import plots
from pipeline.comparison.compare import compare
from pipeline.comparison.figures import sweep_figure
from pipeline.comparison.page import page
from pipeline.comparison.text import summary
from pipeline.runs.load import load_result
from pipeline.runs.sweeps import LATEST, find_sweep, finished_networks
from pipeline.tracking import connect

DOCS = Path(__file__).parents[1] / "docs"
# CSS pixels: of the report, and below its first figure.
WIDTH, MARGIN = 1000, 8
LIVES = {"drop_rate": "0.2", "seed": "0"}


def main() -> None:
    """Write `sweep.png`, `comparison.png` and `lives.png`."""
    tracker = connect()
    runs = finished_networks(find_sweep(LATEST, tracker), tracker)
    results = [load_result(run, tracker) for run in runs]
    [comparison] = compare(results)
    figure = sweep_figure(comparison, title=summary(comparison))
    (DOCS / "sweep.png").write_bytes(plots.to_png(figure))
    [one] = [r for r in results if LIVES.items() <= r.recipe.parameters.items()]
    (DOCS / "lives.png").write_bytes(plots.to_png(plots.draw_lives(one.history, one.recipe.name)))
    (DOCS / "comparison.png").write_bytes(_top(page([comparison], {}, origin="this sweep")))


def _top(report: str) -> bytes:
    """The report in a browser down to its first figure, at twice the pixels."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(report, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        tab = browser.new_page(device_scale_factor=2)
        tab.goto(path.as_uri())
        tab.set_viewport_size({"width": WIDTH, "height": 2000})
        bottom = tab.locator("figure").first.evaluate("e => e.getBoundingClientRect().bottom")
        tab.set_viewport_size({"width": WIDTH, "height": int(bottom) + MARGIN})
        picture = tab.screenshot()
        browser.close()
    file = io.BytesIO()
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(file, format="PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    main()
