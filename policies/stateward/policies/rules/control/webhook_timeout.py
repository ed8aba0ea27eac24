"""SW714: a webhook for which writers wait too long."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule
from stateward.policies.view import Sight
from stateward.policies.webhooks import WRITES, closed


@rule(
    id="SW714",
    name="webhook-timeout",
    summary="A webhook that fails closed may take longer than writers wait",
    why="The API server gives a whole request 34 seconds, and controllers give up sooner. A webhook that hangs for longer "
    "than ten holds back every write that it is asked about, and with several of them none gets through.",
    remedy="Set timeoutSeconds to 10 at most; good webhooks answer within milliseconds. The API server does not ask "
    "webhooks about their own configurations: this rule speaks in lint, audit and tests.",
    source="Kubernetes documentation, Admission webhook good practices: small timeouts; kubernetes/kubernetes issue 128162",
    nature="state",
    action="warn",
    judges=WRITES,
    params={"most": 10},
)
def webhook_timeout(change: Change, see: Sight) -> Iterator[Finding]:
    """Webhooks that fail closed: one that may be left out delays as well, but lets pass."""
    for hook in closed(change):
        if hook.timeout > see.params["most"]:
            yield Finding(
                field=(*hook.path, "timeoutSeconds"),
                text=f"{hook.timeout} seconds is long for webhook {hook.name}, which fails closed",
                why="each write that it is asked about hangs that long when it does not answer, and then fails; a request "
                "has 34 seconds in all",
                remedy=f"set timeoutSeconds to {see.params['most']} at most",
                subject=hook.name,
            )
