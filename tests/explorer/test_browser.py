"""The explorer in a real browser: its arithmetic against PyTorch and PIL, and every control."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline import page as shared
from pipeline.data import ImageData, as_input
from pipeline.explorer import page
from pipeline.explorer.explored import Explored
from pipeline.predict.layouts import LAYOUTS, laid_out
from pipeline.training.stack import plain

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")

pytestmark = pytest.mark.browser

# The scripts that compute and do not draw: they run beside the page, which keeps its own closed.
ARITHMETIC = "\n".join(
    (Path(room.__file__).parent / f"{name}.js").read_text("utf-8")
    for room, names in (
        (shared, ("dom", "numbers", "words")),
        (page, ("run", "arithmetic", "position", "pad")),
    )
    for name in names
)
MASK_SEED = 7


@pytest.fixture(scope="module")
def path(networks: list[Explored], make_page: Callable[[Sequence[Explored]], Path]) -> Path:
    return make_page(networks)


@pytest.fixture(scope="module")
def unlike_path(unlike: list[Explored], make_page: Callable[[Sequence[Explored]], Path]) -> Path:
    return make_page(unlike)


@pytest.fixture(scope="module")
def tab(browser: "api.Browser") -> Iterator["api.Page"]:
    """One tab for all tests, in which no error may happen: each loads its page anew."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("console", lambda message: troubles.append(message.text))
    yield tab
    tab.close()
    assert troubles == []


@pytest.fixture
def opened(tab: "api.Page", path: Path) -> "api.Page":
    return at(tab, path, f"masks={MASK_SEED}&sample=0")


def at(tab: "api.Page", path: Path, fragment: str = "") -> "api.Page":
    tab.goto("about:blank")
    tab.goto(f"{path.as_uri()}#{fragment}")
    tab.wait_for_selector(".reading h4")
    return tab


def computed(tab: "api.Page", code: str, argument: object = None) -> Any:  # noqa: ANN401
    """What the page's own functions give, called with an argument."""
    return tab.evaluate(f"(argument) => {{ {ARITHMETIC}\n return ({code})(argument); }}", argument)


def module_of(network: Explored) -> torch.nn.Sequential:
    return plain(network.result.recipe, network.weights).eval()


def test_the_logits_are_pytorchs_to_a_ten_thousandth_for_a_thousand_test_images(
    opened: "api.Page", networks: list[Explored], digits: ImageData
) -> None:
    images = digits.test_images[:1000]
    code = """(images) => networks.map((network) => images.map((pixels) => {
        const input = Float32Array.from(pixels, (value) => value / 255);
        const first = linear(network.layers[0], input);
        return Array.from(pass(network, input, first).at(-1).y);
    }))"""
    found = np.array(computed(opened, code, images.flatten(1).tolist()))
    with torch.no_grad():
        expected = np.stack([module_of(network)(as_input(images)) for network in networks])
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_networks_without_relu_that_scale_their_inputs_compute_as_in_pytorch(
    tab: "api.Page",
    other_networks: list[Explored],
    make_page: Callable[[Sequence[Explored]], Path],
    digits: ImageData,
) -> None:
    opened = at(tab, make_page(other_networks), f"masks={MASK_SEED}&sample=0")
    images = digits.test_images[:300]
    code = """(images) => networks.map((network) => images.map((pixels) => {
        const input = scaledFor(network, pixels);
        return Array.from(pass(network, input, linear(network.layers[0], input)).at(-1).y);
    }))"""
    found = np.array(computed(opened, code, images.flatten(1).tolist()))
    with torch.no_grad():
        expected = np.stack([module_of(network)(as_input(images)) for network in other_networks])
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    # The page itself shows the same answer, and no unit that a ReLU could have closed.
    place = computed(opened, "() => samples[0].place")
    opened.click('[data-set="mode"][data-value="evaluation"]')
    for number, network in enumerate(other_networks):
        with torch.no_grad():
            logits = module_of(network)(as_input(digits.test_images[place][None]))[0]
        label = int(logits.argmax())
        bar = opened.query_selector_all(f'[data-network="{number}"] .bar')[label]
        share = float(re.findall(r"(\d+\.\d)", str(bar.get_attribute("aria-label")))[0])
        assert share == pytest.approx(100 * float(logits.softmax(0)[label]), abs=0.06)
        for counts in shown_counts(opened, number):
            assert (counts["inactive"], counts["both"], counts["dead"]) == (0, 0, 0)


