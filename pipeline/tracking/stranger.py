"""Loads a model as a stranger would, in a process of its own where this package is not to be had.

Run as a file: `python -I stranger.py ADDRESS BATCH.npy ANSWER.npy`. It writes what the model's
two flavours answer, stacked: shape (2, batch, classes). It must not import this package, and sees
to it that nothing does.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = "pipeline"


class _Blocked(MetaPathFinder):
    """Finds this package nowhere, even where it is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse this package, and leave every other to the finders that follow."""
        del path, target
        if fullname.partition(".")[0] == PACKAGE:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def answer(address: str, batch: str, target: str) -> None:
    """Load the model at this address and write its answers to a batch."""
    import mlflow.pyfunc  # noqa: PLC0415 - only once the package is blocked
    import mlflow.pytorch  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    images = np.load(batch, allow_pickle=False)
    with torch.no_grad():
        plain = mlflow.pytorch.load_model(address)(torch.from_numpy(images)).numpy()
    # On the CPU, or MLflow takes a GPU where there is one, and the graph stays on the CPU.
    generic = mlflow.pyfunc.load_model(address, model_config={"device": "cpu"}).predict(images)
    np.save(target, np.stack([plain, generic]), allow_pickle=False)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Blocked())
    answer(*sys.argv[1:])
