"""`stateward why NAMESPACE/NAME`: the last decisions about an object, in plain words, from every replica."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping
from typing import Any, Final

import click

from stateward.cli import inputs, options, replicas
from stateward.cli.replicas import Heard, Whom
from stateward.policies import times

EPILOG: Final = """\
\b
Examples:
  stateward why prod/orders                          whatever is called so in that namespace
  stateward why statefulset/orders -n prod           of one kind: its name, its short name, or resource.group
  stateward why namespace/prod                       what is in no namespace
  stateward why prod/orders --url https://127.0.0.1:8443     asked of the door on this machine

Exit codes: 0 it could be asked, 2 nobody answered.
"""
WIDTH: Final = 110
REPORTER: Final = "stateward.dev/door"
"""Who Events of Stateward are from (stateward.kube.events)."""
_SHORT: Final = {
    "cm": "configmap",
    "crd": "customresourcedefinition",
    "deploy": "deployment",
    "ns": "namespace",
    "pdb": "poddisruptionbudget",
    "po": "pod",
    "pv": "persistentvolume",
    "pvc": "persistentvolumeclaim",
    "rs": "replicaset",
    "sc": "storageclass",
    "sts": "statefulset",
    "svc": "service",
}
_CLUSTER_WIDE: Final = frozenset({"customresourcedefinition", "namespace", "node", "persistentvolume", "storageclass"})
_OUTCOMES: Final = {
    "denied": ("refused", "red"),
    "wouldBeDenied": ("let pass, in mode deny it would be refused", "yellow"),
    "warned": ("let pass with a warning", "yellow"),
    "waived": ("let pass by a waiver", "blue"),
    "audited": ("let pass, told to the audit log alone", "blue"),
    "fault": ("a fault in Stateward or in a rule of the policy", "magenta"),
}


@click.command("why", epilog=EPILOG)
@click.argument("what", metavar="NAMESPACE/NAME")
@click.option("--namespace", "-n", metavar="NAMESPACE", help="Then the argument is KIND/NAME.")
@click.option("--last", type=click.IntRange(1, 100), default=5, show_default=True, metavar="NUMBER", help="How many.")
@replicas.options
@options.format_option("text", "json")
def command(
    what: str,
    namespace: str | None,
    last: int,
    kubeconfig: str | None,
    context: str | None,
    installed_in: str,
    url: str | None,
    token: str | None,
    ca: str | None,
    style: str,
) -> None:
    """Show the last decisions about an object: who did what, what came of it, why, and what to do instead.

    Every replica of the installation is asked, through the API server. Where none answers, the Events on the object are
    shown. Replicas keep some hundred decisions, until they end.
    """
    where, kind, name = _object(what, namespace)
    whom = Whom(kubeconfig, context, installed_in, url, token, ca)
    # The kind is compared here: what users write of it (sts, statefulsets.apps) is no matter of the service's.
    query = {"name": name, "limit": 1000, **({"namespace": where} if where is not None else {})}
    events: list[dict[str, Any]] | None = None
    if url is not None:
        heard = [replicas.ask_directly(whom, "/v1/decisions", query)]
    else:
        with replicas.connected(whom) as cluster:
            heard = replicas.ask_all(cluster, whom, replicas.pods(cluster, whom), "/v1/decisions", query)
            if not any(one.answer is not None for one in heard):
                events = _events(cluster, where, kind, name)
    found = _merged(heard, kind)[:last]
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        told = {"asked": [{"name": one.name, "problem": one.problem} for one in heard], "decisions": found, "events": events}
        click.echo(dumps({"format": "stateward-why/v1", **told}), nl=False)
    for one in heard:
        if one.problem:
            click.echo(f"warning: {one.problem}", err=True)
    if style == "text":
        title = f"{kind} {name}" if where is None else f"{where}/{name}"
        _show(title, heard, found, events, last, installed_in)
    if url is not None and heard[0].answer is None:
        raise SystemExit(2)


def _object(what: str, namespace: str | None) -> tuple[str | None, str, str]:
    """(namespace, kind, name); None is any namespace, "" any kind. Ends with exit code 2."""
    first, slash, name = what.partition("/")
    if not slash or not first or not name or "/" in name:
        inputs.stop(f'"{what}" names no object; write NAMESPACE/NAME, or KIND/NAME with -n NAMESPACE')
    if namespace is not None:
        return namespace, first, name
    if _kind(first) in _CLUSTER_WIDE:
        return None, first, name
    return first, "", name


def _kind(text: str) -> str:
    """A kind in one word, as it is compared: `sts`, `StatefulSets.apps` → `statefulset`."""
    word = text.lower().partition(".")[0]
    word = _SHORT.get(word, word)
    for plural, single in (("classes", "class"), ("policies", "policy"), ("ies", "y"), ("s", "")):
        if word.endswith(plural) and not word.endswith("ss"):
            return word.removesuffix(plural) + single
    return word


def _of_kind(decision: Mapping[str, Any], kind: str) -> bool:
    group = kind.lower().partition(".")[2]
    for one in (decision["object"], decision["about"]):
        known = str(one["kind"])
        if _kind(known) == _kind(kind) and (not group or known.lower().partition(".")[2] == group):
            return True
    return False


def _merged(heard: list[Heard], kind: str) -> list[dict[str, Any]]:
    """The decisions of all replicas, the newest first."""
    found = [
        {**decision, "replica": one.name}
        for one in heard
        if one.answer is not None
        for decision in one.answer["decisions"]
        if not kind or _of_kind(decision, kind)
    ]
    return sorted(found, key=lambda decision: str(decision["time"]), reverse=True)


def _events(cluster: Any, namespace: str | None, kind: str, name: str) -> list[dict[str, Any]]:
    """What Events still say of the object, the newest first."""
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    path = path_of("api", "v1", "namespaces", namespace, "events") if namespace else path_of("api", "v1", "events")
    try:
        items = cluster.get(path, {"fieldSelector": f"involvedObject.name={name}"}).get("items") or []
    except ClusterError as error:
        click.echo(f"warning: Events cannot be read: {error}", err=True)
        return []
    found = [
        {
            "time": item.get("lastTimestamp"),
            "first": item.get("firstTimestamp"),
            "count": item.get("count", 1),
            "reason": item.get("reason"),
            "object": f"{(item.get('involvedObject') or {}).get('kind')} {name}",
            "message": item.get("message"),
        }
        for item in items
        if item.get("reportingComponent") == REPORTER
        and (not kind or _kind(str((item.get("involvedObject") or {}).get("kind"))) == _kind(kind))
    ]
    return sorted(found, key=lambda event: str(event["time"]), reverse=True)


# --- text ----------------------------------------------------------------------------------------------------------


def _show(
    title: str,
    heard: list[Heard],
    found: list[dict[str, Any]],
    events: list[dict[str, Any]] | None,
    last: int,
    installed_in: str,
) -> None:
    if events is not None:
        why = "no replica answers" if heard else f"no replica runs in namespace {installed_in}"
        if not events:
            click.echo(f"{title}: {why}, and there are no Events of Stateward on it")
            return
        click.echo(f"{click.style(title, bold=True)}: {why}; its Events say")
        for event in events[:last]:
            click.echo(f"\n{_when(event['time'])}  {event['object']}{_often(event)}")
            _row("", str(event["message"]))
        return
    answered = [one for one in heard if one.answer is not None]
    if not answered:
        return
    if not found:
        since = max(str(one.answer["since"]) for one in answered if one.answer is not None)
        asked = "" if len(answered) == 1 else f" ({len(answered)} replicas asked)"
        click.echo(f"{title}: nothing was refused, warned of or waived since {since}{asked}")
        return
    count = "the last decision" if len(found) == 1 else f"the last {len(found)} decisions"
    click.echo(f"{click.style(title, bold=True)}: {count}")
    for decision in found:
        _decision(decision)


def _decision(one: Mapping[str, Any]) -> None:
    words, colour = _OUTCOMES[one["outcome"]]
    if one["outcome"] in ("wouldBeDenied", "audited"):
        words += f" (mode {one['mode']})" if one["mode"] != "deny" else ""
    dry = "dry run, " if one["dryRun"] else ""
    verb = f"{one['operation'].lower()} of {one['subresource']}" if one["subresource"] else one["operation"].lower()
    named = one["object"]
    about = one["about"]["title"]
    other = "" if (named["kind"], named["name"]) == (one["about"]["kind"], one["about"]["name"]) else f" ({about})"
    what = about if one["subresource"] or not other else f"{named['kind'].partition('.')[0]} {named['name']}{other}"
    click.echo(f"\n{_when(one['time'])}  {click.style(f'{dry}{words}', fg=colour, bold=True)}{_often(one)}")
    _row("", f"{verb} of {what} by {one['user'] or 'somebody'}")
    for finding in one["findings"]:
        note = "" if finding["outcome"] == one["outcome"] else f" ({_OUTCOMES[finding['outcome']][0]})"
        click.echo(f"  {click.style(finding['rule'], bold=True)} {finding['name']}{note}")
        _row("", finding["message"], 4)
        _row("why", finding["why"], 4)
        _row("do", finding["remedy"], 4)
        _row("by", finding["waiver"], 4)
    for note in one["notes"]:
        _row("note", note)


def _when(moment: Any) -> str:
    seconds = times.parse(moment)
    return f"{moment} ({times.ago(max(0.0, time.time() - seconds))} ago)" if seconds is not None else str(moment)


def _often(one: Mapping[str, Any]) -> str:
    count = one.get("count") or 1
    return f", {count} times since {one['first']}" if count > 1 else ""


def _row(label: str, text: str, indent: int = 2) -> None:
    if text:
        lead = f"{' ' * indent}{f'{label:<4} ' if label else ''}"
        click.echo(
            textwrap.fill(
                text,
                WIDTH,
                initial_indent=lead,
                subsequent_indent=" " * len(lead),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