def test_a_unit_without_relu_says_what_it_makes_of_z(
    tab: "api.Page",
    other_networks: list[Explored],
    make_page: Callable[[Sequence[Explored]], Path],
) -> None:
    opened = at(tab, make_page(other_networks), "mode=evaluation&sample=0&layer=1&unit=1")
    said = [node.inner_text() for node in opened.query_selector_all(".sentence")]
    for text, words in zip(said, ("the logistic function", "a leaky ReLU"), strict=True):
        found = re.fullmatch(
            rf"It has {words} instead of a ReLU, which nothing closes: of z = (\S+) it makes "
            r"y = (\S+)\.",
            text.replace("\u2212", "-"),
        )
        assert found, text
        z, y = (float(number) for number in found.groups())
        expected = 1 / (1 + math.exp(-z)) if "logistic" in words else max(z, 0.01 * z)
        assert y == pytest.approx(expected, abs=1e-4)


def xorshift(seed: int) -> Iterator[float]:
    """Marsaglia's generator as the page seeds it, written again."""
    mask = 0xFFFFFFFF
    state = ((seed + 1) * 0x9E3779B1 & mask) | 1
    number = 0
    while True:
        state ^= state << 13 & mask
        state ^= state >> 17
        state ^= state << 5 & mask
        number += 1
        if number > 8:
            yield state / 2**32


def causes_of(
    network: Explored, pixels: NDArray[np.uint8], seed: int
) -> tuple[list[dict[str, int]], NDArray[np.float64]]:
    """Counts of the causes by layer, and the logits, of a pass in double precision."""
    recipe, draws = network.result.recipe, xorshift(seed)

    def drawn(units: int, rate: float) -> NDArray[np.bool_]:
        return np.array([not rate or next(draws) >= rate for _ in range(units)])

    sizes = (*recipe.widths, 10)
    masks = [
        drawn(units, recipe.drop_rate_of(name))
        for name, units in zip(recipe.layers, sizes, strict=True)
    ]
    p = recipe.input_drop_rate
    x = np.where(drawn(784, p), pixels.ravel() / 255 / (1 - p), 0)
    counted = []
    for number, (name, kept) in enumerate(zip(recipe.layers, masks, strict=True), start=1):
        rate = recipe.drop_rate_of(name)
        weight, bias = (network.weights[f"linear{number}.{kind}"] for kind in ("weight", "bias"))
        z = weight.astype(np.float64) @ x + bias
        is_open = z > 0 if name != "logits" else np.ones_like(kept)
        counted.append(
            {
                "active": int((kept & is_open).sum()),
                "dropped": int((~kept & is_open).sum()),
                "inactive": int((kept & ~is_open).sum()),
                "both": int((~kept & ~is_open).sum()),
                "dead": 0,
            }
        )
        x = np.where(kept & is_open, z / (1 - rate), 0)
    for layer, record in zip(counted, network.result.chosen.layers, strict=True):
        layer["dead"] = 0 if record.states is None else int(record.states.dead.sum())
    return counted, x


def shown_counts(tab: "api.Page", network: int) -> list[dict[str, int]]:
    """The counts that stand over each layer; what is left out is none."""
    found = []
    for field in tab.query_selector_all(f'[data-network="{network}"] .field'):
        text = field.query_selector(".tallies").inner_text()
        counts = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", text)}
        found.append(dict.fromkeys(("active", "dropped", "inactive", "both", "dead"), 0) | counts)
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_the_units_are_counted_by_cause_as_a_pass_of_our_own_counts_them(
    opened: "api.Page", networks: list[Explored], digits: ImageData, number: int
) -> None:
    place = computed(opened, "() => samples[0].place")
    expected, _ = causes_of(networks[number], digits.test_images[place].numpy(), MASK_SEED)
    assert shown_counts(opened, number) == expected
    # Or the comparison would show nothing.
    assert expected[0]["dead"] > 0
    assert (expected[0]["dropped"] > 0) == (number == 1)


