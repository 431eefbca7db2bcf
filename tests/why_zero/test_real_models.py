"""The probe on models that people use, against an oracle that looks one level deeper.

The oracle is a dispatch mode: it sees the kernels that torch runs, so it reads each mask from the
`bernoulli_` that drew it, and knows of no module, function or memory. It keeps whole tensors, and a
dropout belongs to the activation whose output has the same values.

Models are built small, with random weights: nothing is downloaded.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from why_zero import WatchedLayer, ZeroProbe

pytestmark = pytest.mark.slow

Inputs = dict[str, Tensor]
Built = tuple[nn.Module, Inputs]

aten = torch.ops.aten
RELUS = {aten.relu, aten.relu_, aten.clamp_min, aten.clamp_min_}
BOUNDED = {aten.hardtanh, aten.hardtanh_, aten.clamp, aten.clamp_}
SOFT = {
    *(aten.gelu, aten.tanh, aten.silu, aten.silu_, aten.sigmoid, aten.sigmoid_),
    *(aten.hardswish, aten.hardswish_, aten.hardsigmoid, aten.hardsigmoid_),
}


@dataclass
class Seen:
    """An activation with the dropout on its output, or a dropout alone."""

    where: str
    values: Tensor  # as they are without dropout
    has_hard_zeros: bool
    keep: Tensor | None = None
    drop_rate: float = 0.0


@dataclass
class Oracle(TorchDispatchMode):
    """Keeps what every activation and dropout of one pass saw and gave.

    Attributes:
        pooled: modules whose dropout works on pooled ReLUs, which a person has to tell.
    """

    module: nn.Module
    pooled: Sequence[str] = ()
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._noises: list[tuple[Tensor, float]] = []
        self._calling = [""]
        self._is_blind = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A block in which it also knows the innermost module, and looks away inside attention."""
        hooks = []
        for path, part in self.module.named_modules():
            hooks += [
                part.register_forward_pre_hook(lambda *_, path=path: self._calling.append(path)),
                part.register_forward_hook(lambda *_: self._calling.pop() and None),
            ]
        attention = F.scaled_dot_product_attention
        with pytest.MonkeyPatch.context() as patch, self:
            patch.setattr(F, "scaled_dot_product_attention", self._unseen(attention))
            yield
        for hook in hooks:
            hook.remove()

    def _unseen(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*args: object, **kwargs: object) -> Tensor:
            self._is_blind = True
            try:
                return function(*args, **kwargs)
            finally:
                self._is_blind = False

        return call

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        kind, kwargs = func.overloadpacket, kwargs or {}
        is_relu = kind in RELUS or (kind in BOUNDED and args[1:2] == (0,))
        is_activation = (is_relu or kind in SOFT) and args[0].is_floating_point()
        x = args[0].clone() if is_activation or kind is aten.mul else None
        result = func(*args, **kwargs)
        if self._is_blind:
            return result
        if kind is aten.bernoulli_:
            self._noises.append((args[0], 1 - (args[1:] or (0.5,))[0]))
        elif is_activation:
            assert not is_relu or torch.equal(result == 0, x <= 0)
            self.seen.append(Seen(self._calling[-1], result.clone(), is_relu))
        elif kind is aten.mul and isinstance(args[1], Tensor):
            for noise, drop_rate in self._noises:
                # A mask of another size is the model's own: stochastic depth.
                if args[1] is noise and noise.shape == x.shape:
                    assert torch.equal(result == 0, (x == 0) | (noise == 0))
                    self._drop(x, noise != 0, drop_rate)
        return result

    def _drop(self, x: Tensor, keep: Tensor, drop_rate: float) -> None:
        last = next(
            (layer for layer in reversed(self.seen) if _is_same(layer.values, x)),
            None,
        )
        if last is None or last.keep is not None:
            where = self._calling[-1]
            last = Seen(where, x, where in self.pooled)
            self.seen.append(last)
        last.values, last.keep, last.drop_rate = x, keep, drop_rate


def _is_same(values: Tensor, x: Tensor) -> bool:
    return values.numel() == x.numel() and torch.equal(values.flatten(), x.flatten())


