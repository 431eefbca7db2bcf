"""No zero goes unaccounted for: what no rule explains is seen where it meets weights, and said."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import ZeroProbe
from why_zero._watch import calls, recorder, rules

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(2))


class Calls(nn.Module):
    """A module whose forward is the function given, and a last layer with weights."""

    def __init__(self, run: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.run = run
        torch.manual_seed(0)
        self.first, self.conv = nn.Linear(5, 8), nn.Conv2d(2, 4, 3)
        self.conv.bias.data[0] = -50.0  # a dead channel, so that whole windows are zero
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(self, *inputs)


class DropPath(nn.Module):
    """Stochastic depth, as many vision models write it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.new_empty(x.size(0), 1).bernoulli_(0.5)


NOBODY_S: dict[str, Callable[[Calls, Tensor], Tensor]] = {
    "mul": lambda s, x: s.first(x) * torch.bernoulli(torch.full((12, 8), 0.5)),
    "add": lambda s, x: F.relu(s.first(x)) + torch.zeros(12, 8),
    "where": lambda s, x: torch.where(s.first(x) > 0, s.first(x), 0.0),
    "maximum": lambda s, x: torch.maximum(s.first(x), torch.zeros(())),
    "clamp": lambda s, x: s.first(x).clamp(min=torch.tensor(0.0)),
    "gate": lambda s, x: s.first(x) * (s.first(x) > 0),
    "pad": lambda s, x: F.pad(s.first(x), (2, 2)),
    "masked_fill": lambda s, x: s.first(x).masked_fill(s.first(x) < 0, 0),
    "setitem": lambda s, x: _assigned(s.first(x)),
    "half": lambda s, x: (s.first(x) * 1e-6).half().float(),
    "drop path": lambda s, x: s.path(s.first(x)),
    "cell": lambda s, x: s.cell(x),
    "quantized": lambda s, x: F.relu(
        torch.quantize_per_tensor(s.first(x), 0.1, 10, torch.quint8)
    ).dequantize(),
}


def _assigned(h: Tensor) -> Tensor:
    h = h.clone()
    h[:, :3] = 0
    return h


@pytest.mark.filterwarnings("ignore")  # quantized tensors are deprecated
@pytest.mark.parametrize("name", sorted(NOBODY_S))
def test_zeros_that_no_rule_knows_are_unexplained_at_weights_and_at_the_output(name: str) -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        h = NOBODY_S[name](self, x)
        seen.append(int((h == 0).sum()))
        return self.last(h) if name in {"mul", "drop path"} else h

    seen: list[int] = []
    cell = nn.RNNCell(5, 8, nonlinearity="relu")
    module = Calls(forward, path=DropPath(), cell=cell, last=nn.Linear(8, 3))
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    [left] = probe.unexplained
    assert left.zeros == seen[0] > 0
    assert left.seen_at == ("last" if name in {"mul", "drop path"} else "the output")
    made_by = {"gate": "mul", "drop path": "mul in path", "half": "mul", "cell": "rnn_relu_cell"}
    assert left.made_by.startswith(made_by.get(name, name if name != "quantized" else ""))
    assert "no rule explains" in probe.notes[f"{left.made_by} (training)"]


@pytest.mark.parametrize("soft", [nn.Hardswish(), nn.Hardshrink(), nn.Softshrink()])
def test_exact_zeros_of_other_activations_stand_unexplained_in_their_row(soft: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(5, 8), soft, nn.Linear(8, 2))
    with torch.no_grad():
        module[0].weight.mul_(0.1)
        module[0].bias.copy_(torch.tensor([-9.0, 9.0] * 4) if isinstance(soft, nn.Hardswish) else 0)
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    zeros = int((soft(module[0](X)) == 0).sum())
    assert probe.causes()["1"].unexplained.sum() == probe.causes()["1"].zeros == zeros > 0
    assert probe.unexplained == []  # the row has them already


