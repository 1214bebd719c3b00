"""Carry out the probes of a model, and compare their results with its claims."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from labkit import agents
from labkit.errors import LabkitError
from labkit.lab import Lab
from labkit.lab.progress import Reporter
from labkit.lab.traces import Trace, leaving, undertaking
from labkit.model import PROPERTIES, Channel, Model, read_model
from labkit.verification.audit import audit_rows
from labkit.verification.content import content_rows
from labkit.verification.observe import Observed, Results, Unprobed, observe
from labkit.verification.plan import Job, listener_of, make_plan, node_of, process_of
from labkit.verification.report import Report, Row, verdict_on

__all__ = ["verify"]

#: Seconds for all jobs of an idle machine, with the time that an interception waits.
DEADLINE = 240.0
#: Seconds for which a kubelet remembers what the apiserver refused (cacheUnauthorizedTTL), also an
#: apiserver that had just started and not read its roles yet; and seconds until it is asked again.
REMEMBERS_S, PAUSE_S = 30.0, 3.0
#: The comment of the firewall's rules of ``labkit.agents.intercept``.
RULES = "labkit-verify"


def verify(
    lab: Lab,
    model: Model | None = None,
    *,
    only: Iterable[str] | None = None,
    reporter: Reporter | None = None,
) -> Report:
    """Probe every claim of a model in a lab.

    Parameters
    ----------
    lab : Lab
        A running lab.
    model : Model, optional
        The model; by default that of the lab's own environment.
    only : iterable of str, optional
        The ids of the channels to probe; by default all channels.
    reporter : Reporter, optional
        Shows the progress; by default the lab's reporter.

    Returns
    -------
    Report
        One row for each property of each channel, in the model's order; unless `only` is given, one
        for the audit log of each apiserver; and one for each secret, object, binding or member of
        etcd that is not the environment's.

    Raises
    ------
    LabError
        The lab was made from other files than the model.
    LabkitError
        An attack or a change was interrupted before, and cannot be undone.
    NoSuchLab
        The lab is not up.
    LabBusy
        Another process changes the lab.

    Notes
    -----
    First come the probes that only observe. Then, for a few seconds, each client is redirected to
    a server of an unknown authority. A client that accepts it does not verify its server. At the
    end, the firewall's rules and all processes are removed.

    Examples
    --------
    >>> from labkit.lab import Lab
    >>> verify(Lab("insecure")).exit_code  # doctest: +SKIP
    0
    """
    with lab.exclusive("verify"), undertaking("verify", ("rules",)):
        lab.recover()
        return _verify(lab, model, only, reporter or lab.reporter)


def _verify(
    lab: Lab, model: Model | None, only: Iterable[str] | None, reporter: Reporter
) -> Report:
    model = read_model(lab.environment) if model is None else model
    every = wanted = list(model.channels)
    if only is not None:
        ids = set(only)
        wanted = [channel for channel in every if channel.id in ids]
    plan = make_plan(lab, wanted, every)
    lab.wait()
    with reporter.step(f"{lab.mode}: probe {len(wanted)} channels"):
        seen = _carry_out(lab, "probe", plan.looks)
    _ask_again(lab, plan.looks, wanted, seen, reporter)
    with leaving(lab, *(Trace("rules", RULES, node) for node in plan.intercepts)):
        with reporter.step(f"{lab.mode}: try whether the clients accept a false server"):
            met = _carry_out(lab, "intercept", plan.intercepts)
            lab.wait()
        if missed := _missed(lab, plan.intercepts, wanted, seen, met):
            # clients that lost their connections together may delay each other
            with reporter.step(f"{lab.mode}: repeat for the clients that did not connect"):
                _add(met, _carry_out(lab, "intercept", missed))
                lab.wait()
    rows = []
    for channel in wanted:
        results = _results(lab, channel, seen, met)
        rows += [_row(lab.mode, channel, name, results) for name in PROPERTIES]
    if only is None:
        with reporter.step(f"{lab.mode}: look for requests in the audit log"):
            rows += audit_rows(lab, model)
    return Report([*rows, *content_rows(lab)])


def _ask_again(
    lab: Lab,
    jobs: Mapping[str, Mapping[str, Job]],
    wanted: Iterable[Channel],
    seen: dict[str, dict[str, dict[str, Any]]],
    reporter: Reporter,
) -> None:
    """Ask kubelets again that refused a legitimate client, as long as they may remember that."""
    names = {f"own {channel.id}" for channel in wanted if channel.server_name == "kubelet"}

    def refused() -> dict[str, dict[str, Job]]:
        found: dict[str, dict[str, Job]] = {}
        for node, of_node in jobs.items():
            for name in names & of_node.keys():
                if seen[node].get(name, {}).get("status") == HTTPStatus.FORBIDDEN:
                    found.setdefault(node, {})[name] = of_node[name]
        return found

    if not (again := refused()):
        return
    deadline = time.monotonic() + REMEMBERS_S * lab.stretch()
    with reporter.step(f"{lab.mode}: wait for kubelets that remember a refusal"):
        while again and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
            for node, results in _carry_out(lab, "probe", again).items():
                seen[node].update(results)
            again = refused()


def _carry_out(
    lab: Lab, agent: str, jobs: Mapping[str, Mapping[str, Job]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Run a program on each machine that has jobs for it, on all machines at once."""
    deadline = DEADLINE * lab.stretch()

    def run(node: str) -> dict[str, dict[str, Any]]:
        try:
            stdin = json.dumps(jobs[node]).encode()
            output = lab.exec(node, agents.argv(agent), stdin=stdin, timeout=deadline)
            results: dict[str, dict[str, Any]] = json.loads(output.stdout)
        except (LabkitError, json.JSONDecodeError) as error:
            failed = {"error": "failed", "text": str(error).replace("\n", " ")[-300:]}
            return {name: dict(failed) for name in jobs[node]}
        return results

    with ThreadPoolExecutor(max_workers=max(1, len(jobs))) as pool:
        return dict(zip(jobs, pool.map(run, jobs), strict=True))


