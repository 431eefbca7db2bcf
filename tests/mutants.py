"""How many small faults the tests notice: `python tests/mutants.py --sample 300`.

A seeded sample of the code's mutants, one operator, constant or condition changed in each. Every
mutant is given to those tests of its room that run its line, in a copy of the tree; it is killed if
one of them fails or they do not come to an end in time. Survivors are printed: a test is missing,
or they mean the same. What has been found is kept in `.mutants/`, and a second call goes on there.
"""

import ast
import contextlib
import functools
import gc
import hashlib
import importlib
import inspect
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import click
import hypothesis
import pytest
import torch

Place = Callable[[ast.AST], tuple[int, int]]

ROOT = Path(__file__).parent.parent
QUICK = 4.0  # seconds of tests that all mutants are given before any is given more
SLOW = 0.5  # seconds of a test
PATIENCE = 1800  # seconds, for those that wait forever
SOURCES = ("why_zero", "pipeline/training", "pipeline/records")
COPIED = ("why_zero", "pipeline", "tests", "benchmarks", "examples", "docs")
# What tests import is imported before the forks, if it is installed.
IMPORTED = (
    *("beartype", "jaxtyping", "matplotlib.colors", "numpy.testing", "pandas", "PIL.Image"),
    *("filelock", "safetensors.torch", "scipy.special", "scipy.stats", "torch.export"),
    *("torchvision", "hypothesis.extra.numpy", "torch._dynamo", "lightning", "transformers"),
    *("mlflow.utils.validation",),
)
# Without worker processes, and slow tests: these are not what single faults are found by.
PYTEST = ("-x", "-q", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider")
PYTEST += ("-m", "not (slow or kill or server or browser)", "--hypothesis-seed=0", "--tb=no")
PYTEST += ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # hypothesis is imported already
PYTEST += ("--hypothesis-profile=mutants",)

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
    """One changed expression of one file: bytes from `start` to `end` become `text`.

    Attributes:
        path: of the file, from the root.
        line: where it begins.
        lines: first and last of its statement without what is indented below; None outside of
            functions.
        start: first byte.
        end: behind the last byte.
        before: what stands there.
        text: what takes its place.
    """

    path: str
    line: int
    lines: tuple[int, int] | None
    start: int
    end: int
    before: str
    text: str

    def __str__(self) -> str:
        before, text = (" ".join(code.split())[:90] for code in (self.before, self.text))
        return f"{self.path}:{self.line}  {before}  →  {text}"

    def of(self, source: bytes) -> bytes:
        """The file's text with this mutant."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    @property
    def room(self) -> str:
        """The folder of its tests, below `tests/`."""
        return Path(self.path).parts[self.path.startswith("pipeline/")]


@dataclass(frozen=True)
class Seen:
    """What one test does.

    Attributes:
        seconds: how long it takes.
        lines: which lines of each file it runs.
    """

    seconds: float
    lines: dict[str, list[int]]


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: killed, out of time or survived; and the test that failed."""

    name: str
    by: str = ""


@click.command()
@click.option("--sample", default=300, show_default=True, help="How many mutants to try.")
@click.option("--seed", default=0, show_default=True, help="Which they are.")
@click.option("--minutes", default=math.inf, help="Stop after so many.")
@click.option("--but", multiple=True, help="A file to leave alone.")
@click.option("--again", is_flag=True, help="Try those that have survived once more.")
@click.option("--kept", default=ROOT / ".mutants", type=click.Path(path_type=Path), help="Where.")
@click.argument("sources", nargs=-1)
def main(
    sources: tuple[str, ...],
    *,
    sample: int,
    seed: int,
    minutes: float,
    but: tuple[str, ...],
    again: bool,
    kept: Path,
) -> None:
    """Mutate SOURCES, files or folders: show the fate of every mutant, and the score."""
    files = sorted({file for source in sources or SOURCES for file in files_of(source)} - set(but))
    every = [mutant for file in files for mutant in mutants(file)]
    chosen = random.Random(seed).sample(every, min(sample, len(every)))  # noqa: S311 no secret
    click.echo(f"{len(chosen)} of {len(every)} mutants of {len(files)} files, seed {seed}")
    kept.mkdir(exist_ok=True)
    fates = known(kept / "fates.jsonl")
    until = time.monotonic() + 60 * minutes
    hypothesis.settings.register_profile(
        "mutants", database=None, phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate)
    )
    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    due = [
        mutant
        for mutant in chosen
        if (fate := fates.get(key_of(mutant))) is None or (again and fate.name == "survived")
    ]
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder), kept)
        for budget in (QUICK, math.inf):
            for room in dict.fromkeys(mutant.room for mutant in due):
                of_room = [mutant for mutant in due if mutant.room == room]
                decided = copy.decide(of_room, until, budget=budget)
                due = [mutant for mutant in due if key_of(mutant) not in decided]
    fates = known(kept / "fates.jsonl")
    tell([(mutant, fates[key_of(mutant)]) for mutant in chosen if key_of(mutant) in fates])