@pytest.mark.parametrize("number", [0, 1])
def test_pixels_and_layers_are_dropped_at_their_own_rates(
    tab: "api.Page", unlike: list[Explored], unlike_path: Path, digits: ImageData, number: int
) -> None:
    opened = at(tab, unlike_path, f"masks={MASK_SEED}&sample=3")
    place = computed(opened, "() => samples[3].place")
    expected, _ = causes_of(unlike[number], digits.test_images[place].numpy(), MASK_SEED)
    assert shown_counts(opened, number) == expected
    card = f'[data-network="{number}"]'
    label, facts = (
        ("Drop rate of pixels", "p = 0 in=0.3 "),
        ("Largest drop rate", "p = 0.5-0.4-0-0.2-0.1 in=0.2 "),
    )[number]
    assert opened.inner_text(f"{card} .rate .label") == label
    assert opened.inner_text(f"{card} .heading .formula").startswith(facts)
    # The z that is read of a unit is that of the pass, in which pixels are dropped.
    reading = opened.inner_text(f"{card} .reading")
    [z] = {float(text.replace("\u2212", "-")) for text in re.findall(r"bias\) = (\S+)", reading)}
    seen = opened.inner_text(f"{card} .reading p >> nth=0")
    assert f"{z:.4f}".replace("-", "\u2212") in seen


def test_in_evaluation_mode_nothing_is_dropped(opened: "api.Page") -> None:
    opened.click('[data-set="mode"][data-value="evaluation"]')
    opened.wait_for_selector('[data-set="mode"][data-value="evaluation"][aria-pressed="true"]')
    for number in (0, 1):
        for counts in shown_counts(opened, number):
            assert counts["dropped"] == counts["both"] == 0
    assert opened.is_disabled("#next")


def test_new_masks_drop_other_units_and_the_next_seed_is_in_the_address(
    opened: "api.Page", networks: list[Explored], digits: ImageData
) -> None:
    place = computed(opened, "() => samples[0].place")
    opened.keyboard.press("n")
    opened.wait_for_url(re.compile(f"masks={MASK_SEED + 1}&"))
    pixels = digits.test_images[place].numpy()
    assert shown_counts(opened, 1) == causes_of(networks[1], pixels, MASK_SEED + 1)[0]


def test_the_bars_of_many_masks_are_the_mean_over_their_passes(
    opened: "api.Page", networks: list[Explored], digits: ImageData
) -> None:
    place = computed(opened, "() => samples[0].place")
    opened.click("#keep")
    opened.wait_for_selector('#passes:text-is("1,000 passes")')
    pixels = digits.test_images[place].numpy()
    logits = np.stack([causes_of(networks[1], pixels, MASK_SEED + n)[1] for n in range(1000)])
    weights = np.exp(logits - logits.max(1, keepdims=True))
    shares = weights / weights.sum(1, keepdims=True)
    label = int(shares.mean(0).argmax())
    bar = opened.query_selector_all('[data-network="1"] .bar')[label].get_attribute("aria-label")
    low, high = np.quantile(shares[:, label], [0.05, 0.95])
    numbers = [float(number) for number in re.findall(r"(\d+\.\d)", bar)]
    assert numbers[0] == pytest.approx(100 * shares[:, label].mean(), abs=0.06)
    np.testing.assert_allclose(numbers[1:], [100 * low, 100 * high], atol=0.5)


