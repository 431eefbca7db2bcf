"""How many small faults the tests notice: `python tests/mutants.py --sample 300`.

A seeded sample of the code's mutants, one operator, constant or condition changed in each. Every
mutant is given to the tests of its room in a copy of the tree; it is killed if one of them fails
or none comes to an end in time. Survivors are printed: a test is missing, or they mean the same.
"""

import ast
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import hypothesis  # noqa: F401 what takes long to import is imported before the forks
import numpy as np  # noqa: F401
import pytest
import torch

Place = Callable[[ast.AST], tuple[int, int]]

ROOT = Path(__file__).parent.parent
SOURCES = ("why_zero", "pipeline/training", "pipeline/records")
COPIED = ("why_zero", "pipeline", "tests", "benchmarks", "examples", "docs")
# The tests of the modules that are arithmetic on tensors and counts; those of the module itself
# come first. Other rooms and modules have all tests of their folder.
PURE = ("causes", "states", "identities", "records")
OF_PURE = (
    "tests/why_zero/test_identities.py",
    "tests/training/test_planted.py",
    "tests/records/test_records.py",
    "tests/training/test_measure.py",
    *(f"tests/why_zero/test_{name}.py" for name in ("reference", "planted", "census", "findings")),
)
OF_TRAINING = tuple(
    f"tests/training/test_{name}.py"
    for name in (
        *("planted", "loop", "measure", "masks", "stack", "mask_dead", "cause_map"),
        *("input_dropout", "recycle"),
    )
)
# Without worker processes, and slow tests: these are not what single faults are found by.
PYTEST = ("-x", "-q", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider")
PYTEST += ("-m", "not (slow or kill or server or browser)", "--hypothesis-seed=0", "--tb=no")
PYTEST += ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # hypothesis is imported already

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One changed expression of one file: bytes from `start` to `end` become `text`."""

    path: str
    line: int
    start: int
    end: int
    before: str
    text: str

    def __str__(self) -> str:
        before, text = (" ".join(code.split())[:90] for code in (self.before, self.text))
        return f"{self.path}:{self.line}  {before}  →  {text}"


@click.command()
@click.option("--sample", default=300, show_default=True, help="How many mutants to try.")
@click.option("--seed", default=0, show_default=True, help="Which they are.")
@click.option("--skip", default=0, help="How many of the sample have been tried already.")
@click.option("--minutes", default=math.inf, help="Stop after so many.")
@click.option("--but", multiple=True, help="A file to leave alone.")
@click.argument("sources", nargs=-1)
def main(
    sources: tuple[str, ...],
    *,
    sample: int,
    seed: int,
    skip: int,
    minutes: float,
    but: tuple[str, ...],
) -> None:
    """Mutate SOURCES, files or folders: show the fate of every mutant, and the score."""
    files = sorted({file for source in sources or SOURCES for file in files_of(source)} - set(but))
    every = [mutant for file in files for mutant in mutants(file)]
    chosen = random.Random(seed).sample(every, min(sample, len(every)))  # noqa: S311 no secret
    click.echo(f"{len(chosen)} of {len(every)} mutants of {len(files)} files, seed {seed}")
    until = time.monotonic() + 60 * minutes
    fates: dict[str, list[Mutant]] = {"killed": [], "out of time": [], "survived": []}
    limits: dict[tuple[str, ...], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for number, mutant in enumerate(chosen[skip:], skip + 1):
            if time.monotonic() > until:
                break
            tests = tests_of(mutant.path)
            if tests not in limits:
                started = time.monotonic()
                if outcome(copy, tests, limit=1800) != "survived":
                    raise click.ClickException(f"without a mutant, too, {' '.join(tests)} fail")
                limits[tests] = 30 + 4 * (time.monotonic() - started)
            file = copy / mutant.path
            source = file.read_bytes()
            file.write_bytes(source[: mutant.start] + mutant.text.encode() + source[mutant.end :])
            fate = outcome(copy, tests, limit=limits[tests])
            file.write_bytes(source)
            fates[fate].append(mutant)
            click.echo(f"{number:4} {fate:12} {mutant}")
    tried = sum(map(len, fates.values()))
    killed = tried - len(fates["survived"])
    click.echo(f"killed {killed} of {tried} ({100 * killed / max(tried, 1):.0f} %); survivors:")
    for mutant in fates["survived"]:
        click.echo(f"  {mutant}")


def files_of(source: str) -> list[str]:
    """A file, or the Python files of a folder, as paths from the root."""
    place = ROOT / source
    files = place.rglob("*.py") if place.is_dir() else [place]
    return [file.relative_to(ROOT).as_posix() for file in files]


def tests_of(path: str) -> tuple[str, ...]:
    """The tests of the room, those of this module first."""
    room, name = Path(path).parent, Path(path).stem
    if room.as_posix() == "why_zero" and name in PURE:
        return OF_PURE
    within = room.relative_to("pipeline") if room.parts[0] == "pipeline" else Path("why_zero")
    first = (Path("tests") / within / f"test_{name}.py").as_posix()
    others = OF_TRAINING if within == Path("training") else (f"tests/{within}",)
    return tuple(dict.fromkeys((first, *others))) if (ROOT / first).exists() else others


def outcome(copy: Path, tests: tuple[str, ...], *, limit: float) -> str:
    """What these tests say of the tree as it is: killed, out of time or survived."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        sys.dont_write_bytecode = True  # a mutant of the same second would be taken for the last
        os.setsid()
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        os.chdir(copy)
        sys.path[0] = str(copy)
        os._exit(pytest.main([*PYTEST, *tests], plugins=[Unplantable()]))
    until = time.monotonic() + limit
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if status == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "out of time"


class Unplantable:
    """A planted bug whose place the mutant has taken says nothing about the mutant."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        message = str(call.excinfo.value) if call.excinfo else ""
        if "must hold" in message and "once" in message:
            report.outcome, report.longrepr = "skipped", ("", 0, "no place to plant it")
        return report


def mutants(path: str) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its text."""
    source = (ROOT / path).read_bytes()
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))

    def at(node: ast.AST) -> tuple[int, int]:
        return (
            lines[node.lineno - 1] + node.col_offset,
            lines[node.end_lineno - 1] + node.end_col_offset,
        )

    for node in code_of(ast.parse(source)):
        start, end = at(node)
        before = source[start:end].decode()
        for text in changes(node, before, source, at):
            yield Mutant(path, node.lineno, start, end, before, text)