def tell(tried: Sequence[tuple[Mutant, Fate]]) -> None:
    """Show each mutant and its fate, the score of each room and of all, and the survivors."""
    for number, (mutant, fate) in enumerate(tried, 1):
        click.echo(f"{number:4} {fate.name:12} {mutant}  {fate.by}")
    rooms = dict.fromkeys(mutant.room for mutant, _ in tried)
    for room in (*rooms, ""):
        of_room = [fate for mutant, fate in tried if room in {mutant.room, ""}]
        killed = sum(fate.name != "survived" for fate in of_room)
        share = 100 * killed / max(len(of_room), 1)
        click.echo(f"{room or 'all'}: killed {killed} of {len(of_room)} ({share:.1f} %)")
    click.echo("survivors:")
    for mutant, fate in tried:
        if fate.name == "survived":
            click.echo(f"  {mutant}")


def files_of(source: str) -> list[str]:
    """A file, or the Python files of a folder, as paths from the root."""
    place = ROOT / source
    files = place.rglob("*.py") if place.is_dir() else [place]
    return [file.relative_to(ROOT).as_posix() for file in files]


def key_of(mutant: Mutant) -> str:
    """A name of the mutant, another one as soon as its file changes."""
    digest = hashlib.sha256((ROOT / mutant.path).read_bytes()).hexdigest()[:12]
    return f"{mutant.path} {digest} {mutant.start}-{mutant.end} {mutant.text}"


def known(file: Path, start: int = 0) -> dict[str, Fate]:
    """The fates that have been written behind the first so many bytes, the last of each mutant."""
    lines = file.read_bytes()[start:].decode().splitlines() if file.exists() else []
    return {key: Fate(**fate) for key, fate in map(json.loads, lines)}