def test_a_pass_whose_largest_logits_are_equal_tells_nothing(
    tab: "api.Page", path: Path, networks: list[Explored], digits: ImageData
) -> None:
    opened = at(tab, path, f"masks={MASK_SEED}&sample=0&rates=0,0.5")
    place = computed(opened, "() => samples[0].place")
    pixels = digits.test_images[place].numpy()
    logits = np.stack([causes_of(networks[1], pixels, MASK_SEED + n)[1] for n in range(1000)])
    are_best = logits == logits.max(1, keepdims=True)
    is_tied = are_best.sum(1) > 1
    # Dropped logits are 0, so many passes tie, and some do not.
    assert 100 < is_tied.sum() < 900
    with torch.no_grad():
        best = int(module_of(networks[1])(as_input(digits.test_images[place][None])).argmax())
    agreeing = (are_best[:, best] & ~is_tied).mean()
    for number, tied in enumerate(is_tied[:12]):
        opened = at(tab, path, f"masks={MASK_SEED + number}&sample=0")
        verdict = opened.inner_text('[data-network="1"] .verdict')
        assert ("This pass cannot tell" in verdict) == tied
    opened = at(tab, path, f"masks={MASK_SEED}&sample=0")
    opened.click("#keep")
    opened.wait_for_selector('#passes:text-is("1,000 passes")')
    said = opened.inner_text('[data-network="1"] .verdict')
    found = [int(share) for share in re.findall(r"(\d+)\s%", said)]
    assert found[-2:] == [round(100 * agreeing), round(100 * is_tied.mean())]


def drawing(seed: int) -> NDArray[np.uint8]:
    """Some strokes with soft edges on a pad of 280 x 280, anywhere and of any size."""
    source = np.random.default_rng(seed)
    rows, columns = np.mgrid[:280, :280]
    image = np.zeros((280, 280))
    corners = source.integers(15, 265, (4, 2)) * source.uniform(0.4, 1)
    for start, end in pairwise(corners):
        for share in np.linspace(0, 1, 60):
            y, x = start + share * (end - start)
            image = np.maximum(image, 255 * (11.5 - np.hypot(rows - y, columns - x)).clip(0, 1))
    return image.round().astype(np.uint8)


@pytest.mark.parametrize("name", list(LAYOUTS))
@pytest.mark.parametrize("seed", range(4))
def test_a_drawing_is_laid_out_as_predict_lays_out_a_file(
    opened: "api.Page", name: str, seed: int
) -> None:
    image, layout = drawing(seed), LAYOUTS[name]
    code = """({ values, layout }) => Array.from(laidOut(
        { width: 280, height: 280, values: Uint8Array.from(values) }, layout))"""
    rules = {field: getattr(layout, field) for field in ("margin", "is_by_mass", "is_writing")}
    found = computed(opened, code, {"values": image.ravel().tolist(), "layout": rules})
    expected = laid_out(image, (28, 28), layout=name, ink="light", name="drawing")
    difference = np.abs(np.array(found).reshape(28, 28) - expected.astype(int))
    # PIL computes with whole numbers: a level up or down.
    assert difference.max() <= 1


def test_a_test_image_on_the_pad_is_seen_as_it_is(opened: "api.Page", digits: ImageData) -> None:
    seen = opened.evaluate(
        """() => { const canvas = document.getElementById('preview');
        const { data } = canvas.getContext('2d').getImageData(0, 0, 28, 28);
        return Array.from(data).filter((_, index) => index % 4 === 0); }"""
    )
    place = computed(opened, "() => samples[0].place")
    np.testing.assert_array_equal(np.reshape(seen, (28, 28)), digits.test_images[place])


def test_what_is_drawn_with_a_mouse_is_read_while_the_button_is_down(opened: "api.Page") -> None:
    opened.click("#clear")
    opened.wait_for_selector("#hint:not([hidden])")
    assert "Nothing is drawn" in opened.inner_text('[data-network="0"] .verdict')
    box = opened.locator("#pad").bounding_box()
    assert box
    opened.mouse.move(box["x"] + 140, box["y"] + 40)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 140, box["y"] + 240, steps=10)
    opened.wait_for_selector('[data-network="0"] .verdict:has-text("says 1")')
    opened.mouse.up()
    assert opened.get_attribute("#hint", "hidden") is not None


