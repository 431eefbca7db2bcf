"""The data sets known by name: classes, licences, digests and the layout of their files."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DIGITS = tuple(string.digits)
# EMNIST's classes are in the order of the character codes; most of its splits merge the cases of
# letters that look alike (Cohen et al. 2017, arXiv:1702.05373).
ALL = (*DIGITS, *string.ascii_uppercase, *string.ascii_lowercase)
MERGED = (*DIGITS, *string.ascii_uppercase, *"abdefghnqrt")
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
EMNIST_LICENCE = (
    "EMNIST: Cohen, Afshar, Tapson and van Schaik 2017, from NIST Special Database 19; "
    "see the authors' page for the terms"
)


@dataclass(frozen=True, kw_only=True)
class KnownSet:
    """What is known about a data set in advance.

    Attributes:
        classes: what each label stands for.
        licence: owner and terms of use.
        sha256: of the uncompressed train-images, train-labels, test-images and test-labels;
            None where no published digest could be verified.
        prefix: what its files' names start with as they are distributed.
        labels: the end of its label files' names, which tells their format.
        first_label: the number of the first class in its label files.
        is_transposed: whether its image files hold columns where others hold rows.
        torchvision: the class in torchvision.datasets; empty for a set in this package.
        calls: the arguments of that class, for each time it has to be called.
    """

    classes: tuple[str, ...]
    licence: str
    sha256: tuple[str, str, str, str] | None = None
    prefix: str = ""
    labels: str = "idx1-ubyte"
    first_label: int = 0
    is_transposed: bool = False
    torchvision: str = ""
    calls: tuple[Mapping[str, str | bool], ...] = ({},)


def _emnist(split: str, classes: tuple[str, ...], first_label: int = 0) -> KnownSet:
    """One split of EMNIST, whose files hold every image transposed."""
    return KnownSet(
        classes=classes,
        licence=EMNIST_LICENCE,
        prefix=f"emnist-{split}-",
        first_label=first_label,
        is_transposed=True,
        torchvision="EMNIST",
        calls=({"split": split, "train": True}, {"split": split, "train": False}),
    )


KNOWN: Mapping[str, KnownSet] = MappingProxyType(
    {
        "mnist": KnownSet(
            classes=DIGITS,
            licence="MNIST: Yann LeCun and Corinna Cortes, CC BY-SA 3.0",
            sha256=(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        "fashion-mnist": KnownSet(
            classes=FASHION,
            licence="Fashion-MNIST: Zalando SE 2017, MIT",
            sha256=(
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            torchvision="FashionMNIST",
        ),
        "kmnist": KnownSet(
            classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            licence="KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset (created by "
            "NIJL and others), doi:10.20676/00000341, CC BY-SA 4.0",
            torchvision="KMNIST",
        ),
        # Tested on all 60,000 images that were found again: that is what QMNIST was made for, and
        # its first 10,000 alone would repeat MNIST's test set (Yadav and Bottou 2019).
        "qmnist": KnownSet(
            classes=DIGITS,
            licence="QMNIST: Chhavi Yadav and Léon Bottou 2019, Facebook, Inc., BSD 3-clause",
            prefix="qmnist-",
            labels="idx2-int",
            torchvision="QMNIST",
            calls=({"what": "train"}, {"what": "test"}),
        ),
        "emnist-mnist": _emnist("mnist", DIGITS),
        "emnist-digits": _emnist("digits", DIGITS),
        "emnist-letters": _emnist("letters", tuple(string.ascii_lowercase), first_label=1),
        "emnist-balanced": _emnist("balanced", MERGED),
        "emnist-bymerge": _emnist("bymerge", MERGED),
        "emnist-byclass": _emnist("byclass", ALL),
    }
)
KNOWN_NAMES = tuple(KNOWN)


def class_names(dataset: str, count: int) -> tuple[str, ...]:
    """The names of a network's classes: those of the known set, otherwise numbers.

    Args:
        dataset: the name of the data set that the network was trained on.
        count: of the network's classes.
    """
    known = KNOWN[dataset].classes if dataset in KNOWN else ()
    return known if len(known) == count else tuple(str(label) for label in range(count))
