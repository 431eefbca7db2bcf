"""The weights and samples that the notebook "Dropout과 Dead Relu는 어떤 차이점이 있을까?" prints.

To four digits, as printed there.
"""

import numpy as np

from pipeline.records import Weights

# Sample and target in the order of use: the notebook's first update comes first,
# the others follow in the order in which its loader printed them.
SAMPLES: tuple[tuple[tuple[int, int, int, int], int], ...] = (
    ((6, 2, 3, 6), 1),
    ((7, 2, 6, 9), 1),
    ((6, 0, 7, 2), 0),
    ((5, 5, 6, 1), 1),
    ((1, 2, 3, 7), 0),
    ((2, 3, 7, 3), 0),
    ((5, 1, 8, 2), 1),
    ((6, 6, 8, 0), 1),
    ((3, 1, 0, 0), 1),
    ((4, 0, 4, 5), 0),
)

WEIGHTS: Weights = {
    name: np.array(values, dtype=np.float32)
    for name, values in {
        "linear1.weight": [
            [0.1225, 0.4039, -0.1940, 0.0353],
            [-0.4475, -0.2872, -0.4309, -0.3942],
            [0.0140, 0.2350, -0.0237, 0.3182],
        ],
        "linear1.bias": [0.4662, 0.1929, -0.2529],
        "linear2.weight": [
            [0.1620, 0.5245, -0.4796],
            [-0.4758, 0.1231, -0.4760],
            [-0.2737, 0.3361, -0.2157],
        ],
        "linear2.bias": [0.5407, 0.0119, 0.4214],
        "linear3.weight": [[0.4272, 0.0323, -0.1558], [-0.1122, -0.0859, 0.0664]],
        "linear3.bias": [-0.1454, 0.3115],
    }.items()
}
