"""Loads a model in a process of its own, where this package cannot be imported.

Run as a file: `python -I isolated_load.py ADDRESS BATCHES.npz ANSWERS.npz`. For each named batch it
writes what the model's two flavours answer, as `pytorch NAME` and `pyfunc NAME`; `example`, the
input stored with the model, is a batch as well, and comes back under its own name. If there was no
answer, two texts say so: `refused` by the signature or `failed`, and why. It must not import this
package, and makes sure that nothing else does.
"""

import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PACKAGES = {"pipeline", "why_zero"}


class _Blocked(MetaPathFinder):
    """Hides this package, even if it is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse this package, and leave all others to the finders that follow."""
        del path, target
        if fullname.partition(".")[0] in PACKAGES:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def rewrite(archive: Path) -> None:
    """Rewrite a zip with what Python's `zipfile` reads in it.

    MLflow looks for pickles with `zipfile`, torch has a reader of its own, and a file with two
    directories shows them different contents. Rewritten, it has one directory.
    """
    with zipfile.ZipFile(archive) as found:
        contents = {name: found.read(name) for name in found.namelist()}
    with zipfile.ZipFile(archive, "w") as written:
        for name, content in contents.items():
            written.writestr(name, content)


def answer(address: str, batches: str, target: str) -> None:
    """Load the model at this address and write its answers to the batches."""
    import mlflow.artifacts  # noqa: PLC0415 - only once the package is blocked
    import mlflow.pyfunc  # noqa: PLC0415
    import mlflow.pytorch  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.models import Model  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as temporary:
        folder = mlflow.artifacts.download_artifacts(address, dst_path=temporary)
        for archive in Path(folder).rglob("*.pt2"):
            rewrite(archive)
        network = mlflow.pytorch.load_model(folder)
        # On the CPU: MLflow would move the images to a GPU, but the graph stays on the CPU.
        generic = mlflow.pyfunc.load_model(folder, model_config={"device": "cpu"})
        example = Model.load(folder).load_input_example()
    flavours = {
        "pytorch": lambda batch: network(torch.from_numpy(batch)).numpy(),
        "pyfunc": generic.predict,
    }
    given, found = dict(np.load(batches, allow_pickle=False)), {}
    if isinstance(example, np.ndarray):
        given["example"] = found["example"] = example
    for name, batch in given.items():
        for flavour, ask in flavours.items():
            try:
                with torch.no_grad():
                    logits = ask(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                kind = "refused" if isinstance(error, MlflowException) else "failed"
                lines = str(error).strip().splitlines() or [type(error).__name__]
                logits = np.array([kind, lines[0][:300]])
            found[f"{flavour} {name}"] = logits
    np.savez(target, **found)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Blocked())
    answer(*sys.argv[1:])
