"""Makes the documentation's pictures and live pages: `python -m benchmarks.pictures`.

They show the newest sweep in the store that `MLFLOW_TRACKING_URI` names, which is the README's:
`why-zero sweep --drop-rates 0,0.1,0.2,0.3,0.4,0.5 --seeds 0-4`.
"""

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pipeline import plots
from pipeline.comparison.compare import compare
from pipeline.comparison.figures import sweep_figure
from pipeline.comparison.page import page
from pipeline.comparison.text import summary
from pipeline.explorer import explorer_of
from pipeline.records.result import Result
from pipeline.runs.load import load_data, load_result
from pipeline.runs.sweeps import LATEST, find_sweep, finished_networks
from pipeline.toy import experiment
from pipeline.toy.page import render_page
from pipeline.tracking import connect

DOCS = Path(__file__).parents[1] / "docs"
# CSS pixels: of the report, and below its first figure.
WIDTH, MARGIN = 1000, 8
LIVES = {"drop_rate": "0.2", "seed": "0"}
EXPLORED = [{"drop_rate": "0", "seed": "0"}, {"drop_rate": "0.5", "seed": "0"}]
# The film: a 3 on a pad of 1 x 1, and milliseconds that a picture stays.
FILM = {"width": 1240, "height": 760}
STROKE = (
    *((0.32, 0.25), (0.42, 0.17), (0.58, 0.17), (0.66, 0.27), (0.62, 0.4), (0.48, 0.47)),
    *((0.62, 0.54), (0.69, 0.66), (0.6, 0.8), (0.44, 0.84), (0.3, 0.76)),
)


def main() -> None:
    """Write `sweep.png`, `comparison.png`, `lives.png`, `explorer.webp` and the pages in `live`."""
    tracker = connect()
    runs = finished_networks(find_sweep(LATEST, tracker), tracker)
    results = [load_result(run, tracker) for run in runs]
    [comparison] = compare(results)
    figure = sweep_figure(comparison, title=summary(comparison))
    (DOCS / "sweep.png").write_bytes(plots.to_png(figure))
    one = _with(results, LIVES)
    (DOCS / "lives.png").write_bytes(plots.to_png(plots.draw_lives(one.history, one.recipe.name)))
    report = page([comparison], {}, origin="this sweep")
    (DOCS / "comparison.png").write_bytes(_top(report))
    live = DOCS / "live"
    live.mkdir(exist_ok=True)
    (live / "report.html").write_text(report, encoding="utf-8")
    explored = [_with(results, settings) for settings in EXPLORED]
    data = load_data(explored[0])
    _keep_run(explorer_of(explored, data, tracker), live / "explorer.json")
    arms = experiment.recipes(drop_rate=0.5, learning_rate=0.01, epochs=1, seed=0)
    trace = experiment.run(arms, "notebook")
    toy = render_page(trace, drop_rate=0.5, learning_rate=0.01, init="notebook", seed=0)
    _keep_run(toy, live / "toy.json")
    (DOCS / "explorer.webp").write_bytes(_film(explorer_of(explored[1:], data, tracker)))


def _keep_run(page: str, path: Path) -> None:
    """Write the run that a page holds; the site puts it into today's page."""
    run = page.partition('id="run">')[2].partition("</script>")[0]
    path.write_text(f"{run}\n", encoding="utf-8")


def _with(results: Sequence[Result], settings: Mapping[str, str]) -> Result:
    [found] = [result for result in results if settings.items() <= result.recipe.parameters.items()]
    return found


@contextmanager
def _opened(text: str, **options: Any) -> Iterator[Page]:  # noqa: ANN401 - as playwright has them
    """A page in a browser of its own."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        tab = browser.new_page(**options)
        tab.goto(path.as_uri())
        yield tab
        browser.close()


def _film(explorer: str) -> bytes:
    """Somebody draws a 3, draws other masks, touches a unit, and keeps drawing masks: WebP."""
    with _opened(explorer, viewport=FILM) as tab:
        frames: list[tuple[Image.Image, int]] = []

        def shoot(milliseconds: int, *, after: int = 80) -> None:
            tab.wait_for_timeout(after)
            picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
            frames.append((picture, milliseconds))

        tab.locator(".stage").evaluate("e => scrollTo(0, e.getBoundingClientRect().top - 10)")
        tab.click("#clear")
        shoot(700)
        box = tab.locator("#pad").bounding_box() or {}

        def go(share: tuple[float, float]) -> None:
            x, y = share
            tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)

        go(STROKE[0])
        tab.mouse.down()
        for (x, y), there in pairwise(STROKE):
            go(((x + there[0]) / 2, (y + there[1]) / 2))
            shoot(90)
            go(there)
            shoot(90)
        tab.mouse.up()
        shoot(900)
        for _ in range(5):
            tab.keyboard.press("n")
            shoot(450)
        tab.locator(".field-units").nth(1).click(position={"x": 133, "y": 35})
        shoot(1500)
        tab.click("#keep")
        for _ in range(8):
            shoot(250, after=250)
        tab.wait_for_selector('#passes:text-is("1,000 passes")')
        shoot(2500)
    (first, _), *others = frames
    file = io.BytesIO()
    first.save(
        file,
        format="WEBP",
        save_all=True,
        append_images=[picture for picture, _ in others],
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        quality=72,
    )
    return file.getvalue()


def _top(report: str) -> bytes:
    """The report in a browser down to its first figure, at twice the pixels."""
    with _opened(report, device_scale_factor=2) as tab:
        tab.set_viewport_size({"width": WIDTH, "height": 2000})
        bottom = tab.locator("figure").first.evaluate("e => e.getBoundingClientRect().bottom")
        tab.set_viewport_size({"width": WIDTH, "height": int(bottom) + MARGIN})
        picture = tab.screenshot()
    file = io.BytesIO()
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(file, format="PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    main()
