"""`arcbridge plan` and `simulate`: what publishing would do, and how it would go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbridge.cli.command import command
from arcbridge.cli.session import Format, Session
from shared.contract.wording import plural

if TYPE_CHECKING:
    from shared.contract.plan import PlannedStage, PlannedTarget, RolloutPlan

Files = Annotated[
    list[Path],
    typer.Option(
        "--filename", "-f", help="A YAML or JSON file, a folder of them, or - for standard input."
    ),
]


def register(app: typer.Typer) -> None:
    """Put the commands on the top level."""
    command(app, "plan")(plan)
    command(app, "simulate")(simulate)


def plan(session: Session, filename: Files) -> None:
    """Show what publishing would do: stages, times, what changes, the blast radius."""
    from arcbridge.cli.manifests import read_manifests
    from arcbridge.cli.output import write

    plans = [session.client.extensions.plan(each) for each in read_manifests(filename)]
    if session.output is not Format.TABLE:
        write(session, [each.to_wire() for each in plans])
        return
    for each in plans:
        _show_plan(session, each)


def simulate(
    session: Session,
    filename: Files,
    failures: Annotated[
        str, typer.Option("--failures", help="So many of the clusters fail: 5%, or a number.")
    ] = "0",
    offline: Annotated[
        str, typer.Option("--offline", help="So many of the clusters are silent: 3%, or a number.")
    ] = "0",
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed draws the same clusters.", min=0)
    ] = 0,
) -> None:
    """Run the rollout in virtual time over the fleet as it stands, and draw how it goes.

    The server's own planner decides; no cluster hears of it and nothing is stored.
    """
    from arcbridge.cli.manifests import read_manifests
    from arcbridge.cli.output import write
    from arcbridge.cli.timeline import draw

    found = [
        session.client.extensions.simulate(each, failures=failures, offline=offline, seed=seed)
        for each in read_manifests(filename)
    ]
    if session.output is not Format.TABLE:
        write(session, [each.to_wire() for each in found])
        return
    for each in found:
        for line in draw(each):
            session.out.print(line, highlight=False, markup=False, soft_wrap=True)
        _show_assumptions(session, each.assumptions)


def _show_plan(session: Session, plan: RolloutPlan) -> None:
    from arcbridge.cli.output import printable

    if plan.unchanged:
        session.out.print(f"{plan.extension}: unchanged, revision {plan.revision} stays")
        return
    for line in summary(plan):
        session.out.print(printable(line), highlight=False, markup=False, soft_wrap=True)
    _show_stages(session, plan)
    _show_differences(session, plan)
    _show_targets(session, plan)
    for left in plan.left_out:
        session.say(printable(f"  left out: {left.cluster}: {left.why}"))
    if plan.not_selected:
        session.say(f"  not selected by the placement: {plan.not_selected}")
    for name in plan.leaves:
        session.say(f"  removed from: {name}")
    for rollout in plan.supersedes:
        session.say(f"  supersedes rollout {rollout}")
    _show_assumptions(session, plan.assumptions)


def summary(plan: RolloutPlan) -> list[str]:
    """The first lines of a plan: how far it goes, how far it may go wrong, and whether it ends."""
    targets = sum(len(stage.targets) for stage in plan.stages)
    lines = [
        f"{plan.extension}: would become revision {plan.revision} on {plural(targets, 'cluster')}",
        f"  failing everywhere, it would reach at most {plan.blast_radius}",
    ]
    if plan.waiting_for is not None:
        waiting = plan.waiting_for
        lines.append(f"  it would not end by itself: {waiting.message}, until {waiting.ends_when}")
    elif str(plan.ends_as) != "Succeeded":
        lines.append(f"  it would end as {plan.ends_as} though no cluster failed: see simulate")
    return lines


def _show_stages(session: Session, plan: RolloutPlan) -> None:
    from arcbridge.cli.output import cell, new_table

    headings = ["stage", "clusters", "at once", "may fail", "from", "to", "slow", "reached by then"]
    adaptive = any(stage.ends_after_seconds_at_floor is not None for stage in plan.stages)
    table = new_table([*headings, *(["at the lowest pace"] if adaptive else [])])
    for stage in plan.stages:
        row = _stage_row(stage)
        table.add_row(*map(cell, row if adaptive else row[:-1]))
    session.out.print(table)


def _stage_row(stage: PlannedStage) -> tuple[object, ...]:
    return (
        stage.name,
        len(stage.targets),
        stage.max_concurrent,
        stage.failure_budget,
        _after(stage.starts_after_seconds),
        _after(stage.ends_after_seconds),
        _after(stage.ends_after_seconds_at_p95),
        stage.blast_radius,
        _after(stage.ends_after_seconds_at_floor),
    )


def _after(seconds: float | None) -> str:
    from arcbridge.cli.timeline import lasting

    return "never" if seconds is None else f"+{lasting(seconds)}"


def _show_differences(session: Session, plan: RolloutPlan) -> None:
    import json

    from arcbridge.cli.output import printable

    for difference in plan.differences:
        session.out.print(f"\nfor {plural(difference.clusters, 'cluster')}:", highlight=False)
        for change in difference.changes:
            before, after = (
                "-" if value is None else json.dumps(value, ensure_ascii=False)
                for value in (change.before, change.after)
            )
            line = printable(f"  {change.path or '/'}: {before} -> {after}")
            session.out.print(line, highlight=False, markup=False, soft_wrap=True)
        if not difference.changes:
            session.out.print("  nothing changes", highlight=False)


def _show_targets(session: Session, plan: RolloutPlan) -> None:
    from arcbridge.cli.output import cell, new_table

    session.out.print("")
    table = new_table(["stage", "cluster", "from", "changes", "waits for"])
    for stage in plan.stages:
        for target in stage.targets:
            row = (stage.name, target.cluster, target.from_revision or "absent")
            changes = ", ".join(target.changes) or "-"
            table.add_row(*map(cell, (*row, changes, _waits(target))))
    session.out.print(table)


def _waits(target: PlannedTarget) -> str | None:
    from arcbridge.cli.watch import waiting_in_words

    return waiting_in_words(target.waiting_for) if target.waiting_for else None


def _show_assumptions(session: Session, assumptions: tuple[str, ...]) -> None:
    for assumption in assumptions:
        session.say(f"  taken for granted: {assumption}")