def test_zeros_that_come_in_are_unexplained_where_they_meet_the_first_weights() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU())
    with ZeroProbe(module, strict=True) as probe:
        module(torch.tensor([[[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]]))
    [left] = probe.unexplained
    assert (left.made_by, left.seen_at, left.share) == ("the module's input", "1", 0.5)


def test_zeros_that_are_given_to_weights_by_keyword_are_unexplained_there() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        return F.linear(input=x, weight=self.first.weight, bias=self.first.bias)

    module = Calls(forward)
    with ZeroProbe(module, strict=True) as probe:
        module(X.clamp(min=0.5) - 0.5)
    [left] = probe.unexplained
    assert (left.made_by, left.seen_at) == ("the module's input", "")
    assert left.zeros == int((X <= 0.5).sum())


def test_what_meets_several_weights_is_counted_once() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        return self.first(x) + self.other(x)

    x = X.clone()
    x[:, 0] = 0
    module = Calls(forward, other=nn.Linear(5, 8))
    with ZeroProbe(module, strict=True) as probe:
        module(x)
    assert [left.zeros for left in probe.unexplained] == [12]


def test_a_hook_that_writes_into_the_output_is_seen() -> None:
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    zeros: list[int] = []

    def edit(_: nn.Module, __: object, output: Tensor) -> None:
        zeros.append(int((output[:, :2] != 0).sum()))
        output.data[:, :2] = 0

    module[1].register_forward_hook(edit)
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    assert [(left.seen_at, left.zeros) for left in probe.unexplained] == [("2", zeros[0])]


@dataclass
class Output:
    logits: Tensor
    hidden: tuple[Tensor, ...]


def test_outputs_in_data_classes_and_dictionaries_are_looked_at() -> None:
    def forward(self: Calls, x: Tensor) -> Output:
        return Output(self.first(x), ({"h": self.first(x) * 0},))

    module = Calls(forward)
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    assert [left.zeros for left in probe.unexplained] == [96]


ORDINARY: dict[str, Callable[[Calls, Tensor], Tensor]] = {
    "pool": lambda s, x: F.max_pool2d(F.relu(s.conv(x)), 2),
    "adaptive": lambda s, x: F.adaptive_avg_pool2d(F.relu(s.conv(x)), 2),
    "mean": lambda s, x: F.relu(s.conv(x)).mean((2, 3)),
    "square": lambda s, x: F.relu(s.conv(x)) ** 2 / 3,
    "moves": lambda s, x: F.relu(s.conv(x)).permute(0, 2, 3, 1).flip(1)[:, 1:].flatten(1),
    "cat": lambda s, x: torch.cat([F.relu(s.conv(x)), F.dropout(F.relu(s.conv(x)))], 1),
    "stack": lambda s, x: torch.stack([F.relu(s.conv(x))] * 2).sum(0),
    "sum": lambda s, x: F.relu(s.conv(x)) + F.relu(s.conv(x) - 1) * 0.5,
    "both dropped": lambda s, x: F.dropout(F.relu(s.conv(x))) + F.dropout(F.relu(s.conv(x))),
    "product": lambda s, x: F.dropout(F.relu(s.conv(x))) * torch.sigmoid(s.conv(x)),
    "shuffle": lambda s, x: F.pixel_shuffle(F.dropout(F.relu(s.conv(x))), 2),
    "chunk": lambda s, x: F.dropout(F.relu(s.conv(x))).chunk(2, 1)[1],
    "upsample": lambda s, x: F.interpolate(F.relu(s.conv(x)), scale_factor=2),
    "dropped pool": lambda s, x: F.avg_pool2d(F.dropout(F.relu(s.conv(x)), 0.9), 2),
    "twice": lambda s, x: F.dropout(F.dropout(F.relu(s.conv(x)))),
    "index": lambda s, x: F.relu(s.conv(x))[torch.tensor([3, 1])],
    "type": lambda s, x: F.relu(s.conv(x)).double().contiguous(),
}


@pytest.mark.parametrize("name", sorted(ORDINARY))
def test_zeros_of_relus_and_dropouts_stay_explained_on_their_way(name: str) -> None:
    module = Calls(ORDINARY[name])
    with ZeroProbe(module, strict=True) as probe:
        assert int((module(IMAGES) == 0).sum()) > 0
    assert probe.unexplained == []
    assert probe.notes == {}


@pytest.mark.parametrize(
    ("name", "blinded"),
    [
        *(("pool", calls.POOLS), ("adaptive", calls.POOLS), ("upsample", calls.POOLS)),
        *(("mean", calls.REDUCTIONS), ("square", calls.KEEP_ZEROS), ("product", calls.KEEP_ZEROS)),
        *(("moves", calls.MOVES), ("shuffle", calls.MOVES), ("index", calls.MOVES)),
        *(("cat", calls.JOINS), ("stack", calls.JOINS), ("chunk", calls.SPLITS)),
        *(("sum", calls.SUMS), ("both dropped", calls.SUMS), ("type", calls.RESHAPES)),
        *(("pool", "relu"), ("twice", "dropout")),
    ],
    ids=lambda part: part if isinstance(part, str) else min(part),
)
def test_an_instrument_blinded_to_one_rule_reports_its_zeros_as_unexplained(
    name: str, blinded: str | set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if blinded == "dropout":
        monkeypatch.setattr(recorder, "dropout_of", lambda _: None)
    elif blinded == "relu":
        monkeypatch.setattr(recorder, "activation_of", lambda _: None)
    else:
        left = {call: rule for call, rule in rules._RULES.items() if call not in blinded}
        monkeypatch.setattr(rules, "_RULES", left)
        monkeypatch.setattr(recorder, "SPLITS", calls.SPLITS - set(blinded))
    module = Calls(ORDINARY[name])
    with ZeroProbe(module) as probe:
        zeros = int((module(IMAGES) == 0).sum())
    assert sum(left.zeros for left in probe.unexplained) == zeros > 0


def test_branches_in_other_threads_are_noted_as_not_seen() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda part: part(x), (self.a, self.b)))

    branch = lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU())  # noqa: E731
    module = Calls(forward, a=branch(), b=branch())
    with ZeroProbe(module) as probe:
        module(X)
    assert {"a", "b"} <= set(probe.notes)
    assert "in another thread" in probe.notes["a"]


