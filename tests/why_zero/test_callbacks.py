"""The callbacks in training loops of the real libraries, which need not be installed."""

# ruff: noqa: ANN401 so their types cannot be named either

import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from why_zero._watch import module_calls

# Small trainings on a CPU are what these libraries warn of, and of each other's old names.
pytestmark = pytest.mark.filterwarnings("ignore")

KINDS = ("zero", "dropped", "inactive", "both", "unexplained", "silent")
X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randint(3, (32,), generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No call of a module goes through a probe once training has ended, however it ended."""
    monkeypatch.chdir(tmp_path)
    yield
    assert nn.Module.__call__ is not module_calls._call


def hooks(module: nn.Module) -> list[object]:
    """Every hook that any part of the module carries."""
    return [
        hook
        for part in module.modules()
        for name, found in vars(part).items()
        if "hooks" in name and isinstance(found, dict)
        for hook in found.values()
    ]


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    left, right = one.state_dict(), other.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def for_lightning(*given: Any, **options: Any) -> Any:
    return import_module("why_zero.callbacks.lightning").ZeroProbeCallback(*given, **options)


def for_trainer(*given: Any, **options: Any) -> Any:
    return import_module("why_zero.callbacks.transformers").ZeroProbeCallback(*given, **options)


def warnings_of_ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("why_zero") and record.levelno >= logging.WARNING
    ]


@pytest.fixture(params=["lightning.pytorch", "pytorch_lightning"])
def library(request: pytest.FixtureRequest) -> Any:
    name = request.param.partition(".")[0]
    return pytest.importorskip(request.param, reason=f"needs {name}: pip install {name}")


def classifier(library: Any, run: Callable[[Any, Tensor], Tensor]) -> Any:
    """A LightningModule whose training step makes a pass like this."""

    class Classifier(library.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
            self.hooks_seen: list[object] = []

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            del index
            self.hooks_seen += hooks(self)
            return F.cross_entropy(run(self, batch[0]), batch[1])

        def validation_step(self, batch: list[Tensor], index: int) -> None:
            del index
            run(self, batch[0])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Classifier()


def whole(module: Any, x: Tensor) -> Tensor:
    return module(x)


def body(module: Any, x: Tensor) -> Tensor:
    return module.body(x)


def two_parts(module: Any, x: Tensor) -> Tensor:
    return module.body[3](F.relu(module.body[0](x)))


def failing(module: Any, x: Tensor) -> Tensor:
    y = module(x)
    if module.training and module.global_step == 1:
        raise ZeroDivisionError("the user's own")
    return y


def fit(library: Any, module: Any, *callbacks: Any) -> Any:
    loader = DataLoader(TensorDataset(X, TARGETS), batch_size=8)
    trainer = library.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(c, library.callbacks.Checkpoint) for c in callbacks),
    )
    torch.manual_seed(9)
    trainer.fit(module, loader, loader)
    return trainer


@pytest.mark.parametrize(("run", "layer"), [(whole, "body.1"), (body, "1")])
def test_lightning_trains_the_same_bits_and_logs_each_epoch(
    library: Any,
    run: Callable[[Any, Tensor], Tensor],
    layer: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain, watched = classifier(library, run), classifier(library, run)
    fit(library, plain)
    callback = for_lightning(every=1)
    trainer = fit(library, watched, callback)
    assert warnings_of_ours(caplog) == []
    assert_same_weights(watched, plain)
    assert watched.hooks_seen == hooks(watched) == []
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {f"why_zero/{kind}/body.1" for kind in KINDS} <= logged.keys()
    assert trainer.logged_metrics.keys() == logged.keys()
    # 32 samples of 8 units an epoch; where a part is called, the probe follows after one batch.
    epochs = [epoch.layers[layer].causes.pairs for epoch in callback.probe.history]
    assert epochs == ([256, 256] if run is whole else [192, 256])
    causes = callback.probe.history[-1].layers[layer].causes
    shares = [logged[f"why_zero/{kind}/body.1"] for kind in KINDS[1:4]]
    assert shares == pytest.approx(
        [counts.sum() / 256 for counts in (causes.dropped, causes.inactive, causes.both)]
    )
    # Lightning's trial of the validation loop came before.
    assert callback.probe.evaluation_layers[layer].causes.pairs == 512


def test_a_part_that_is_named_is_watched_from_the_first_batch(library: Any) -> None:
    callback = for_lightning("body", every=1, prefix="zeros/")
    # It ends the training with an error where there is no such metric.
    stopping = library.callbacks.EarlyStopping("zeros/zero/body.1", patience=9)
    trainer = fit(library, classifier(library, body), stopping, callback)
    assert [epoch.layers["1"].causes.pairs for epoch in callback.probe.history] == [256, 256]
    assert "zeros/dropped/body.1" in trainer.callback_metrics


def test_a_lightning_checkpoint_holds_nothing_of_a_probe(library: Any, tmp_path: Path) -> None:
    saved = []
    for callbacks in ([], [for_lightning(every=1)]):
        folder = tmp_path / str(len(callbacks))
        writer = library.callbacks.ModelCheckpoint(dirpath=folder, save_top_k=-1)
        fit(library, classifier(library, whole), writer, *callbacks)
        files = sorted(folder.glob("*.ckpt"))
        assert len(files) == 2
        assert not any(b"why_zero" in path.read_bytes() for path in files)
        saved.append(torch.load(files[0], weights_only=False))
    plain, watched = saved
    assert watched.keys() == plain.keys()
    assert list(watched["callbacks"]) == list(plain["callbacks"])
    for name, weight in plain["state_dict"].items():
        assert torch.equal(watched["state_dict"][name], weight)


def test_a_probe_is_gone_when_lightning_s_training_raises(library: Any) -> None:
    callback = for_lightning(every=1)
    with pytest.raises(ZeroDivisionError, match="the user's own"):
        fit(library, classifier(library, failing), callback)
    assert callback.probe.layers["body.1"].passes == 2


@pytest.mark.parametrize(
    ("run", "given", "expected"),
    [
        (whole, {"submodule": "nowhere"}, "without a probe: got AttributeError"),
        (two_parts, {}, "got calls of body.0, body.3: say which part"),
        # A name that Lightning keeps for itself.
        (whole, {"prefix": "/dataloader_idx_0/"}, "without this epoch's scalars: got Misconfig"),
    ],
)
def test_what_goes_wrong_in_the_callback_is_a_warning_and_lightning_trains_on(
    library: Any,
    run: Callable[[Any, Tensor], Tensor],
    given: dict[str, str],
    expected: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain, watched = classifier(library, run), classifier(library, run)
    fit(library, plain)
    fit(library, watched, for_lightning(**given))
    assert_same_weights(watched, plain)
    assert any(expected in said for said in warnings_of_ours(caplog))


TOKENS = torch.randint(30, (32, 5), generator=torch.Generator().manual_seed(3))


class Lines:
    """A data set as the Trainer takes it."""

    def __len__(self) -> int:
        return len(TOKENS)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return {"input_ids": TOKENS[place], "labels": TARGETS[place]}


def bert() -> Any:
    """A classifier with one layer, dropout and ReLU."""
    transformers = pytest.importorskip(
        "transformers", reason="needs transformers: pip install '.[transformers]'"
    )
    torch.manual_seed(4)
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=30,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=12,
            max_position_embeddings=8,
            hidden_act="relu",
            num_labels=3,
        )
    )


def hugging_face(model: Any, folder: Path, *callbacks: Any, **settings: Any) -> Any:
    pytest.importorskip("accelerate", reason="needs accelerate: pip install '.[transformers]'")
    transformers = pytest.importorskip("transformers")
    settings = {"report_to": "none", "save_strategy": "no", **settings}
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=8,
        logging_steps=2,
        use_cpu=True,
        disable_tqdm=True,
        seed=9,
        **settings,
    )
    return transformers.Trainer(
        model=model, args=arguments, train_dataset=Lines(), callbacks=list(callbacks)
    )


@pytest.mark.parametrize("submodule", [None, "bert"])
def test_the_trainer_trains_the_same_bits_and_logs_what_was_since_the_last_line(
    submodule: str | None, tmp_path: Path
) -> None:
    plain, watched = bert(), bert()
    hugging_face(plain, tmp_path).train()
    callback = for_trainer(submodule, every=1)
    trainer = hugging_face(watched, tmp_path, callback)
    trainer.train()
    assert_same_weights(watched, plain)
    assert not hooks(watched)
    layer = "bert.encoder.layer.0.intermediate.intermediate_act_fn"
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert len(lines) == 4
    names = {f"why_zero/{kind}/{layer}" for kind in KINDS}
    assert all(names <= line.keys() for line in lines)
    # Each line stands for two batches of 8 texts of 5 tokens: their mean is the share of all.
    whole_training = callback.probe.layers[layer.removeprefix(f"{submodule}.")].causes
    assert whole_training.pairs == 8 * 8 * 5 * 12
    mean = sum(line[f"why_zero/zero/{layer}"] for line in lines) / 4
    assert mean == pytest.approx(whole_training.zero_share)
    assert not any(name.startswith("why_zero") for name in trainer.state.log_history[-1])


def test_in_front_of_the_others_it_reaches_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow: pip install '.[pipeline]'")
    model = bert()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    trainer = hugging_face(model, tmp_path, report_to="mlflow")
    with for_trainer(every=1).add_to(trainer) as callback:
        trainer.train()
    (run,) = mlflow.search_runs(output_format="list")
    mlflow.end_run()
    layer = "bert.encoder.layer.0.intermediate.intermediate_act_fn"
    assert run.data.metrics[f"why_zero/zero/{layer}"] == pytest.approx(
        [line for line in trainer.state.log_history if "loss" in line][-1][f"why_zero/zero/{layer}"]
    )
    assert [other is callback for other in trainer.callback_handler.callbacks].index(True) == 0


def test_a_checkpoint_of_the_trainer_holds_nothing_of_a_probe(tmp_path: Path) -> None:
    model = bert()
    safetensors = pytest.importorskip("safetensors.torch")
    hugging_face(model, tmp_path / "a", save_strategy="epoch").train()
    hugging_face(bert(), tmp_path / "b", for_trainer(every=1), save_strategy="epoch").train()
    plain, watched = (tmp_path / name / "checkpoint-4" for name in "ab")
    assert sorted(path.name for path in watched.iterdir()) == sorted(
        path.name for path in plain.iterdir()
    )
    for path in watched.iterdir():
        # The log of the training has its scalars.
        assert b"why_zero" not in path.read_bytes() or path.name == "trainer_state.json"
    weights = [safetensors.load_file(path / "model.safetensors") for path in (plain, watched)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


class Failing:
    """A data set that ends a training."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        raise ZeroDivisionError("the user's own")


def test_a_probe_is_gone_when_the_trainer_raises_in_its_block(tmp_path: Path) -> None:
    model = bert()
    trainer = hugging_face(model, tmp_path)
    trainer.train_dataset = Failing()
    with (
        pytest.raises(ZeroDivisionError, match="the user's own"),
        for_trainer().add_to(trainer) as callback,
    ):
        trainer.train()
    assert callback.probe is not None


def test_what_goes_wrong_in_the_callback_is_a_warning_and_the_trainer_trains_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain, watched = bert(), bert()
    hugging_face(plain, tmp_path).train()
    hugging_face(watched, tmp_path, for_trainer("nowhere")).train()
    assert_same_weights(watched, plain)
    assert any("without a probe: got AttributeError" in said for said in warnings_of_ours(caplog))
