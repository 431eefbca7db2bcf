"""The toy's page in a real browser: every control, and every value against the trace."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.toy.experiment import ARMS, Trace
from pipeline.toy.unit_table import unit_rows

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")

pytestmark = pytest.mark.browser

UNITS = ("h1.1", "h1.2", "h1.3", "h2.1", "h2.2", "h2.3")
PHASES = ("forward", "loss", "backward", "update")
CAUSES = ("active", "dropped", "inactive", "both")
MakePage = Callable[..., Path]


@dataclass
class Reader:
    """A person before the page: what is seen, and what can be done."""

    tab: "api.Page"
    path: Path

    def open(self, fragment: str = "") -> "Reader":
        """Load the page anew, at a position."""
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.path.as_uri()}{fragment}")
        return self

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.tab.keyboard.press(key)

    def click(self, name: str, value: str) -> None:
        self.tab.click(f'[data-set="{name}"][data-value="{value}"]')

    def pressed(self, name: str) -> str | None:
        """The value of a choice that is marked as chosen, for eyes and for screen readers."""
        return self.tab.get_attribute(f'[data-set="{name}"][aria-pressed="true"]', "data-value")

    def fragment(self) -> dict[str, str]:
        pairs = self.tab.evaluate("[...new URLSearchParams(location.hash.slice(1))]")
        return dict(pairs)

    def text(self, selector: str) -> str:
        return self.tab.inner_text(selector)

    def values(self) -> dict[tuple[str, str], str]:
        """What stands at every unit, by arm and name."""
        rows = self.tab.evaluate(
            """[...document.querySelectorAll('.unit')].map((unit) =>
                [unit.dataset.arm, unit.dataset.unit, unit.querySelector('.value').textContent])"""
        )
        return {(arm, unit): value for arm, unit, value in rows}

    def causes(self) -> dict[tuple[str, str], tuple[str, bool]]:
        """How every hidden unit is marked, by arm and name: its cause, and whether it is dead."""
        rows = self.tab.evaluate(
            """[...document.querySelectorAll('.unit')].map((unit) => [unit.dataset.arm,
                unit.dataset.unit, unit.querySelector('.mark').dataset.cause,
                unit.querySelector('.dead').getAttribute('visibility')])"""
        )
        return {(arm, unit): (look, dead == "visible") for arm, unit, look, dead in rows}


@pytest.fixture(scope="session")
def path(trace: Trace, make_page: MakePage) -> Path:
    return make_page(trace)


@pytest.fixture(scope="session")
def tab(browser: "api.Browser") -> Iterator["api.Page"]:
    """One tab for all tests: each loads its page anew."""
    tab = browser.new_page()
    yield tab
    tab.close()


@pytest.fixture
def reader(tab: "api.Page", path: Path) -> Iterator[Reader]:
    with reading(tab, path) as reader:
        yield reader


@contextmanager
def reading(tab: "api.Page", path: Path, *, width: int = 1280) -> Iterator[Reader]:
    """A page freshly loaded; afterwards nothing was asked for and nothing went wrong."""
    reader = Reader(tab, path)
    troubles: list[str] = []
    requests: list[str] = []
    watchers: dict[str, Callable[..., None]] = {
        "console": lambda message: troubles.append(message.text),
        "pageerror": lambda error: troubles.append(str(error)),
        "request": lambda request: requests.append(request.url.split("#")[0]),
    }
    for event, watcher in watchers.items():
        tab.on(event, watcher)
    tab.set_viewport_size({"width": width, "height": 844})
    yield reader.open("#update=1")
    for event, watcher in watchers.items():
        tab.remove_listener(event, watcher)
    assert troubles == []
    assert set(requests) <= {path.as_uri(), "about:blank", "data:,"}


def written(value: float) -> str:
    """A number as the page must write it: 0 and -0.0 exact, four digits, tiny ones by exponent."""
    if value == 0:
        return "−0.0" if np.signbit(value) else "0"
    size = abs(float(value))
    mantissa, exponent = f"{size:.1e}".split("e")
    far = f"{mantissa}e{int(exponent)}".replace("e-", "e−")
    return ("−" if value < 0 else "") + (f"{size:.4f}" if 0.00005 <= size < 99999 else far)


def test_it_opens_in_english_in_a_forward_pass_in_training_mode(reader: Reader) -> None:
    reader.open()
    assert reader.text("h1") == "Why is it zero?"
    chosen = {name: reader.pressed(name) for name in ("phase", "mode", "units", "lines")}
    assert chosen == {"phase": "forward", "mode": "training", "units": "auto", "lines": "auto"}
    assert reader.tab.get_attribute("html", "lang") == "en"


def test_it_opens_where_gradients_flow_in_every_network_and_dropout_alone_makes_a_zero(
    reader: Reader, trace: Trace
) -> None:
    reader.open()
    flows = np.array([_flows(trace, arm) for arm in ARMS])
    struck = np.array([_is_struck(trace, arm) for arm in ("relu+dropout", "dropout")])
    expected = np.flatnonzero(flows.all(0) & struck.all(0))[0] + 1
    assert expected > 1
    assert reader.text("#counter") == f"{expected} / 10"
    reader.click("phase", "backward")
    gradients = reader.values()
    for arm in ARMS:
        assert any(gradients[arm, unit] not in {"0", "−0.0"} for unit in UNITS)


def test_without_dropout_it_opens_where_gradients_flow(
    tab: "api.Page", trace: Trace, make_page: MakePage
) -> None:
    with reading(tab, make_page(_without_dropout(trace), drop_rate=0.0)) as reader:
        reader.open()
        expected = np.flatnonzero(np.all([_flows(trace, arm) for arm in ARMS], axis=0))[0] + 1
        assert reader.text("#counter") == f"{expected} / 10"


def _flows(trace: Trace, arm: str) -> NDArray[np.bool_]:
    """For each update, whether a gradient other than 0 reaches a hidden unit."""
    gradients = [trace.arrays[f"{arm}/{layer}/gradient_z"] for layer in ("h1", "h2")]
    return np.any(np.concatenate(gradients, axis=1) != 0, axis=1)


def _is_struck(trace: Trace, arm: str) -> NDArray[np.bool_]:
    """For each update, whether a hidden unit is zero because of dropout alone."""
    units = [
        ~trace.arrays[f"{arm}/{layer}/mask"]
        & ((trace.arrays[f"{arm}/{layer}/z"] > 0) | (arm == "dropout"))
        for layer in ("h1", "h2")
    ]
    return np.concatenate(units, axis=1).any(1)


# Playing


@pytest.fixture
def player(browser: "api.Browser", path: Path) -> Iterator[Reader]:
    """A page whose time the test moves on."""
    tab = browser.new_page()
    tab.clock.install()
    with reading(tab, path) as reader:
        tab.clock.pause_at(tab.evaluate("Date.now()") / 1000 + 10)
        yield reader
    tab.close()


def here(reader: Reader) -> tuple[str, str | None]:
    return reader.text("#counter"), reader.pressed("phase")


def test_the_space_bar_plays_phase_by_phase_and_pauses(player: Reader) -> None:
    player.press("Space")
    assert player.text("#play") == "Pause"
    player.tab.clock.run_for(1250)
    assert here(player) == ("1 / 10", "forward")
    player.tab.clock.run_for(100)
    assert here(player) == ("1 / 10", "loss")
    player.tab.clock.run_for(3 * 1300)
    assert here(player) == ("2 / 10", "forward")
    player.press("Space")
    player.tab.clock.run_for(9000)
    assert player.text("#play") == "Play"
    assert here(player) == ("2 / 10", "forward")
    assert player.fragment()["update"] == "2"


def test_it_plays_faster_by_whole_updates(player: Reader) -> None:
    player.click("speed", "fast")
    player.click("phase", "backward")
    player.tab.click("#play")
    player.tab.clock.run_for(4 * 700 + 50)
    assert here(player) == ("5 / 10", "backward")


def test_it_stops_at_the_end_and_begins_anew_from_there(player: Reader) -> None:
    player.open("#update=10&phase=backward")
    player.press("Space")
    player.tab.clock.run_for(9000)
    assert player.text("#play") == "Play"
    assert here(player) == ("10 / 10", "update")
    player.press("Space")
    assert here(player) == ("1 / 10", "forward")


@pytest.mark.parametrize("step", ["ArrowRight", "ArrowDown", "#after", ".strip"])
def test_a_step_by_hand_ends_playing_and_a_look_at_a_unit_does_not(
    player: Reader, step: str
) -> None:
    player.press("Space")
    player.press("5")
    assert player.text("#play") == "Pause"
    if step.startswith("Arrow"):
        player.press(step)
    else:
        player.tab.locator(step).first.click()
    assert player.text("#play") == "Play"


def test_screen_readers_hear_of_beginning_and_end_and_not_of_every_step(player: Reader) -> None:
    player.press("Space")
    assert player.text("#status") == "Playing from update 1 of 10, Forward."
    # An output is live unless it says otherwise; the status has spoken.
    live = "output, [role=status], [aria-live]"
    speaking = "all => all.filter((e) => e.getAttribute('aria-live') !== 'off').map((e) => e.id)"
    assert player.tab.locator(live).evaluate_all(speaking) == ["status"]
    player.tab.clock.run_for(2 * 1300 + 50)
    player.press("Space")
    assert player.text("#status") == "Paused at update 1 of 10, Backward."
    assert player.tab.get_attribute("#caption", "aria-live") == "polite"


def test_the_space_bar_presses_a_button_that_tab_has_reached_and_else_plays(
    player: Reader,
) -> None:
    player.click("phase", "loss")
    player.press("Space")
    assert (player.text("#play"), player.pressed("phase")) == ("Pause", "loss")
    player.press("Space")
    player.press("Tab")
    player.press("Space")
    assert (player.text("#play"), player.pressed("phase")) == ("Play", "backward")


def test_the_play_button_answers_to_its_own_keys_once(player: Reader) -> None:
    player.open("#update=2").tab.focus("#before")
    player.press("Tab")
    for key, label in (("Space", "Pause"), ("Enter", "Play"), ("Space", "Pause")):
        player.press(key)
        assert player.text("#play") == label


def test_whoever_wants_no_motion_gets_a_slow_pace(tab: "api.Page", path: Path) -> None:
    tab.emulate_media(reduced_motion="reduce")
    with reading(tab, path) as reader:
        assert reader.pressed("speed") == "slow"
    tab.emulate_media(reduced_motion="no-preference")


def test_every_choice_answers_to_the_mouse_and_stands_in_the_address(reader: Reader) -> None:
    buttons = reader.tab.evaluate(
        "[...document.querySelectorAll('[data-set]')].map((b) => [b.dataset.set, b.dataset.value])"
    )
    assert len(buttons) == 2 + 4 + 2 + 7 + 4 + 3
    for name, value in buttons:
        reader.click(name, value)
        assert reader.pressed(name) == value
        assert reader.fragment()[name] == value


def test_the_update_answers_to_buttons_slider_and_ribbon(reader: Reader) -> None:
    reader.tab.click("#after")
    assert reader.text("#counter") == "2 / 10"
    reader.tab.click("#before")
    assert reader.text("#counter") == "1 / 10"
    assert reader.tab.is_disabled("#before")
    reader.tab.fill("#update", "10")
    assert reader.text("#counter") == "10 / 10"
    assert reader.tab.is_disabled("#after")
    strip = reader.tab.locator('[data-arm="relu"] .ribbon[data-unit="h2.1"] .strip')
    box = strip.bounding_box()
    assert box
    strip.click(position={"x": box["width"] * 0.35, "y": 5})
    assert (reader.fragment()["update"], reader.fragment()["unit"]) == ("4", "h2.1")


def test_arrow_keys_walk_through_updates_and_phases(reader: Reader) -> None:
    reader.press("ArrowRight", 2)
    assert reader.text("#counter") == "3 / 10"
    reader.press("ArrowLeft")
    assert reader.text("#counter") == "2 / 10"
    for phase in (*PHASES[1:], "forward"):
        reader.press("ArrowDown")
        assert reader.pressed("phase") == phase
    assert reader.text("#counter") == "3 / 10"
    reader.press("ArrowUp")
    assert (reader.pressed("phase"), reader.text("#counter")) == ("update", "2 / 10")


def test_arrow_keys_stop_at_both_ends(reader: Reader) -> None:
    reader.press("ArrowUp")
    reader.press("ArrowLeft")
    assert (reader.pressed("phase"), reader.text("#counter")) == ("forward", "1 / 10")
    reader.open("#update=10&phase=backward")
    reader.press("ArrowDown", 3)
    reader.press("ArrowRight")
    assert (reader.pressed("phase"), reader.text("#counter")) == ("update", "10 / 10")


def test_arrow_keys_on_the_slider_move_by_one_update_and_by_phases(reader: Reader) -> None:
    reader.tab.focus("#update")
    reader.press("ArrowRight")
    reader.press("ArrowDown")
    assert (reader.pressed("phase"), reader.text("#counter")) == ("loss", "2 / 10")


def test_letters_and_digits_do_what_the_buttons_do(reader: Reader) -> None:
    reader.press("m")
    assert reader.pressed("mode") == "evaluation"
    for name, key, values in (
        ("units", "q", ("z", "m", "h", "y", "gradient", "moved", "auto")),
        ("lines", "e", ("weights", "gradients", "updates", "auto")),
        ("speed", "s", ("fast", "slow", "medium")),
        ("language", "l", ("ko", "en")),
    ):
        for value in values:
            reader.press(key)
            assert reader.pressed(name) == value
    for digit, unit in enumerate((*UNITS, "logit 0", "logit 1"), start=1):
        reader.press(str(digit))
        assert reader.fragment()["unit"] == unit
        chosen = reader.tab.locator('.unit[aria-pressed="true"]')
        assert chosen.evaluate_all("units => units.map((u) => u.dataset.unit)") == [unit] * 3


@pytest.mark.parametrize(
    ("key", "code"), [("ㅡ", "KeyM"), ("m", "Semicolon")], ids=["Korean", "French"]
)
def test_a_letter_is_understood_on_other_keyboards(reader: Reader, key: str, code: str) -> None:
    reader.tab.evaluate(
        "(key) => void document.dispatchEvent(new KeyboardEvent('keydown', key))",
        {"key": key, "code": code},
    )
    assert reader.pressed("mode") == "evaluation"


def test_a_key_with_a_modifier_is_left_to_the_browser(reader: Reader) -> None:
    reader.press("Control+ArrowRight")
    reader.press("Shift+ArrowDown")
    assert (reader.pressed("phase"), reader.text("#counter")) == ("forward", "1 / 10")


def test_tab_reaches_every_control_and_unit_with_a_focus_that_shows(reader: Reader) -> None:
    reached = set()
    for _ in range(60):
        reader.press("Tab")
        focus = reader.tab.evaluate(
            """(() => { const e = document.activeElement; const ring = e.querySelector?.('.focus');
                const name = e.getAttribute('aria-label') ?? e.textContent;
                const isSeen = ring ? getComputedStyle(ring).stroke !== 'none'
                    : parseFloat(getComputedStyle(e).outlineWidth) >= 2;
                return [e.dataset.unit ? e.dataset.arm + ' ' + e.dataset.unit : e.id
                    || e.dataset.value, name, isSeen]; })()"""
        )
        name, label, is_seen = focus
        if name is None:
            continue
        assert label
        assert is_seen, name
        reached.add(name)
    units = {f"{arm} {unit}" for arm in ARMS for unit in (*UNITS, "logit 0", "logit 1")}
    assert reached >= units | {"update", "after", "en", "ko", *PHASES, "training", "evaluation"}


def test_a_unit_is_read_when_it_is_touched_focused_or_entered(reader: Reader) -> None:
    reader.tab.click('.unit[data-arm="dropout"][data-unit="h2.3"]')
    assert reader.text('.reading[data-arm="relu"] .which') == "h2.3"
    reader.tab.focus('.unit[data-arm="relu"][data-unit="h2.1"]')
    assert reader.text('.reading[data-arm="dropout"] .which') == "h2.1"
    reader.press("6")
    reader.press("Enter")
    assert reader.text('.reading[data-arm="dropout"] .which') == "h2.1"


@pytest.mark.parametrize("quantity", ["z", "m", "h", "y", "gradient", "moved"])
def test_every_unit_shows_the_trace_s_value_in_every_training_pass(
    reader: Reader, trace: Trace, quantity: str
) -> None:
    reader.click("units", quantity)
    for step in range(10):
        shown = reader.values()
        for arm in ARMS:
            for layer, number in (("h1", 1), ("h2", 2), ("logits", 3)):
                for unit, value in enumerate(expected(trace, arm, layer, step, quantity)):
                    name = f"logit {unit}" if layer == "logits" else f"h{number}.{unit + 1}"
                    assert shown[arm, name] == value, (arm, name, step)
        reader.press("ArrowRight")


def expected(trace: Trace, arm: str, layer: str, step: int, quantity: str) -> list[str]:
    """What must stand at the units of a layer."""
    arrays = trace.arrays
    if quantity == "m":
        if arm == "relu" or layer == "logits":
            return ["–"] * len(arrays[f"{arm}/{layer}/z"][step])
        return [str(int(kept)) for kept in arrays[f"{arm}/{layer}/mask"][step]]
    if quantity == "moved":
        linear = {"h1": "linear1", "h2": "linear2", "logits": "linear3"}[layer]
        parts = [arrays[f"{arm}/{linear}.{kind}"].astype(np.float64) for kind in ("weight", "bias")]
        change = [part[step + 1] - part[step] for part in parts]
        squares = (change[0] ** 2).sum(1) + change[1] ** 2
        return [written(value) for value in np.sqrt(squares)]
    name = {"gradient": "gradient_z"}.get(quantity, quantity)
    return [written(value) for value in arrays[f"{arm}/{layer}/{name}"][step]]


@pytest.mark.parametrize(("phase", "later"), [("forward", 0), ("update", 1)])
def test_evaluation_mode_shows_the_same_sample_without_masks_before_and_after_an_update(
    reader: Reader, trace: Trace, phase: str, later: int
) -> None:
    reader.open(f"#update=1&mode=evaluation&units=y&phase={phase}")
    for step in range(10):
        shown, marks = reader.values(), reader.causes()
        sample = trace.arrays["sample"][step]
        for arm in ARMS:
            for unit in range(6):
                layer, index = f"h{unit // 3 + 1}", unit % 3
                z = trace.arrays[f"{arm}/{layer}/evaluation_z"][step + later, sample, index]
                y = z if arm == "dropout" else max(z, 0)
                assert shown[arm, UNITS[unit]] == written(y)
                look = "inactive" if arm != "dropout" and z <= 0 else "active"
                assert marks[arm, UNITS[unit]][0] == look
        reader.press("ArrowRight")


def test_every_unit_is_marked_by_cause_and_by_death_as_in_the_table_of_units(
    reader: Reader, trace: Trace
) -> None:
    letters = {"A": "active", "D": "dropped", "I": "inactive", "B": "both"}
    rows = {(row[0], row[1]): row[-1] for row in unit_rows(trace)}
    for step in range(10):
        marks = reader.causes()
        for (arm, unit), spelled in rows.items():
            look, is_dead = marks[arm, unit]
            if spelled[step] == "X":
                assert look in {"inactive", "both"}
                assert is_dead
            else:
                assert look == letters[spelled[step]]
        reader.press("ArrowRight")


def test_causes_differ_in_shape_and_hatch_as_well_as_in_colour(reader: Reader) -> None:
    looks = reader.tab.evaluate(
        """[...document.querySelectorAll('#legend li')].slice(0, 4).map((entry) => {
            const fill = entry.querySelector('.fill'), hatch = entry.querySelector('.hatch');
            return [fill.getAttribute('d'), getComputedStyle(fill).fill,
                getComputedStyle(hatch).fill]; })"""
    )
    for column in zip(*looks, strict=True):
        assert len(set(column)) == 4


def test_a_ribbon_counts_every_cause_over_all_updates(reader: Reader, trace: Trace) -> None:
    for row in unit_rows(trace):
        label = reader.tab.get_attribute(
            f'[data-arm="{row[0]}"] .ribbon[data-unit="{row[1]}"] .strip', "aria-label"
        )
        assert label
        counts = [re.search(rf"{cause} (\d+)", label) for cause in CAUSES]
        assert [match[1] for match in counts if match] == list(row[2:6])


def test_the_cross_entropy_worked_out_by_hand_is_the_loss_of_the_pass(
    reader: Reader, trace: Trace
) -> None:
    for step in range(10):
        for arm in ARMS:
            card = f'.by-hand[data-arm="{arm}"]'
            assert reader.text(f"{card} .result strong") == written(
                trace.arrays[f"{arm}/loss"][step]
            )
            logits = trace.arrays[f"{arm}/logits/z"][step].astype(np.float64)
            shares = np.exp(logits) / np.exp(logits).sum()
            cells = reader.tab.locator(f"{card} tbody td").all_inner_texts()
            assert cells == [
                written(value)
                for row in zip(logits, np.exp(logits), shares, strict=True)
                for value in row
            ]
        reader.press("ArrowRight")


def test_the_notebook_s_first_update_is_worked_out_to_its_four_digits(reader: Reader) -> None:
    """It printed 0.4905 from parameters that it printed to four digits: ours is off by 1e-4."""
    assert reader.text('.by-hand[data-arm="relu"] .result') == "L = −ln 0.6123 = 0.4906"
    assert reader.values()["relu", "logit 0"] == "−0.1454"
    assert reader.values()["relu", "logit 1"] == "0.3115"


def test_a_unit_is_read_from_z_to_y_and_back(reader: Reader, trace: Trace) -> None:
    reader.press("3")
    for step in range(10):
        for arm in ARMS:
            cells = reader.tab.locator(f'.reading[data-arm="{arm}"] .chain td').all_inner_texts()
            names = ("z", "h", "y", "gradient_z", "gradient_h", "gradient_y")
            values = (trace.arrays[f"{arm}/h1/{name}"][step, 2] for name in names)
            z, h, y, *gradients = (written(value) for value in values)
            mask = str(int(trace.arrays[f"{arm}/h1/mask"][step, 2]))
            m, scale = ("–", "–") if arm == "relu" else (mask, "2")
            assert cells[1:6] == [z, h, m, scale, y]
            assert [cells[6], cells[7], cells[10]] == gradients
        reader.press("ArrowRight")


@pytest.mark.parametrize(
    ("fragment", "arm", "sentence"),
    [
        (
            "#update=1&unit=h1.2",
            "relu",
            "Dead for all ten samples; its incoming weights have not moved since update 0.",
        ),
        (
            "#update=1&unit=h1.1",
            "relu+dropout",
            "Dropped in this pass; its weights stay as they are, and it will be back in update 2.",
        ),
        (
            "#update=1&unit=h1.2",
            "dropout",
            (
                "Dropped in this pass; its weights stay as they are, and it will be back in "
                "update 2. Its value was negative, so its zero is −0.0."
            ),
        ),
        (
            "#update=3&unit=h1.1",
            "relu",
            (
                "Closed by ReLU for this sample: z ≤ 0. "
                "In evaluation mode 9 of the ten samples open it."
            ),
        ),
        (
            "#update=1&unit=h1.1",
            "relu",
            (
                "Active: z > 0, so it passes z on and learns from this sample. "
                "Yet no gradient reaches it: every path from it to the loss is closed or dropped."
            ),
        ),
        (
            "#update=3&unit=h2.2",
            "relu+dropout",
            (
                "Active: z > 0, and kept in this pass. Multiplied by 2, it makes up for "
                "the dropped units. In evaluation mode it is dead for all ten samples. In this "
                "pass the h1 mask woke it, as 24 of the 80 pairs of mask and sample do."
            ),
        ),
        (
            "#update=4&unit=h1.2&phase=update",
            "relu",
            (
                "Dead for all ten samples; its incoming weights have not moved since update 0. "
                "In this update its incoming weights moved by exactly 0."
            ),
        ),
        (
            "#update=1&unit=h1.1&mode=evaluation",
            "relu+dropout",
            "Evaluation mode, z > 0: no mask, no scaling, y = h = z.",
        ),
    ],
)
def test_a_sentence_says_what_a_unit_is(
    reader: Reader, fragment: str, arm: str, sentence: str
) -> None:
    reader.open(fragment)
    assert reader.text(f'.reading[data-arm="{arm}"] .sentence') == sentence


def test_a_dropped_negative_is_shown_as_negative_zero(reader: Reader) -> None:
    """Update 1 of the Dropout network: h1 is (1.64, -6.72, 2.14), kept is the third alone."""
    card = '.vector[data-layer="h1"]'
    assert reader.tab.locator(f"{card} .before td").all_inner_texts() == [
        "1.6388",
        "−6.7244",
        "2.1392",
    ]
    assert reader.tab.locator(f"{card} .factor td").all_inner_texts() == ["× 0", "× 0", "× 2"]
    after = [text.strip() for text in reader.tab.locator(f"{card} .after td").all_inner_texts()]
    assert after == ["0", "−0.0", "4.2784"]


def test_a_button_leads_to_an_update_that_drops_a_negative(reader: Reader, trace: Trace) -> None:
    dropped = np.concatenate(
        [
            ~trace.arrays[f"dropout/{layer}/mask"] & (trace.arrays[f"dropout/{layer}/z"] < 0)
            for layer in ("h1", "h2")
        ],
        axis=1,
    ).any(1)
    without = int(np.flatnonzero(~dropped)[0]) + 1
    reader.open(f"#update={without}")
    reader.tab.click("#jump")
    there = int(reader.fragment()["update"])
    assert dropped[there - 1]
    assert "−0.0" in reader.text("#vector")


def test_lines_show_the_gradients_of_the_trace_and_nothing_where_they_are_zero(
    reader: Reader, trace: Trace
) -> None:
    reader.open("#update=3&lines=gradients")
    for arm in ARMS:
        signs = reader.tab.locator(f'.arm[data-arm="{arm}"] .line').evaluate_all(
            "lines => lines.map((line) => line.dataset.sign)"
        )
        gradients = np.concatenate(
            [trace.arrays[f"{arm}/gradient_linear{n}.weight"][2].ravel() for n in (1, 2, 3)]
        )
        names = {1: "positive", -1: "negative", 0: "zero"}
        assert signs == [names[int(sign)] for sign in np.sign(gradients)]
    dead = reader.tab.locator('.arm[data-arm="relu"] .line').nth(4)
    assert dead.locator("title").text_content() == "x1 → h1.2 · Gradients 0"


def test_the_answer_counts_what_happened_in_this_run(reader: Reader, trace: Trace) -> None:
    mask = np.concatenate([trace.arrays[f"dropout/{layer}/mask"] for layer in ("h1", "h2")], axis=1)
    dropped, back = int((~mask).sum()), int((~mask[:-1] & mask[1:]).sum())
    answer = reader.text(".answer")
    assert "What is the difference between dropout and a dead ReLU?" in answer
    assert f"switched a hidden unit off {dropped} times in 60 chances, and {back} times" in answer
    assert "ReLU h1.2, ReLU h2.2, ReLU + Dropout h1.2: from update 0 to 10" in answer
    assert "in the 10 updates since then the weights have moved by exactly 0 in total" in answer
    assert f"Exactly 0 while dropped: in {2 * dropped} of {2 * dropped} such passes" in answer
    parts = [trace.arrays[f"relu+dropout/linear2.{part}"][:, 1] for part in ("weight", "bias")]
    rows = np.concatenate([parts[0], parts[1][:, None]], axis=1).astype(np.float64)
    way = np.linalg.norm(np.diff(rows, axis=0), axis=1).sum()
    assert (
        "ReLU + Dropout h2.2 has been dead in evaluation mode since update 0, but 24 of 80"
        in answer
    )
    assert f"moved by {way:.4f} in total: judged in evaluation mode alone" in answer


def test_a_link_from_disk_leads_back_to_where_it_was_taken(reader: Reader) -> None:
    reader.press("ArrowRight", 4)
    reader.press("ArrowDown", 2)
    for key in ("m", "q", "q", "e", "5", "l"):
        reader.press(key)
    here = reader.tab.url
    before = (reader.fragment(), reader.values(), reader.text("#caption"))
    reader.open()
    assert reader.fragment() == {}
    reader.tab.goto("about:blank")
    reader.tab.goto(here)
    assert (reader.fragment(), reader.values(), reader.text("#caption")) == before
    assert before[0] == {
        "update": "5",
        "phase": "backward",
        "mode": "evaluation",
        "units": "m",
        "lines": "weights",
        "speed": "medium",
        "unit": "h2.2",
        "language": "ko",
        "section": "networks",
        "arm": "relu",
    }


def test_a_link_that_names_no_position_is_read_as_far_as_it_goes(reader: Reader) -> None:
    reader.open("#update=999&phase=sideways&unit=h9.9&units=<b>&mode=evaluation")
    assert reader.text("#counter") == "10 / 10"
    assert (reader.pressed("phase"), reader.pressed("mode")) == ("forward", "evaluation")


def test_a_new_fragment_in_the_open_page_is_followed(reader: Reader) -> None:
    reader.tab.evaluate("location.hash = '#update=6&phase=loss'")
    reader.tab.wait_for_function("document.querySelector('#counter').textContent === '6 / 10'")
    assert reader.pressed("phase") == "loss"


def test_korean_is_spoken_everywhere_and_english_again(reader: Reader) -> None:
    reader.click("language", "ko")
    assert reader.text("h1") == "왜 0일까?"
    assert reader.tab.get_attribute("html", "lang") == "ko"
    assert reader.tab.title() == "왜 0일까?"
    assert "Dropout과 Dead ReLU는 어떤 차이점이 있을까?" in reader.text(".answer")
    allowed = {"ReLU", "Dropout", "Dead", "English", "notebook", "softmax", "trace", "Tab", "Space"}
    words = set(re.findall(r"[A-Za-z]{3,}", reader.text("body")))
    assert words <= allowed | {"relu"}
    reader.click("language", "en")
    assert reader.text("h1") == "Why is it zero?"
    assert set(re.findall(r"[가-힣]+", reader.text("body"))) == {"한국어"}


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_every_position_can_be_drawn(reader: Reader, mode: str, language: str) -> None:
    """A word that is missing, or an index beyond the trace, would be an error on the console."""
    reader.open(f"#language={language}&mode={mode}")
    codes = ["ArrowDown"] * 39 + ["KeyQ", "KeyE", *(f"Digit{digit}" for digit in range(1, 9))] * 7
    texts = reader.tab.evaluate(
        """(codes) => codes.map((code) => {
            document.dispatchEvent(new KeyboardEvent('keydown', { code }));
            return document.querySelector('main').textContent; })""",
        codes,
    )
    assert len(set(texts)) > 39
    for text in texts:
        assert not re.search(r"undefined|null|NaN|[{}]", text)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_sticks_out_sideways(
    tab: "api.Page", path: Path, width: int, language: str
) -> None:
    with reading(tab, path, width=width) as reader:
        for fragment in ("#phase=loss", "#phase=update&update=3&unit=h1.1", "#mode=evaluation"):
            reader.open(f"{fragment}&language={language}")
            assert reader.tab.evaluate("document.documentElement.scrollWidth") <= width
            outside = reader.tab.evaluate(
                """[...document.querySelectorAll('body *')].filter((e) => !e.closest('.defs') &&
                    e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"""
            )
            assert outside == []


def test_the_three_networks_stand_side_by_side_on_a_wide_screen(reader: Reader) -> None:
    tops = reader.tab.locator(".network").evaluate_all(
        "all => all.map((one) => Math.round(one.getBoundingClientRect().top))"
    )
    assert len(tops) == 3
    assert len(set(tops)) == 1


def test_on_a_narrow_screen_update_and_phase_stay_in_reach_of_a_thumb(
    tab: "api.Page", path: Path
) -> None:
    with reading(tab, path, width=390) as reader:
        reader.tab.click("#tab-dropout")
        reader.tab.locator('.arm[data-arm="dropout"]').scroll_into_view_if_needed()
        reader.tab.click("#after")
        reader.click("phase", "backward")
        reader.tab.click('.unit[data-arm="dropout"][data-unit="h1.1"]')
        assert reader.fragment()["unit"] == "h1.1"
        assert reader.text("#counter") == "2 / 10"


@pytest.fixture
def phone(tab: "api.Page", path: Path) -> Iterator[Reader]:
    with reading(tab, path, width=390) as reader:
        yield reader


def visible(reader: Reader, selector: str) -> list[str]:
    """The ids of what is seen."""
    return reader.tab.evaluate(
        "(s) => [...document.querySelectorAll(s)].filter((e) => e.checkVisibility())"
        ".map((e) => e.id)",
        selector,
    )


PANELS = "main > section"
NAMES = {"relu": "ReLU", "relu+dropout": "ReLU + Dropout", "dropout": "Dropout"}
SECTIONS = ["panel-legend", "panel-networks", "panel-loss", "panel-vector", "panel-answer"]


def test_on_a_phone_one_section_and_one_network_are_shown_and_tabs_lead_to_the_others(
    phone: Reader,
) -> None:
    for section in SECTIONS:
        name = section.removeprefix("panel-")
        phone.tab.click(f"#tab-{name}")
        assert visible(phone, PANELS) == [section]
        assert phone.tab.evaluate("document.documentElement.scrollHeight") < 2700
        panel = phone.tab.get_by_role("tabpanel").first
        assert panel.get_attribute("id") == section
        assert phone.tab.get_attribute(f"#tab-{name}", "aria-controls") == section
    phone.tab.click("#tab-networks")
    for arm in ARMS:
        phone.tab.locator(f'[data-tab="{arm}"]').click()
        assert visible(phone, ".arm") == [f"panel-{arm}"]
        assert phone.tab.get_by_role("tabpanel", name=NAMES[arm], exact=True).count() == 1
    assert phone.fragment()["arm"] == ARMS[-1]


def test_on_a_phone_the_tabs_compare_the_units_of_all_three_networks(phone: Reader) -> None:
    phone.open("#update=3")
    marks = phone.causes()
    tabs = phone.tab.evaluate(
        """[...document.querySelectorAll('.arms [role=tab]')].map((tab) => [tab.dataset.tab,
            tab.getAttribute('aria-label'), [...tab.querySelectorAll('.mark')].map((mark) =>
            [mark.dataset.cause, mark.querySelector('.dead').getAttribute('visibility')])])"""
    )
    assert [arm for arm, _, _ in tabs] == list(ARMS)
    for arm, label, small in tabs:
        shown = [(look, dead == "visible") for look, dead in small]
        assert shown == [marks[arm, unit] for unit in UNITS]
        active = sum(look == "active" for look, _ in shown)
        assert f"{active} active" in label


def test_tabs_answer_to_their_own_keys(phone: Reader) -> None:
    phone.tab.focus("#tab-networks")
    for key, name in (
        ("ArrowRight", "loss"),
        ("End", "legend"),
        ("ArrowRight", "networks"),
        ("ArrowLeft", "legend"),
        ("Home", "networks"),
    ):
        phone.press(key)
        assert phone.tab.evaluate("document.activeElement.id") == f"tab-{name}"
        assert visible(phone, PANELS) == [f"panel-{name}"]
    assert phone.text("#counter") == "1 / 10"
    reachable = phone.tab.locator(".sections [tabindex='0']").evaluate_all("t => t.map(e => e.id)")
    assert reachable == ["tab-networks"]


def test_a_screen_that_becomes_wide_shows_everything(phone: Reader) -> None:
    phone.tab.set_viewport_size({"width": 1280, "height": 844})
    phone.tab.wait_for_function("!document.querySelector('[role=tabpanel]')")
    assert visible(phone, PANELS) == SECTIONS
    assert len(visible(phone, ".arm")) == len(ARMS)
    assert visible(phone, "[role=tablist]") == []


def test_on_a_phone_every_button_is_large_enough_for_a_finger(phone: Reader) -> None:
    assert phone.tab.get_attribute("#view", "open") is None
    phone.tab.focus("#update")
    phone.press("Tab")
    phone.tab.focus("#view summary")
    phone.press("Space")
    assert phone.tab.get_attribute("#view", "open") is not None
    small = phone.tab.evaluate(
        """[...document.querySelectorAll('button, summary')].filter((e) => e.checkVisibility() &&
            e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)"""
    )
    assert small == []


def test_whoever_wants_no_motion_gets_none(reader: Reader) -> None:
    reader.tab.emulate_media(reduced_motion="reduce")
    duration = reader.tab.locator(".line").first.evaluate(
        "line => getComputedStyle(line).transitionDuration"
    )
    reader.tab.emulate_media(reduced_motion="no-preference")
    assert set(duration.split(", ")) == {"0s"}


def test_what_has_changed_is_told_to_screen_readers(reader: Reader) -> None:
    assert reader.tab.get_attribute("#caption", "aria-live") == "polite"
    reader.press("ArrowRight")
    assert reader.text("#caption").startswith("Update 2 of 10.")
    assert reader.tab.get_attribute("#update", "aria-valuetext") == "update 2 of 10"
    label = reader.tab.get_attribute('.unit[data-arm="relu"][data-unit="h1.2"]', "aria-label")
    assert label == "ReLU, h1.2, inactive, dead, y 0"


def test_a_run_without_updates_shows_the_networks_as_born(
    tab: "api.Page", born: Trace, make_page: MakePage
) -> None:
    with reading(tab, make_page(born)) as reader:
        assert "made no updates" in reader.text("#notice")
        assert reader.pressed("mode") == "evaluation"
        reader.press("ArrowDown", 3)
        reader.press("ArrowRight")
        assert (reader.pressed("phase"), reader.text("#counter")) == ("loss", "0 / 0")
        assert reader.tab.is_disabled('[data-set="mode"][data-value="training"]')
        assert reader.tab.is_disabled('[data-set="phase"][data-value="update"]')
        assert reader.values()["relu", "h1.1"] == "1.6388"
        assert reader.causes()["relu", "h1.2"] == ("inactive", True)
        assert "Dead at the end" in reader.text(".answer")


def test_a_run_that_is_too_long_says_so_and_shows_its_beginning(
    tab: "api.Page", long: Trace, make_page: MakePage
) -> None:
    with reading(tab, make_page(long)) as reader:
        assert "250 updates, too many" in reader.text("#notice")
        reader.open("#update=200")
        assert reader.text("#counter") == "200 / 200"
        assert reader.tab.is_disabled("#after")


def test_without_dropout_the_page_says_that_nothing_was_dropped(
    tab: "api.Page", trace: Trace, make_page: MakePage
) -> None:
    with reading(tab, make_page(_without_dropout(trace), drop_rate=0.0)) as reader:
        assert "nothing was ever dropped" in reader.text(".answer")
        assert "With p = 0 nothing is dropped" in reader.text("#vector-text")


def _without_dropout(trace: Trace) -> Trace:
    kept = {
        name: np.ones_like(array) if name.endswith("/mask") else array
        for name, array in trace.arrays.items()
    }
    return Trace(kept, trace.histories)


def test_a_loss_that_blew_up_is_shown_as_what_it_is(
    tab: "api.Page", trace: Trace, make_page: MakePage
) -> None:
    logits = trace.arrays["dropout/logits/y"].copy()
    logits[4:] = np.nan
    loss = trace.arrays["dropout/loss"].copy()
    loss[4:] = np.inf
    broken = {**trace.arrays, "dropout/logits/y": logits, "dropout/loss": loss}
    with reading(tab, make_page(Trace(broken, trace.histories))) as reader:
        reader.open("#update=5&phase=loss")
        assert reader.values()["dropout", "logit 0"] == "NaN"
        assert "∞" in reader.text('.arm[data-arm="dropout"] .note')