def changes(  # noqa: C901 one case for each kind of node
    node: ast.AST, before: str, source: bytes, at: Place
) -> Iterator[str]:
    """What a piece of code is changed to, if to anything."""

    def text(part: ast.AST) -> str:
        start, end = at(part)
        return source[start:end].decode()

    match node:
        case ast.BinOp(one, sign, other) | ast.Compare(one, [sign], [other]) if (
            type(sign) in SWAPPED
        ):
            yield f"({text(one)}) {SIGNS[SWAPPED[type(sign)]]} ({text(other)})"
        case ast.AugAssign(one, sign, other) if type(sign) in SWAPPED:
            yield f"{text(one)} {SIGNS[SWAPPED[type(sign)]]}= ({text(other)})"
        case ast.BoolOp(sign, values):
            yield f" {SIGNS[SWAPPED[type(sign)]]} ".join(f"({text(value)})" for value in values)
        case ast.UnaryOp(ast.Not() | ast.Invert() | ast.USub(), operand):
            yield f"({text(operand)})"
        case ast.IfExp(test, body, orelse):
            yield f"({text(orelse)}) if ({text(test)}) else ({text(body)})"
        case ast.If(test) | ast.While(test):
            keyword, _, rest = before.partition(" ")
            yield f"{keyword} not ({text(test)}){rest.removeprefix(text(test))}"
        case ast.Constant(value):
            yield from constants(value, before)
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"
        case ast.Continue() | ast.Break():
            yield "pass"


def constants(value: object, before: str) -> Iterator[str]:
    """Another truth, the next whole number, another fraction; texts are left alone."""
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, float):
        yield f"({before} * 2 + 1)"


SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
    ast.And: "and", ast.Or: "or", ast.BitAnd: "&", ast.BitOr: "|",
}  # fmt: skip


def code_of(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that do something: no annotations, decorators, messages or type aliases."""
    for field, value in ast.iter_fields(tree):
        if field in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.Raise | ast.JoinedStr):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if hasattr(node, "lineno"):
                yield node
            yield from code_of(node)


if __name__ == "__main__":
    main()