def test_two_threads_that_use_the_module_are_two_passes() -> None:
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
    meeting = threading.Barrier(2)
    module[1].register_forward_hook(lambda *_: (meeting.wait(10), None)[1])
    with ThreadPoolExecutor(2) as pool, ZeroProbe(module, strict=True) as probe:
        outputs = [done.result() for done in [pool.submit(module, X), pool.submit(module, -X)]]
    assert probe.layers["1"].passes == 2
    assert probe.causes()["1"].zeros == sum(int((y == 0).sum()) for y in outputs)
    assert nn.Module.__call__ is nn.Module._wrapped_call_impl


CASTS: dict[str, Callable[[Tensor], Tensor]] = {
    "half": lambda h: (h * 1e-8).half().float(),
    "int": lambda h: (h * 0.1).to(torch.int32).float(),
    "double": lambda h: (h.double() * 1e-50).float(),
    "pool": lambda h: F.avg_pool1d(h * 1e-8, 2).to(torch.float16).float(),
}


@pytest.mark.parametrize("name", sorted(CASTS))
def test_zeros_that_a_cast_makes_of_what_dropout_kept_are_unexplained(name: str) -> None:
    module = Calls(lambda s, x: CASTS[name](F.dropout(s.first(x), 0.4)))
    with ZeroProbe(module, strict=True) as probe:
        torch.manual_seed(3)
        y = module(X)
    torch.manual_seed(3)
    keep = F.dropout(torch.ones(12, 8), 0.4) != 0
    keep = keep if name != "pool" else F.max_pool1d(keep.float(), 2) != 0
    assert probe.unexplained[0].zeros == int(((y == 0) & keep).sum()) > 0


def test_a_sum_of_a_dropped_and_an_undropped_relu_is_explained() -> None:
    module = Calls(lambda s, x: F.dropout(F.relu(s.first(x))) + F.relu(s.first(x) - 1))
    with ZeroProbe(module, strict=True) as probe:
        assert int((module(X) == 0).sum()) > 0
    assert probe.unexplained == []
