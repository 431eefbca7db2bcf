"""What a notebook shows of a probe: the report's table, with the causes as bars."""

import re

import torch
from torch import nn

from why_zero import ZeroProbe
from why_zero.report import html, text

X = torch.tensor([[1.0], [-1.0], [-1.0], [-1.0]])


def probed(drop_rate: float = 0.0) -> ZeroProbe:
    """Unit 0 passes one of four samples on, unit 1 the other three, units 2 to 11 none."""
    module = nn.Sequential(nn.Linear(1, 12), nn.ReLU(), nn.Dropout(drop_rate), nn.Linear(12, 2))
    with torch.no_grad():
        module[0].weight.zero_()
        module[0].weight[:2, 0] = torch.tensor([1.0, -1.0])
        module[0].bias.fill_(-0.5)
    with ZeroProbe(module) as probe:
        module(X)
    return probe


def widths(page: str) -> dict[str, float]:
    found = re.findall(r"<i class='(\w+)' style='width:([\d.]+)%'>", page)
    return {cause: float(width) for cause, width in found}


def test_the_bar_is_as_wide_as_the_shares_and_says_them_in_words() -> None:
    page = probed()._repr_html_()
    # 4 of the 48 values are above 0.
    assert widths(page) == {"inactive": 91.667, "active": 8.333}
    assert "aria-label='zero by ReLU alone 91.7%, active, not zero 8.3%'" in page
    assert widths(probed(1.0)._repr_html_()) == {"both": 91.667, "dropped": 8.333}


def test_every_cell_of_the_terminals_table_is_there() -> None:
    probe = probed()
    [layer] = probe.layers.values()
    page = probe._repr_html_()
    for head in text.HEADS:
        assert f">{head}</th>" in page
    for cell in (*text.cells(layer)[:-2], str(layer.passes)):
        assert f">{cell}</t" in page


def test_several_layers_have_a_last_row_for_all_of_them_and_one_alone_has_none() -> None:
    """12 units and 2 more, 4 samples each: 56 values."""
    module = nn.Sequential(nn.Linear(1, 12), nn.ReLU(), nn.Linear(12, 2), nn.ReLU())
    with ZeroProbe(module) as probe:
        module(X)
    page = probe._repr_html_()
    first, second = (layer.causes.zeros for layer in probe.layers.values())
    [(cells, words)] = re.findall(r"<tr class='all'>(.*?)(</tr>)", page)
    assert cells.startswith("<th scope='row'>all</th><td class='words'>")
    assert f"<td>{(first + second) / 56:.1%}</td>" in cells
    assert page.endswith(f"{words}</tbody></table></div></div>")
    assert page.count("<th scope='col' class='words'>") == 2
    assert probed()._repr_html_().count("<tr") == 2  # the heads and the layer


def test_silent_units_are_named_the_first_few_and_then_counted() -> None:
    assert ">2, 3, 4, 5, 6, 7 … (10)<" in probed()._repr_html_()
    assert html.named_units([3, 5]) == "3, 5"
    assert html.named_units([]) == "-"
    assert html.named_units([3, 5, 6, 7, 8, 9]) == "3, 5, 6, 7, 8, 9"


def test_notes_and_names_are_escaped() -> None:
    probe = probed()
    probe.notes["<img src=x>"] = "a & b"
    page = probe._repr_html_()
    assert "<b>&lt;img src=x&gt;</b>: a &amp; b" in page
    assert "<img" not in page


def test_it_takes_its_text_colour_from_the_notebook_and_loads_nothing() -> None:
    page = probed()._repr_html_()
    assert page.startswith("<div class='why-zero'>")
    assert not re.search(r"[{;]\s*color:", page)
    assert not re.search(r"https?:|url\(|@import|<script", page)


def test_without_a_pass_it_says_so() -> None:
    page = ZeroProbe(nn.ReLU())._repr_html_()
    assert "a probe must see a pass before it can report" in page
    assert "<table" not in page