def _missed(
    lab: Lab,
    jobs: Mapping[str, Mapping[str, Job]],
    wanted: Iterable[Channel],
    seen: Mapping[str, Mapping[str, dict[str, Any]]],
    met: Mapping[str, Mapping[str, dict[str, Any]]],
) -> dict[str, dict[str, Job]]:
    """Return the interceptions without a conclusive result for some client."""
    again: dict[str, dict[str, Job]] = {}
    for channel in wanted:
        node, name = node_of(channel.client), f"intercept {listener_of(channel)}"
        if name in jobs.get(node, {}):
            try:
                observe(channel, "server_authentication", _results(lab, channel, seen, met))
            except Unprobed:
                again.setdefault(node, {})[name] = jobs[node][name]
    return again


def _add(
    met: dict[str, dict[str, dict[str, Any]]], more: Mapping[str, Mapping[str, dict[str, Any]]]
) -> None:
    """Add the results of the second interception to those of the first."""
    for node, results in more.items():
        for name, result in results.items():
            before = met[node][name].get("seen", ())
            met[node][name] = {**result, "seen": [*before, *result.get("seen", ())]}


def _results(
    lab: Lab,
    channel: Channel,
    seen: Mapping[str, Mapping[str, dict[str, Any]]],
    met: Mapping[str, Mapping[str, dict[str, Any]]],
) -> Results:
    flat = {name: result for results in seen.values() for name, result in results.items()}
    server_node = node_of(channel.server)
    process = process_of(lab.environment, channel)
    listener = listener_of(channel)
    encounters = met.get(node_of(channel.client), {}).get(f"intercept {listener}", {})
    return Results(
        look=flat.get(f"look {listener}"),
        nobody=flat.get(f"nobody {listener}"),
        guess=flat.get(f"guess {listener}"),
        own=flat.get(f"own {channel.id}"),
        power=flat.get(f"power {channel.id}"),
        alive=None if channel.open else flat.get(f"alive {server_node}"),
        socket=seen.get(server_node, {}).get(f"unix {channel.path}"),
        met=tuple(e for e in encounters.get("seen", ()) if e["client"] == process),
    )


def _row(mode: str, channel: Channel, name: str, results: Results) -> Row:
    claim = getattr(channel, name)
    try:
        observed = observe(channel, name, results)
    except Unprobed as cause:
        observed = Observed("", str(cause))
        verdict = "unprobed"
    else:
        verdict = verdict_on(claim.value, observed.value)
    return Row(
        mode=mode,
        channel=channel.id,
        property=name,
        claimed=claim.value,
        source=str(claim.source),
        observed=observed.value,
        reason=observed.reason,
        control=observed.control,
        verdict=verdict,
    )