class Copy:
    """A copy of the tree, in which tests are run in forks of this process."""

    def __init__(self, folder: Path, kept: Path) -> None:
        """Copy what tests read; what is found is kept in another folder."""
        self._folder, self._kept = folder, kept
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".*", "__p*"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        self._changes = 0

    def decide(self, mutants: Sequence[Mutant], until: float, *, budget: float) -> dict[str, Fate]:
        """Try mutants of one room and write down their fates, as many as time allows.

        With a budget only tests that take so many seconds altogether are run, and who survives
        these has no fate yet.
        """
        room = mutants[0].room
        seen = self._seen(room)
        imported = seen.pop("import", Seen(0, {}))
        tries = [Try(mutant, tests_of(mutant, seen), seen, budget) for mutant in mutants]
        swapped = [
            each
            for each in tries
            if each.tests and each.mutant.lines and not runs(each.mutant, imported)
        ]
        told = self._kept / "fates.jsonl"
        before = told.stat().st_size if told.exists() else 0
        conductor = Conductor(self._folder, swapped, told, until)
        if in_fork(lambda: self._pytest(conductor, [f"tests/{room}"])) != 0:
            raise click.ClickException(f"mutants of {room} could not be tried")
        if budget < math.inf:
            return known(told, before)
        for each in tries:
            if key_of(each.mutant) not in known(told, before) and time.monotonic() < until:
                note(told, each.mutant, self._fate(each))
        return known(told, before)

    def _seen(self, room: str) -> dict[str, Seen]:
        """What each test of a room does, as it was found before or by running them all."""
        sources = sorted(
            file for name in ("why_zero", "pipeline", f"tests/{room}") for file in files_of(name)
        )
        digest = hashlib.sha256()
        for path in (*sources, "tests/conftest.py"):
            digest.update((self._folder / path).read_bytes())
        file = self._kept / f"{room}-{digest.hexdigest()[:12]}.json"
        if not file.exists():
            click.echo(f"running tests/{room}")
            recorder = Recorder(self._folder, file)
            if in_fork(lambda: self._pytest(recorder, [f"tests/{room}"])) != 0:
                raise click.ClickException(f"without a mutant, too, tests/{room} fail")
        return {test: Seen(*seen) for test, seen in json.loads(file.read_text()).items()}

    def _fate(self, each: "Try") -> Fate:
        """What tests say of the tree with this mutant, imported anew."""
        if not each.tests:
            return Fate("survived", "no test runs it")
        mutant, told = each.mutant, self._folder / "failed"
        file = self._folder / mutant.path
        right = file.read_bytes()
        file.write_bytes(mutant.of(right))
        self._touch(file)
        files = list(dict.fromkeys(test.partition("::")[0] for test in each.tests))
        chosen = Chosen(each, told)
        status = in_fork(lambda: self._pytest(chosen, files), patience=PATIENCE)
        file.write_bytes(right)
        self._touch(file)
        return chosen.fate(status)

    def _touch(self, file: Path) -> None:
        """Make the file as old as no other version of it: bytecode is kept for those."""
        self._changes += 1
        os.utime(file, (self._changes, self._changes))

    def _pytest(self, plugin: object, files: Sequence[str]) -> int:
        os.chdir(self._folder)
        sys.path[0] = str(self._folder)
        return pytest.main([*PYTEST, *files], plugins=[plugin])


@dataclass(frozen=True)
class Try:
    """A mutant and the names of the tests it is given to.

    Attributes:
        mutant: to be tried.
        tests: in their order.
        room: what the tests of the room do.
        budget: seconds that all tests together may take.
    """

    mutant: Mutant
    tests: Sequence[str]
    room: Mapping[str, Seen]
    budget: float

    @property
    def affordable(self) -> list[str]:
        """The first of the tests, within the budget."""
        spent = accumulate(self.room[test].seconds for test in self.tests)
        return [test for test, total in zip(self.tests, spent, strict=True) if total < self.budget]


def in_fork(work: Callable[[], int], *, patience: float = math.inf) -> int | None:
    """The exit status of some work in a fork, 0 if all is well; None if it does not end in time."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        os.setsid()
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        status = 3
        try:
            status = work()
        finally:
            os._exit(status)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            is_late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
            return None if is_late else status
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def note(file: Path, mutant: Mutant, fate: Fate) -> None:
    """Write down a fate."""
    with file.open("a") as written:
        written.write(json.dumps([key_of(mutant), asdict(fate)]) + "\n")


def runs(mutant: Mutant, seen: Seen) -> bool:
    """Whether the mutant's statement was run; outside of functions, anything of its file."""
    first, last = mutant.lines or (0, sys.maxsize)
    return any(first <= line <= last for line in seen.lines.get(mutant.path, ()))


