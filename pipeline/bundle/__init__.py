"""A trained network and all that is known of it as self-contained files, written and verified."""

from pipeline.bundle.assemble import assemble
from pipeline.bundle.contents import Contents, Summary
from pipeline.bundle.convert import check_extra
from pipeline.bundle.layout import BundleError
from pipeline.bundle.read import Bundle, open_bundle
from pipeline.bundle.rebuild import Rebuilt, rebuild
from pipeline.bundle.write import new_bundle

__all__ = [
    "Bundle",
    "BundleError",
    "Contents",
    "Rebuilt",
    "Summary",
    "assemble",
    "check_extra",
    "new_bundle",
    "open_bundle",
    "rebuild",
]