def counted(layer: Seen, *, features_last: str) -> list[list[int]]:
    """Active, dropped, inactive, both and unexplained of every unit, one unit after the other."""
    values = layer.values
    keep = torch.ones_like(values, dtype=torch.bool) if layer.keep is None else layer.keep
    # Channels of images, heads of attention; features else.
    is_image = values.dim() == 4 and not layer.where.endswith(features_last)
    axis = 1 if is_image else values.dim() - 1
    counts = []
    for unit in range(values.shape[axis]):
        is_zero, is_kept = values.select(axis, unit) == 0, keep.select(axis, unit)
        closed = int((is_zero & is_kept).sum())
        counts.append(
            [
                int((~is_zero & is_kept).sum()),
                int((~is_zero & ~is_kept).sum()),
                closed if layer.has_hard_zeros else 0,
                int((is_zero & ~is_kept).sum()),
                0 if layer.has_hard_zeros else closed,
            ]
        )
    return counts


def by_channel(counts: list[list[int]], channels: int) -> list[list[int]]:
    """Counts by feature of a flattened image, put together for every channel."""
    positions = len(counts) // channels
    rows = [counts[k * positions : (k + 1) * positions] for k in range(channels)]
    return [list(map(sum, zip(*row, strict=True))) for row in rows]


def found(layer: WatchedLayer) -> list[list[int]]:
    """What the probe counted, as `counted` gives it."""
    causes = layer.causes
    rows = (causes.active, causes.dropped, causes.inactive, causes.both, causes.unexplained)
    return [list(unit) for unit in zip(*(row.tolist() for row in rows), strict=True)]


def t5(**settings: str) -> Built:
    transformers = needs("transformers")
    config = transformers.T5Config(
        vocab_size=60,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.2,
        decoder_start_token_id=0,
        **settings,
    )
    model = transformers.T5ForConditionalGeneration(config)
    return model, {"input_ids": tokens(60), "labels": tokens(60, seed=1)}


def opt(**settings: str) -> Built:
    transformers = needs("transformers")
    config = transformers.OPTConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        ffn_dim=24,
        num_attention_heads=2,
        max_position_embeddings=32,
        word_embed_proj_dim=16,
        dropout=0.2,
        attention_dropout=0.1,
        **settings,
    )
    return transformers.OPTForCausalLM(config), {"input_ids": tokens(60), "labels": tokens(60)}


def bert(**settings: str) -> Built:
    transformers = needs("transformers")
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        hidden_dropout_prob=0.2,
        attention_probs_dropout_prob=0.1,
        **settings,
    )
    model = transformers.BertForSequenceClassification(config)
    return model, {"input_ids": tokens(60), "labels": torch.tensor([0, 1, 1])}


def resnet18() -> Built:
    return needs("torchvision").models.resnet18(weights=None, num_classes=5), {"x": images(32)}


def alexnet() -> Built:
    return needs("torchvision").models.alexnet(weights=None, num_classes=5), {"x": images(64)}


def googlenet() -> Built:
    models = needs("torchvision").models
    model = models.googlenet(weights=None, num_classes=5, aux_logits=True, init_weights=False)
    return model, {"x": images(32)}


def convnext(name: str) -> Built:
    model = needs("timm").create_model(
        name,
        depths=(1, 1, 1, 1),
        dims=(8, 12, 16, 20),
        num_classes=5,
        drop_rate=0.3,
        drop_path_rate=0.2,
    )
    return model, {"x": images(64)}


def mobilenet() -> Built:
    model = needs("timm").create_model("mobilenetv3_small_050", num_classes=5, drop_rate=0.3)
    return model, {"x": images(32)}


def vit() -> Built:
    model = needs("timm").create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        embed_dim=24,
        depth=2,
        num_heads=2,
        num_classes=5,
        drop_rate=0.1,
        pos_drop_rate=0.1,
        proj_drop_rate=0.2,
        attn_drop_rate=0.1,
    )
    return model, {"x": images(32)}


def needs(library: str) -> ModuleType:
    return pytest.importorskip(library, reason=f"needs {library}: pip install '.[models]'")