def tests_of(mutant: Mutant, room: dict[str, Seen]) -> list[str]:
    """The tests that run the mutant: the module's own first, then of each file one in turn.

    Slow tests come last.
    What is outside of functions is run by the import: all tests that run something of the file.
    """
    seconds = {test: seen.seconds for test, seen in room.items() if runs(mutant, seen)}
    own = f"test_{Path(mutant.path).stem.strip('_')}.py"
    taken: Counter[str] = Counter()
    places: dict[str, tuple[bool, bool, int, str]] = {}
    for test in sorted(seconds, key=seconds.__getitem__):
        file, _, _ = test.partition("::")
        taken[file] += 1
        places[test] = seconds[test] > SLOW, own not in file, taken[file], file
    return sorted(places, key=places.__getitem__)


class Teller:
    """Writes down which test fails, and ends the process with a test that takes far too long."""

    def __init__(self, told: Path, room: Mapping[str, Seen]) -> None:
        """Take the file to write to, and what the tests do without a mutant."""
        self._told, self._room = told, room
        told.write_text("")

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Count a processor's seconds: those of a clock are more where others work."""
        limit = time.process_time() + 5 + 5 * self._room[item.nodeid].seconds
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), resource.RLIM_INFINITY))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A planted bug whose place the mutant has taken says nothing about the mutant."""
        report = yield
        message = str(call.excinfo.value) if call.excinfo else ""
        if "must hold" in message and "once" in message:
            report.outcome, report.longrepr = "skipped", ("", 0, "no place to plant it")
        if report.failed:
            what = f"{type(call.excinfo.value).__name__}: {message}" if call.excinfo else ""
            self._told.write_text(f"{report.nodeid} [{what.partition(chr(10))[0][:120]}]")
        return report

    def fate(self, status: int | None) -> Fate:
        """What an exit status says of a mutant."""
        by, _ = self._told.read_text(), self._told.write_text("")
        if status is None:
            return Fate("out of time")
        return Fate("killed", by) if status else Fate("survived")


class Chosen(Teller):
    """Runs these tests in this order."""

    def __init__(self, each: Try, told: Path) -> None:
        """Take the names of the tests, and the file to write a failure to."""
        super().__init__(told, each.room)
        self._places = {test: place for place, test in enumerate(each.tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out all others."""
        chosen = [item for item in items if item.nodeid in self._places]
        items[:] = sorted(chosen, key=lambda item: self._places[item.nodeid])


class Conductor(Teller):
    """Collects the tests of a room once, and gives each mutant to a fork, in place of a function.

    A function's code is exchanged wherever it is: nothing is imported anew.
    """

    def __init__(self, root: Path, tries: Sequence[Try], kept: Path, until: float) -> None:
        """Take the root of the tree, what to try, where to write fates, and for how long."""
        super().__init__(root / "failed", tries[0].room if tries else {})
        self._root, self._tries, self._kept, self._until = root, tries, kept, until

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the mutants in place of running the tests."""
        items = {item.nodeid: item for item in session.items}
        functions = [
            thing
            for thing in gc.get_objects()
            if type(thing) is FunctionType  # some have a class that warns
            and thing.__code__.co_filename.startswith(str(self._root))
        ]
        gc.freeze()
        for each in self._tries:
            if time.monotonic() > self._until:
                break
            pair = codes(self._root, each.mutant)
            if pair is None:
                continue
            right, wrong = pair
            places = [
                function
                for function in functions
                if function.__code__.co_filename == right.co_filename
                and function.__code__.co_qualname == right.co_qualname
                and right.co_firstlineno <= function.__code__.co_firstlineno <= each.mutant.line
            ]
            if places:
                tests = each.affordable
                chosen = [items[test] for test in tests]
                work = functools.partial(_swapped, places, wrong, chosen)
                fate = self.fate(in_fork(work, patience=PATIENCE))
                if fate.name != "survived" or len(tests) == len(each.tests):
                    note(self._kept, each.mutant, fate)
        return True


def _swapped(
    functions: Sequence[FunctionType], code: CodeType, items: Sequence[pytest.Item]
) -> int:
    """Whether a test fails with another code in these functions."""
    for function in functions:
        function.__code__ = code
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


def codes(root: Path, mutant: Mutant) -> tuple[CodeType, CodeType] | None:
    """The code of the function that holds a mutant, and what the mutant makes of it, if any."""
    file = root / mutant.path
    source = file.read_bytes()
    right, wrong = (
        compile(text, str(file), "exec", dont_inherit=True) for text in (source, mutant.of(source))
    )
    pairs = _changed(right, wrong)
    return max(
        (pair for pair in pairs if pair[0].co_firstlineno <= mutant.line),
        key=lambda pair: pair[0].co_firstlineno,
        default=None,
    )


def _changed(right: CodeType, wrong: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The functions of a module or class that are not the same."""
    inner = [
        [part for part in code.co_consts if isinstance(part, CodeType)] for code in (right, wrong)
    ]
    for one, other in zip(*inner, strict=True):
        if one == other:
            continue
        if one.co_flags & inspect.CO_NEWLOCALS:
            yield one, other
        else:
            yield from _changed(one, other)


