"""What an installation does, whether it is asked, and what going on to deny would have refused."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from stateward.cli import replicas
from stateward.cli.replicas import Heard, Whom
from stateward.cli.table import table
from stateward.policies import modes, times

if TYPE_CHECKING:
    from stateward.kube.client import Cluster

_OUTCOMES: Final = ("wouldBeDenied", "denied", "warned", "waived", "audited", "fault")
_MEANS: Final = {"deny": "denials refuse", "warn": "denials warn", "audit": "nothing is refused, nobody is warned"}
_SHOWN: Final = 12


def show(whom: Whom, style: str) -> None:
    """Asks every replica, or the door at `--url`, and prints what they say. Exit code 2 where nobody answers."""
    configurations: list[dict[str, Any]] | None = None
    namespaces: dict[str, str] = {}
    if whom.url is not None:
        heard = [replicas.ask_directly(whom, "/v1/status")]
    else:
        with replicas.connected(whom) as cluster:
            heard = replicas.ask_all(cluster, whom, replicas.pods(cluster, whom), "/v1/status")
            configurations = list(_configurations(cluster))
            namespaces = _namespaces(cluster)
    counts = merged(one.answer["counts"] for one in heard if one.answer is not None)
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        told = {
            "format": "stateward-status/v1",
            "replicas": [_replica(one) for one in heard],
            "configurations": configurations,
            "namespaces": namespaces,
            "counts": counts,
        }
        click.echo(dumps(told), nl=False)
    else:
        _show(whom, heard, configurations, namespaces, counts)
    for one in heard:
        if one.problem:
            click.echo(f"warning: {one.problem}", err=True)
    if not any(one.answer is not None for one in heard):
        raise SystemExit(2)


def merged(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of several replicas as one. `since`: when the one that counts for longest began; None without any."""
    since: list[str] = []
    requests: dict[str, Counter[str]] = {}
    findings: dict[tuple[str, str, str], Counter[str]] = {}
    for one in counts:
        since.append(one["since"])
        for row in one["requests"]:
            _add(requests.setdefault(row["namespace"], Counter()), row)
        for row in one["findings"]:
            _add(findings.setdefault((row["namespace"], row["rule"], row["name"]), Counter()), row)
    return {
        "since": min(since) if since else None,
        "requests": [{"namespace": namespace, **row} for namespace, row in sorted(requests.items())],
        "findings": [
            {"namespace": namespace, "rule": rule, "name": name, **row}
            for (namespace, rule, name), row in sorted(findings.items())
        ],
    }


def _add(counter: Counter[str], row: Mapping[str, Any]) -> None:
    counter.update({key: value for key, value in row.items() if key in _OUTCOMES})