def tokens(vocabulary: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(3, vocabulary, (3, 7), generator=source)


def images(size: int) -> Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Case:
    """A model, and what a person who reads it expects.

    Attributes:
        build: the model and what its pass is given.
        layers: some of the layers, as name: (activation, drop rate).
        noted: modules of which the notes must speak; of no other.
        pooled: modules whose dropout works on pooled ReLUs.
        features_last: modules that see features as the last of four axes.
    """

    build: Callable[[], Built]
    layers: Mapping[str, tuple[str | None, float]]
    noted: Sequence[str] = ()
    pooled: Sequence[str] = ()
    features_last: str = "nothing"


EAGER, FUSED = {"attn_implementation": "eager"}, {"attn_implementation": "sdpa"}
T5_LAYERS = {
    "encoder.dropout": (None, 0.2),
    "encoder.block.1.layer.1.DenseReluDense.act": ("relu", 0.2),
    "decoder.block.0.layer.2.DenseReluDense.act": ("relu", 0.2),
    "decoder.block.1.layer.2.dropout": (None, 0.2),
    "decoder.dropout#2": (None, 0.2),
}
OPT_LAYERS = {
    "model.decoder.layers.0.dropout": (None, 0.2),
    "model.decoder.layers.1.activation_fn": ("relu", 0.0),
    "model.decoder.layers.1.dropout#2": (None, 0.2),
}
BERT_LAYERS = {
    "bert.embeddings.dropout": (None, 0.2),
    "bert.encoder.layer.0.intermediate.intermediate_act_fn": ("gelu", 0.0),
    "bert.encoder.layer.1.output.dropout": (None, 0.2),
    "bert.pooler.activation": ("tanh", 0.2),
}
CONVNEXT_LAYERS = {"stages.3.blocks.0.mlp.act": ("gelu", 0.0), "head.drop": (None, 0.3)}
CASES = {
    "T5, attention in the open": Case(
        lambda: t5(**EAGER),
        {**T5_LAYERS, "decoder.block.1.layer.1.EncDecAttention.dropout": (None, 0.2)},
    ),
    "T5, fused attention": Case(
        lambda: t5(**FUSED),
        T5_LAYERS,
        noted=[
            *(f"encoder.block.{block}.layer.0.SelfAttention" for block in range(2)),
            *(f"decoder.block.{block}.layer.0.SelfAttention" for block in range(2)),
            *(f"decoder.block.{block}.layer.1.EncDecAttention" for block in range(2)),
        ],
    ),
    "OPT, attention in the open": Case(
        lambda: opt(**EAGER),
        {**OPT_LAYERS, "model.decoder.layers.0.self_attn.dropout": (None, 0.1)},
    ),
    "OPT, fused attention": Case(
        lambda: opt(**FUSED),
        OPT_LAYERS,
        noted=[f"model.decoder.layers.{layer}.self_attn" for layer in range(2)],
    ),
    "BERT, attention in the open": Case(
        lambda: bert(**EAGER),
        {**BERT_LAYERS, "bert.encoder.layer.0.attention.self.dropout": (None, 0.1)},
    ),
    "BERT, fused attention": Case(
        lambda: bert(**FUSED),
        BERT_LAYERS,
        noted=[f"bert.encoder.layer.{layer}.attention.self" for layer in range(2)],
    ),
    "ResNet18": Case(
        resnet18,
        {"relu": ("relu", 0.0), "layer1.0.relu": ("relu", 0.0), "layer4.1.relu#2": ("relu", 0.0)},
    ),
    "AlexNet": Case(
        alexnet,
        {
            "features.11": ("relu", 0.0),
            "classifier.0": (None, 0.5),
            "classifier.2": ("relu", 0.5),
            "classifier.5": ("relu", 0.0),
        },
        pooled=["classifier.0"],
    ),
    "GoogLeNet": Case(
        googlenet,
        {
            "inception3a.branch2.1.relu": ("relu", 0.0),
            "aux1.relu": ("relu", 0.7),
            "dropout": (None, 0.2),
        },
        pooled=["dropout"],
    ),
    "ConvNeXt, channels first": Case(lambda: convnext("convnext_atto"), CONVNEXT_LAYERS),
    "ConvNeXt, channels last": Case(
        lambda: convnext("convnext_tiny"), CONVNEXT_LAYERS, features_last="mlp.act"
    ),
    "MobileNetV3": Case(
        mobilenet,
        {
            "blocks.0.0.se.act1": ("relu", 0.0),
            "blocks.0.0.se.gate": ("hardsigmoid", 0.0),
            "act2": ("hardswish", 0.3),
        },
    ),
    "ViT": Case(
        vit,
        {
            "pos_drop": (None, 0.1),
            "blocks.0.mlp.act": ("gelu", 0.2),
            "blocks.1.mlp.drop2": (None, 0.2),
        },
        noted=["blocks.0.attn", "blocks.1.attn"],
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def built(case: Case) -> Built:
    torch.manual_seed(0)
    return case.build()


def looked_into(case: Case, model: nn.Module, inputs: Inputs) -> list[Seen]:
    oracle = Oracle(model, case.pooled)
    torch.manual_seed(1)
    with oracle.watching():
        model(**inputs)
    return oracle.seen


def assert_counted_alike(
    layers: Mapping[str, WatchedLayer], seen: Sequence[Seen], *, features_last: str
) -> None:
    # torch draws nothing for a dropout at rate 0, so the oracle does not see it.
    idle = {
        name for name, layer in layers.items() if layer.activation is None and layer.drop_rate == 0
    }
    assert all(layers[name].causes.share("active") == 1 for name in idle)
    for (name, layer), expected in zip(
        ((name, layer) for name, layer in layers.items() if name not in idle), seen, strict=True
    ):
        assert name.startswith(expected.where)
        assert layer.has_hard_zeros == expected.has_hard_zeros, name
        assert layer.drop_rate == pytest.approx(expected.drop_rate), name
        assert found(layer) == by_channel(
            counted(expected, features_last=features_last), len(layer.unit_ids)
        ), name


@cases
def test_every_layer_of_a_model_is_counted_as_the_kernels_computed_it(case: Case) -> None:
    model, inputs = built(case)
    model.train()
    expected = looked_into(case, model, inputs)
    with ZeroProbe(model) as probe:
        torch.manual_seed(1)
        model(**inputs)
        model.eval()
        model(**inputs)
    evaluated = looked_into(case, model, inputs)
    assert_counted_alike(probe.layers, expected, features_last=case.features_last)
    assert_counted_alike(probe.evaluation_layers, evaluated, features_last=case.features_last)
    for name, (activation, drop_rate) in case.layers.items():
        layer = probe.layers[name]
        assert (layer.activation, layer.drop_rate) == (activation, drop_rate), name
    said = ("no rule explains", "no dropout function draws")  # true, and another test's matter
    notes = {name for name, why in probe.notes.items() if not any(part in why for part in said)}
    assert {name.rpartition(".")[0] for name in notes} == set(case.noted)


@cases
def test_a_model_trains_to_the_same_bits_with_a_probe_and_without(case: Case) -> None:
    model, inputs = built(case)
    plain, watched = copy.deepcopy(model), model
    expected = trained(plain, inputs)
    with ZeroProbe(watched):
        given = trained(watched, inputs)
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(given[name], value), name


def trained(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Everything that three steps leave: parameters, buffers, gradients, losses, the generator."""
    torch.manual_seed(1)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    left: dict[str, Tensor] = {}
    for step in range(3):
        optimizer.zero_grad()
        output = model(**inputs)
        loss = output.loss if hasattr(output, "loss") else sum(map(squares, outputs_of(output)))
        loss.backward()
        optimizer.step()
        left[f"loss {step}"] = loss.detach()
    left |= {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return (
        left
        | {f"gradient {name}": value for name, value in gradients.items()}
        | {"generator": torch.get_rng_state()}
    )


def outputs_of(output: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [output] if isinstance(output, Tensor) else output


def squares(tensor: Tensor) -> Tensor:
    return tensor.square().mean()


def test_stochastic_depth_is_noted() -> None:
    case = CASES["ConvNeXt, channels first"]
    model, inputs = built(case)
    with ZeroProbe(model) as probe:
        model(**inputs)
    assert any("drop_path" in name for name in probe.notes)