class Recorder:
    """Writes down which lines of the two packages each test runs."""

    def __init__(self, root: Path, file: Path) -> None:
        """Take the root of the tree, and the file to write to."""
        self._inside = (f"{root}/why_zero/", f"{root}/pipeline/")
        self._from = len(f"{root}/")
        self._file = file
        self._now: set[tuple[str, int]] = set()
        self._tests: dict[str, tuple[float, dict[str, list[int]]]] = {}

    def pytest_sessionstart(self) -> None:
        """Watch every thread."""
        threading.settrace(self._called)
        sys.settrace(self._called)

    def pytest_collection_finish(self) -> None:
        """Take note of what imports have run."""
        self._keep("import", 0.0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Take note of one test."""
        self._now.clear()
        started = time.process_time()
        result = yield
        self._keep(item.nodeid, time.process_time() - started)
        return result

    def pytest_sessionfinish(self) -> None:
        """Write what was found."""
        sys.settrace(None)
        self._file.write_text(json.dumps(self._tests))

    def _keep(self, name: str, seconds: float) -> None:
        lines: dict[str, list[int]] = {}
        for path, line in sorted(self._now):
            lines.setdefault(path[self._from :], []).append(line)
        self._tests[name] = (seconds, lines)

    def _called(self, frame: FrameType, _event: str, _what: object) -> object:
        if not frame.f_code.co_filename.startswith(self._inside):
            return None
        self._now.add((frame.f_code.co_filename, frame.f_lineno))
        return self._moved

    def _moved(self, frame: FrameType, _event: str, _what: object) -> object:
        self._now.add((frame.f_code.co_filename, frame.f_lineno))
        return self._moved


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

    for node, within in code_of(ast.parse(source)):
        start, end = at(node)
        before = source[start:end].decode()
        for text in changes(node, before, source, at):
            yield Mutant(path, node.lineno, within, start, end, before, text)


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


def code_of(
    tree: ast.AST, lines: tuple[int, int] | None = None, *, is_called: bool = False
) -> Iterator[tuple[ast.AST, tuple[int, int] | None]]:
    """The nodes that do something: no annotations, decorators, messages or type aliases.

    With each the lines of its statement, if it is in a function.
    """
    for field, value in ast.iter_fields(tree):
        if field in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        is_inside = is_called or (isinstance(tree, FUNCTIONS) and field == "body")
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.Raise | ast.JoinedStr):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            within = lines
            if isinstance(node, ast.stmt):
                within = header(node) if is_inside else None
            if hasattr(node, "lineno"):
                yield node, within
            yield from code_of(node, within, is_called=is_inside)


def header(statement: ast.stmt) -> tuple[int, int]:
    """The first and the last line of a statement, without what is indented below."""
    body: Iterable[ast.stmt] = getattr(statement, "body", ())
    last = min((inner.lineno - 1 for inner in body), default=statement.end_lineno)
    return statement.lineno, max(statement.lineno, last or 0)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


if __name__ == "__main__":
    main()