def _configurations(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """What the API server asks by. Those that cannot be read are said to be unknown."""
    from stateward.kube.errors import ClusterError
    from stateward.kube.installed import PATHS
    from stateward.kube.registration import OURS

    for kind, path in PATHS.items():
        try:
            items = cluster.get(path, {"labelSelector": OURS}).get("items") or []
        except ClusterError as error:
            yield {"kind": kind, "name": None, "webhooks": [], "problem": str(error)}
            continue
        for item in items:
            webhooks = [
                {
                    "name": webhook.get("name"),
                    "failurePolicy": webhook.get("failurePolicy"),
                    "rules": len(webhook.get("rules") or []),
                    "asks": _asked(webhook.get("clientConfig") or {}),
                }
                for webhook in item.get("webhooks") or []
            ]
            yield {"kind": kind, "name": (item.get("metadata") or {}).get("name"), "webhooks": webhooks, "problem": ""}


def _asked(config: Mapping[str, Any]) -> str:
    service = config.get("service") or {}
    if service:
        return f"{service.get('namespace')}/{service.get('name')}{service.get('path', '')}"
    return str(config.get("url", ""))


def _namespaces(cluster: Cluster) -> dict[str, str]:
    """Namespace → the mode that its label says."""
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    try:
        items = cluster.get(path_of("api", "v1", "namespaces"), {"labelSelector": modes.LABEL}).get("items") or []
    except ClusterError as error:
        click.echo(f"warning: namespaces cannot be read, those in a mode of their own are not shown: {error}", err=True)
        return {}
    return {item["metadata"]["name"]: item["metadata"]["labels"][modes.LABEL] for item in items}


def _replica(one: Heard) -> dict[str, Any]:
    answer = one.answer or {}
    told = {key: answer.get(key) for key in ("version", "started", "mode", "policy", "registered", "leader", "certificates")}
    return {
        "name": one.name,
        "ready": answer["ready"] if answer else replicas.ready(one.pod),
        "reason": answer.get("reason", "") if answer else one.problem,
        **told,
        "unknown": (answer.get("views") or {}).get("unknown", {}),
    }


# --- text ----------------------------------------------------------------------------------------------------------


def _show(
    whom: Whom,
    heard: list[Heard],
    configurations: list[dict[str, Any]] | None,
    namespaces: Mapping[str, str],
    counts: Mapping[str, Any],
) -> None:
    answers = [one.answer for one in heard if one.answer is not None]
    if not heard:
        click.echo(f"Stateward: no replica in namespace {whom.installed_in}; see --installed-in, and stateward serve --help")
    if answers:
        _row("mode", "; ".join(dict.fromkeys(f"{one['mode']}: {_MEANS[one['mode']]}" for one in answers)))
        for mode in modes.MODES:
            named = [name for name, value in sorted(namespaces.items()) if value == mode]
            if named:
                _row("", f"{mode} in {_some(named)}")
        wrong = [f"{name} ({value})" for name, value in sorted(namespaces.items()) if value not in modes.MODES]
        if wrong:
            _row("", f"no mode: {_some(wrong)}; write {', '.join(modes.MODES)}")
        for text in dict.fromkeys(_policy(one) for one in answers):
            _row("policy", text)
    ready = sum(bool(_replica(one)["ready"]) for one in heard)
    if whom.url is None and heard:
        _row("replicas", f"{ready} of {len(heard)} ready")
    for one in heard:
        _row("" if whom.url is None else "door", _line(one))
    _registered(configurations, answers)
    for text in dict.fromkeys(_certificates(one) for one in answers if one["certificates"]):
        _row("certificates", text)
    unknown = {kind: why for one in answers for kind, why in one["views"]["unknown"].items()}
    kinds = max((len(one["views"]["ages"]) for one in answers), default=0)
    if kinds:
        _row("sees", f"{kinds} kinds" + ("" if not unknown else f", {len(unknown)} of them unknown now:"))
    for kind, why in sorted(unknown.items()):
        _row("", f"{kind}: {why}")
    if answers:
        _told(counts, {one["mode"] for one in answers} | set(namespaces.values()))


def _policy(one: Mapping[str, Any]) -> str:
    policy = one["policy"]
    text = f"{policy['profile']}, {policy['name'] or 'built in'}"
    if policy["userRules"]:
        text += f", {policy['userRules']} rules of its own"
    return "; ".join([text, *(f"NOT IN FORCE: {error}" for error in policy["errors"])])


def _line(one: Heard) -> str:
    replica = _replica(one)
    state = "ready" if replica["ready"] else f"not ready: {replica['reason'] or 'see kubectl describe pod'}"
    if one.answer is None:
        state = f"{state}, does not answer" if replica["ready"] else state
        return f"{one.name}  {state}" if one.pod else f"{one.name}  does not answer"
    leader = ", writes" if replica["leader"] else ""
    return f"{one.name}  {replica['version']}  {state}{leader}, since {replica['started']}"


def _registered(configurations: list[dict[str, Any]] | None, answers: list[dict[str, Any]]) -> None:
    if configurations is None:
        known = [one["registered"] for one in answers if one["registered"] is not None]
        if known:
            _row("registered", "yes" if all(known) else "no: nothing is asked here")
        return
    validating = [
        one for one in configurations if one["kind"].startswith("Validating") and (one["webhooks"] or one["problem"])
    ]
    if not validating:
        _row("registered", click.style("no: the API server asks nobody, nothing is judged", fg="red"))
    for one in configurations:
        if one["problem"]:
            _row("registered", f"{one['kind']}: unknown: {one['problem']}")
        for webhook in one["webhooks"]:
            short = one["kind"].removesuffix("WebhookConfiguration").lower()
            rules = (
                f"{webhook['rules']} rule{'' if webhook['rules'] == 1 else 's'}, failurePolicy {webhook['failurePolicy']}"
            )
            _row("registered", f"{one['name']} ({short}) {webhook['name']} asks {webhook['asks']}, {rules}")


def _certificates(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} until {end}{_left(end)}" for name, end in sorted(one["certificates"].items()))


def _left(end: str) -> str:
    moment = times.parse(end)
    if moment is None:
        return ""
    left = moment - time.time()
    return f" ({times.ago(left)})" if left > 0 else f" (ENDED {times.ago(-left)} ago)"


def _told(counts: Mapping[str, Any], in_force: set[str]) -> None:
    """What was and would have been refused, so that going on is an informed step."""
    since = times.parse(counts["since"])
    length = times.ago(max(60.0, time.time() - since)) if since is not None else ""
    last = f"in the last {length.removeprefix('1 ')}" if length else "so far"
    total: Counter[str] = Counter()
    for row in counts["requests"]:
        _add(total, row)
    click.echo()
    if in_force != {"deny"} or total["wouldBeDenied"]:
        count = total["wouldBeDenied"]
        text = f"Going to deny would have refused {_number(count, 'request')} {last}"
        click.echo(click.style(f"{text}{_most(counts, 'wouldBeDenied')}.", bold=True))
    if "deny" in in_force or total["denied"]:
        click.echo(click.style(f"Refused {_number(total['denied'], 'request')} {last}{_most(counts, 'denied')}.", bold=True))
    rest = [f"{total[key]} {word}" for key, word in (("warned", "warned of"), ("waived", "waived")) if total[key]]
    if total["fault"]:
        rest.append(f"{total['fault']} not judged for a fault")
    if rest:
        click.echo(f"{', '.join(rest)}.")
    rows = sorted(counts["findings"], key=lambda row: [-row.get(key, 0) for key in _OUTCOMES])
    if rows:
        head = ("RULE", "NAME", "NAMESPACE", "WOULD REFUSE", "REFUSED", "WARNED", "WAIVED", "AUDITED")
        cells = [
            (
                row["rule"],
                row["name"],
                row["namespace"] or "-",
                *(str(row.get(key) or "") for key in ("wouldBeDenied", "denied", "warned", "waived", "audited")),
            )
            for row in rows[:_SHOWN]
        ]
        click.echo(table(head, cells))
        if len(rows) > _SHOWN:
            click.echo(f"and {len(rows) - _SHOWN} more: stateward status -f json")
        click.echo("\nWhy, object by object: stateward why NAMESPACE/NAME")


def _most(counts: Mapping[str, Any], outcome: str) -> str:
    """`, most by SW201 quorum-lost (8), most in shop (5)`."""
    by_rule: Counter[str] = Counter()
    by_namespace: Counter[str] = Counter()
    for row in counts["findings"]:
        by_rule[f"{row['rule']} {row['name']}"] += row.get(outcome, 0)
    for row in counts["requests"]:
        by_namespace[row["namespace"] or "no namespace"] += row.get(outcome, 0)
    parts = []
    for counter, word in ((by_rule, "by"), (by_namespace, "in")):
        found = [(name, count) for name, count in counter.most_common() if count]
        if found:
            name, count = found[0]
            parts.append(f"most {word} {name} ({count})" if len(found) > 1 else f"all {word} {name}")
    return f", {', '.join(parts)}" if parts else ""


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if count else f"no {what}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _row(label: str, text: str) -> None:
    click.echo(f"{label:<13} {text}")