def test_a_digit_is_drawn_with_keys_alone(opened: "api.Page") -> None:
    opened.keyboard.press("c")
    opened.focus("#pad")
    for _ in range(8):
        opened.keyboard.press("ArrowUp")
    opened.keyboard.press(" ")
    for _ in range(17):
        opened.keyboard.press("ArrowDown")
    opened.wait_for_selector('[data-network="0"] .verdict:has-text("says 1")')


def test_arrow_keys_go_from_unit_to_unit_and_a_screen_reader_hears_what_each_is(
    opened: "api.Page",
) -> None:
    keys = opened.locator('[data-network="1"] .field input').first
    keys.focus()
    keys.press("Home")
    opened.wait_for_selector('[data-network="1"] .which:text-is("h1.1")')
    keys.press("ArrowRight")
    opened.wait_for_selector('[data-network="1"] .which:text-is("h1.2")')
    text = keys.get_attribute("aria-valuetext")
    assert re.fullmatch(r"h1\.2, (active|dropped|inactive|both)(, dead)?", text)
    columns = opened.evaluate(
        "document.querySelector('[data-network=\"1\"] .field-units').clientWidth / 14"
    )
    keys.press("ArrowDown")
    opened.wait_for_selector(f'[data-network="1"] .which:text-is("h1.{2 + round(columns)}")')


def test_a_unit_that_is_touched_says_where_its_z_comes_from(opened: "api.Page") -> None:
    canvas = opened.locator('[data-network="0"] .field-units').nth(1)
    canvas.click(position={"x": 14 * 3 + 7, "y": 7})
    opened.wait_for_selector('[data-network="0"] .which:text-is("h2.4")')
    rows = opened.locator('[data-network="0"] .strongest tbody tr').all_inner_texts()
    numbers = [float(row.split("\t")[-1].replace("\u2212", "-")) for row in rows]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=5e-4)
    assert len(rows) == 9


def test_the_life_of_a_dead_unit_is_told_from_its_history(
    tab: "api.Page", path: Path, networks: list[Explored]
) -> None:
    history = networks[0].result.history
    fired = np.stack([r.layers[0].states.fired for r in history if r.layers[0].states])
    died = np.flatnonzero((fired[0] > 0) & (fired[1] == 0) & (fired[2] == 0))
    stayed = np.flatnonzero((fired > 0).all(0))
    for unit, words in ((died[0], "born alive, dead since epoch 1"), (stayed[0], "never dead")):
        opened = at(tab, path, f"layer=0&unit={unit}")
        assert words in opened.inner_text('[data-network="0"] .lived')
        share = 100 * fired[-1, unit] / 2500
        said = opened.inner_text('[data-network="0"] .fires')
        assert "none of 2,500" in said if share == 0 else f"{share:.0f}" in said


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_nothing_is_wider_than_a_phone(
    browser: "api.Browser", path: Path, colours: str, language: str
) -> None:
    phone = browser.new_page(
        viewport={"width": 390, "height": 844}, color_scheme=colours, has_touch=True
    )
    at(phone, path, f"language={language}")
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.locator(".network-card:visible").count() == 1
    phone.click('#tabs [data-value="1"]')
    phone.wait_for_selector('[data-network="1"]:visible')
    assert phone.locator(".network-card:visible").count() == 1
    phone.close()


def test_it_works_in_a_frame_that_may_only_run_scripts(
    browser: "api.Browser", path: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host.html"
    host.write_text(f'<iframe sandbox="allow-scripts" src="{path.as_uri()}"></iframe>', "utf-8")
    tab = browser.new_page()
    requests: list[str] = []
    troubles: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.goto(host.as_uri())
    frame = tab.frame_locator("iframe")
    frame.locator(".reading h4").first.wait_for()
    frame.locator("#clear").click()
    frame.locator("#hint").wait_for()
    tab.wait_for_timeout(700)  # until the address would follow
    assert troubles == []
    assert {url.partition(":")[0] for url in requests} <= {"file", "data"}
    tab.close()
