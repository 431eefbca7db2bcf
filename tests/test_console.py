"""What is shown on a terminal, and what where there is none."""

import re
import time

import pytest

from pipeline.console import Console, State, literal

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\]8;[^\x1b]*\x1b\\")
LONG = ("a name of a network", "p", "accuracy of all networks", "hidden zeros", "dead units")
ROW = ("p=0.2 s0 w=256-256-128-128", "0.2", "97.25 ± 0.25 %", "49.3 ± 3.0 %", "[red]5.6 %[/]")


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns with colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def lines(shown: str) -> list[str]:
    """Without colours and links."""
    return CODES.sub("", shown).splitlines()


@pytest.mark.usefixtures("_terminal")
def test_a_table_fits_the_terminal_without_cutting_a_cell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().table("Title", LONG, [ROW])
    shown = capsys.readouterr().out
    assert max(map(len, lines(shown))) <= 80
    for cell in ("w=256-256-128-128", "97.25", "49.3", "5.6"):
        assert cell in shown
    assert "…" not in shown


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table("Title", LONG, [ROW])
    [row] = [line for line in capsys.readouterr().out.splitlines() if "p=0.2" in line]
    assert row.split("  ")[-1].strip() == "5.6 %"
    assert "97.25 ± 0.25 %" in row


@pytest.mark.usefixtures("_terminal")
def test_colours_are_left_out_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Console().table("Title", LONG, [ROW])
    assert "\x1b[31m5.6 %" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Console().table("Title", LONG, [ROW])
    assert "\x1b[31m" not in capsys.readouterr().out


@pytest.mark.usefixtures("_terminal")
def test_an_address_can_be_clicked_on_a_terminal_and_stays_in_one_piece(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "http://127.0.0.1:5000/#/experiments/0/runs?" + "x" * 80
    Console().link("report:", address)
    shown = capsys.readouterr().out
    assert re.search(rf"\x1b]8;[^;]*;{re.escape(address)}\x1b\\", shown)
    assert lines(shown) == [f"report:       {address}"]
    monkeypatch.delenv("FORCE_COLOR")
    Console().link("report:", address)
    assert capsys.readouterr().out == f"report:       {address}\n"


@pytest.mark.usefixtures("_terminal")
def test_a_terminal_breaks_lines_between_words_and_a_pipe_nowhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "drop rate 0.2 has the highest accuracy " * 5
    Console().line(sentence)
    shown = lines(capsys.readouterr().out)
    assert max(map(len, shown)) <= 80
    assert " ".join(" ".join(shown).split()) == sentence.strip()
    monkeypatch.delenv("FORCE_COLOR")
    Console().line(sentence)
    assert capsys.readouterr().out == sentence + "\n"


@pytest.mark.usefixtures("_terminal")
def test_a_bar_shows_the_share_and_the_note_on_a_line_of_its_own_and_is_drawn_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[float] = []

    def state() -> State:
        asked.append(time.monotonic())
        return State(share=0.25, note="epoch 3 of 10 · about 2 min left")

    with Console().progress("training 18 networks", state):
        until = time.monotonic() + 20
        while len(asked) < 4 and time.monotonic() < until:
            time.sleep(0.05)
    assert len(asked) >= 4
    [bar, note] = lines(capsys.readouterr().out)[:2]
    assert re.fullmatch(r". training 18 networks [━╺]+ +25 % 0:00:0\d *", bar.strip())
    assert note.strip() == "epoch 3 of 10 · about 2 min left"


def test_in_a_pipe_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("training", lambda: State(0.5, "note")):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("_terminal")
def test_a_name_of_somebody_else_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It would set the window's title, or hide a line."""
    name = "a\x1b]0;title\x07\x9b2Kb\u00a0c"
    Console().line(f"{name}\nnext")
    assert capsys.readouterr().out == "a\\x1b]0;title\\x07\\x9b2Kb\u00a0c\nnext\n"
    assert literal(name) == "a\\x1b]0;title\\x07\\x9b2Kb\u00a0c"
