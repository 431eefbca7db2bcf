"""What was watched as a table for a terminal."""

from collections.abc import Mapping

from why_zero.records import WatchedLayer


def table(layers: Mapping[str, WatchedLayer]) -> str:
    """The shares of all pairs, a line a layer, for a terminal."""
    width = max([5, *map(len, layers)])
    lines = [f"{'layer':{width}}  active  dropped  inactive  both    zero   units   passes"]
    for name, layer in layers.items():
        causes = layer.causes
        lines.append(
            f"{name:{width}}  {causes.share('active'):6.1%}  {causes.share('dropped'):7.1%}  "
            f"{causes.share('inactive'):8.1%}  {causes.share('both'):6.1%}  "
            f"{causes.zero_share:6.1%}  {len(causes.active):5}  {layer.passes:6}"
        )
    return "\n".join(lines)
