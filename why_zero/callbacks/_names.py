"""A metric has one name, whichever part of the module a probe watches."""

from collections.abc import Mapping


def within(path: str, scalars: Mapping[str, float]) -> dict[str, float]:
    """The scalars of a part by the names that they have in the whole: `net.relu` for `relu`."""
    if not path:
        return dict(scalars)
    named = ((name.rpartition("/"), value) for name, value in scalars.items())
    return {f"{kind}/{path}.{layer}": value for (kind, _, layer), value in named}
