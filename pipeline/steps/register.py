"""The step `register`: registers a trained network if it passes every gate."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from pipeline.config.options import RegisterSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.markdown import table
from pipeline.registry import gates
from pipeline.registry.gates import Candidate, GateError, GateResult, Incumbent
from pipeline.registry.model_card import description, model_card
from pipeline.registry.selection import Selection, select
from pipeline.runs.compacting import compaction
from pipeline.runs.complete import complete
from pipeline.runs.load import load_data, load_result
from pipeline.tracking import Registry, Run, Version, connect

CARD = "model_card.md"


def run(settings: RegisterSettings, console: Console) -> None:
    """Choose a network, run it through the gates, and move the alias to it.

    Raises:
        PipelineError: there is no such network, its data set is missing, or a gate refused it.
    """
    tracker = connect()
    registry, name, alias = tracker.registry, settings.name, settings.alias
    selection = select(settings.from_, settings.metric, tracker=tracker)
    choice = _choice(selection)
    console.line(choice)
    heading = f"{choice} See [its run]({selection.run.page})."
    start = partial(tracker.start_step, "register", f"register {name}", parameters=texts(settings))
    version = registry.of_run(name, selection.run.id)
    if version and alias in version.aliases:
        ending = f"Nothing to do: it is already {version.address} and holds the alias {alias}."
        with start() as step:
            step.describe(f"{heading}\n\n{_linked(ending, version)}")
            step.tags({"model_version": version.address})
        console.line(ending)
        return
    run_id, loaded = selection.run.id, partial(load_result, tracker=tracker)
    made = complete([run_id], tracker, result_of=loaded, data_of=load_data, console=console)
    made.check()
    selection = replace(selection, run=tracker.run(run_id))  # with its model
    candidate = gates.load_candidate(selection.run, tracker)
    with start() as step:
        holder = gates.find_incumbent(name, alias, settings.metric, tracker=tracker)
        verdicts = gates.run_gates(
            candidate,
            selection,
            holder=holder,
            margin=settings.margin,
            is_forced=settings.force,
            isolation=settings.isolation,
            uri=tracker.uri,
        )
        passed = _watch(verdicts, step=step, console=console, heading=heading)
        card = _card(candidate, selection, address=f"models:/{name}@{alias}")
        step.text(card, CARD)
        is_new = version is None
        version = _registered(
            registry,
            name,
            version,
            candidate=candidate,
            tags=_tags(candidate, selection, passed),
            card=card,
        )
        registry.describe(name, _description(candidate, address=f"models:/{name}@{alias}"))
        ending = _ending(version, holder, alias, is_new=is_new)
        step.describe(f"{heading}\n\n{_linked(ending, version)}\n\n{_gate_table(passed)}")
        step.tags({"model_version": version.address})
        # Last: once it is done, the same line again has nothing to do and would tell no more.
        registry.point(alias, version)
        console.line(ending)
    console.elapsed("done")


def _choice(selection: Selection) -> str:
    """How the network was chosen, in a sentence or two."""
    source = selection.source
    value = f"{selection.metric} {selection.value:.6g} on held-out images"
    name = selection.run.name
    if selection.compared == 1:
        return f"{name}, the only network of {source}: {value}."
    words = f"{name}, the best of {selection.compared} networks of {source}: {value}."
    if selection.tied:
        others = ", ".join(run.name for run in selection.tied)
        words += f" Tied with {others}; the first in the sweep's order was chosen."
    return words


def _watch(
    verdicts: Iterator[GateResult], *, step: Run, console: Console, heading: str
) -> list[GateResult]:
    """The verdicts of all gates, each shown as it arrives.

    Raises:
        GateError: a gate refused; the step's description then lists the gates passed before it.
    """
    passed: list[GateResult] = []
    try:
        for verdict in verdicts:
            console.line(f"gate {verdict.gate}: {verdict.found}")
            passed.append(verdict)
    except GateError as error:
        step.tags({"gate": error.gate})
        refused = "**Refused.** The registry is unchanged."
        step.describe(f"{heading}\n\n{refused}\n\n{_gate_table(passed, error)}")
        raise
    return passed


def _gate_table(passed: Sequence[GateResult], refusal: GateError | None = None) -> str:
    """What each gate found, as Markdown."""
    rows = [
        (verdict.gate, "forced" if verdict.is_forced else "passed", verdict.found)
        for verdict in passed
    ]
    if refusal:
        rows.append((refusal.gate, "refused", str(refusal)))
    return table(("gate", "outcome", "found"), rows, left=3)


def _registered(
    registry: Registry,
    name: str,
    version: Version | None,
    *,
    candidate: Candidate,
    tags: dict[str, str],
    card: str,
) -> Version:
    """The network's version: its existing one with updated tags, or a new one."""
    if version:
        registry.tag(version, tags)
        return version
    return registry.create(
        name, candidate.address, run_id=candidate.run.id, tags=tags, description=card
    )


def _tags(
    candidate: Candidate, selection: Selection, passed: Sequence[GateResult]
) -> dict[str, str]:
    """The version's tags: its network, data, code and gates."""
    result = candidate.result
    tags = {
        "arm": result.recipe.arm,
        "drop_rate": result.recipe.parameters["drop_rate"],
        "seed": result.recipe.parameters["seed"],
        "dataset": result.dataset,
        "dataset_digest": result.dataset_digest,
        "commit": candidate.commit or "not known",
        "run": candidate.run.id,
        selection.metric: f"{selection.value:.6g}",
        "test/accuracy": f"{result.test.accuracy:.6g}",
        "forced": next((verdict.found for verdict in passed if verdict.is_forced), "no"),
    }
    return tags | {f"gate/{verdict.gate.replace(' ', '_')}": verdict.found for verdict in passed}


def _card(candidate: Candidate, selection: Selection, *, address: str) -> str:
    data = candidate.data
    height, width = data.test_images.shape[1:]
    return model_card(
        candidate.result,
        candidate.confusion,
        classes=data.classes,
        shape=(height, width),
        licence=data.licence,
        commit=candidate.commit,
        metric=selection.metric,
        compared=selection.compared,
        address=address,
        compaction=_compaction(candidate),
    )


def _description(candidate: Candidate, *, address: str) -> str:
    data = candidate.data
    height, width = data.test_images.shape[1:]
    return description(
        candidate.result, classes=data.classes, shape=(height, width), address=address
    )


def _compaction(candidate: Candidate) -> str | None:
    """What compacting removed, with both test scores; None for a network as it was trained."""
    if candidate.run.tags.get("kind") != "compacted":
        return None
    result = candidate.result
    text = compaction(candidate.run.metrics, result.test, validated_on=result.recipe.validated_on)
    return f"Units that were dead for every image trained on.\n\n{text}"


def _ending(version: Version, holder: Incumbent | None, alias: str, *, is_new: bool) -> str:
    """What changed in the registry, in a sentence.

    No `@` before the alias: MLflow's pages would read it as a mention.
    """
    done = "Registered as" if is_new else "Already registered as"
    before = f", previously held by version {holder.version.version}" if holder else ""
    return f"{done} {version.address}; it now holds the alias {alias}{before}."


def _linked(sentence: str, version: Version) -> str:
    """The sentence with a link to the version's page where it names its address."""
    return sentence.replace(version.address, f"[{version.address}]({version.page})")
