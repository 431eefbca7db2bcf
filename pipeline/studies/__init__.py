"""Published studies, done again: settings, published values and a figure each."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.studies import (
    dying,
    lu_born_dead,
    notebook,
    post,
    redo,
    srivastava_monte_carlo,
    srivastava_rate,
    srivastava_sparsity,
    srivastava_table2,
    uva_dead,
)
from pipeline.studies.study import Evidence, Findings, Network, Study

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "notebook": notebook.STUDY,
        "post": post.STUDY,
        "srivastava-table2": srivastava_table2.STUDY,
        "srivastava-monte-carlo": srivastava_monte_carlo.STUDY,
        "srivastava-rate": srivastava_rate.STUDY,
        "srivastava-sparsity": srivastava_sparsity.STUDY,
        "lu-born-dead": lu_born_dead.STUDY,
        "uva-dead": uva_dead.STUDY,
        "redo": redo.STUDY,
        "dying": dying.STUDY,
    }
)

__all__ = ["STUDIES", "Evidence", "Findings", "Network", "Study"]
