"""The registration of a door that comes and goes, without a cluster: what is asked for, and in which order."""

import time

import pytest

from stateward.kube.errors import ClusterError, UnreachableError
from stateward.webhook import cluster
from stateward.webhook.server import ServeError


class Watched:
    """A watch that knows everything, or says what it does not."""

    def __init__(self, **unknown):
        self.kinds = unknown
        self.crds = []
        self.view = self

    def wait_synced(self, timeout):
        return not self.kinds

    def unknown(self):
        return self.kinds

    def select(self, kind):
        assert kind == "CustomResourceDefinition.apiextensions.k8s.io"
        return self.crds


URL = "https://127.0.0.1:8443/validate"


class Holding:
    """A cluster that holds one configuration, which asks at `url`."""

    def __init__(self, url=URL, watch=None):
        self.url = url
        self.watch = watch

    def list_page(self, path, **_):
        assert path == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        return {"items": self.watch.crds if self.watch is not None else []}

    def get(self, path):
        assert path == "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stateward-serve"
        if self.url is None:
            raise ClusterError(404, "NotFound", "not found")
        return {"webhooks": [{"clientConfig": {"url": self.url}}]}


@pytest.fixture
def said(monkeypatch):
    """What happens, in order; registering and removing succeed unless a test says otherwise."""
    said = []
    monkeypatch.setattr(cluster, "trouble", lambda *_: said.append("asked itself") or "")
    monkeypatch.setattr(cluster, "register", lambda _, wanted: said.append(("registered", wanted)))
    monkeypatch.setattr(cluster, "unregister", lambda _, name: said.append(("removed", name)) or True)
    return said


def registered(said, watch=None, given_up=lambda: False, url=URL, holding=URL):
    return cluster.registered(
        Holding(holding, watch),
        watch or Watched(),
        base="https://127.0.0.1:8443",
        url=url,
        bundle=b"-----BEGIN CERTIFICATE-----\n",
        failure_policy="Ignore",
        given_up=given_up,
        say=said.append,
        warn=said.append,
    )


def names(said):
    return [one[0] if isinstance(one, tuple) else one for one in said]


def test_it_registers_once_it_answers_and_is_removed_at_the_end(said):
    with registered(said):
        assert names(said)[:2] == ["asked itself", "registered"]
        wanted = said[1][1]
        assert wanted["metadata"]["name"] == "stateward-serve"
        [webhook] = wanted["webhooks"]
        assert webhook["clientConfig"]["url"] == "https://127.0.0.1:8443/validate"
        assert webhook["failurePolicy"] == "Ignore"
        assert webhook["clientConfig"]["caBundle"]
    assert said[-2] == ("removed", "stateward-serve")


def test_it_is_removed_when_what_follows_crashes(said):
    with pytest.raises(KeyError), registered(said):
        raise KeyError
    assert ("removed", "stateward-serve") in said


def test_where_registering_fails_it_is_removed_all_the_same_for_the_answer_may_be_lost(said, monkeypatch):
    def lost(*_):
        raise UnreachableError("PATCH /apis: no answer")

    monkeypatch.setattr(cluster, "register", lost)
    with pytest.raises(ServeError, match="not registered: PATCH /apis: no answer"), registered(said):
        pass
    assert ("removed", "stateward-serve") in said


def test_a_removal_that_fails_is_told_with_the_command(said, monkeypatch):
    def forbidden(*_):
        raise ClusterError(403, "Forbidden", "DELETE: 403 Forbidden")

    monkeypatch.setattr(cluster, "unregister", forbidden)
    with registered(said):
        pass
    assert "error: stateward-serve may still be registered: DELETE: 403 Forbidden" in said
    assert "error: remove it: kubectl delete validatingwebhookconfiguration stateward-serve" in said


def test_a_door_that_does_not_answer_is_not_registered(said, monkeypatch):
    monkeypatch.setattr(cluster, "trouble", lambda *_: "refused")
    with pytest.raises(ServeError, match="not registered: refused"), registered(said):
        pass
    assert said == []


def test_what_stays_unknown_is_told_and_registered_nevertheless(said, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    with registered(said, Watched(Secret="Secret: 403")):
        assert said[0] == "warning: Secret: 403; rules that look there warn instead of judging"
        assert "registered" in names(said)


def test_an_end_that_is_asked_for_while_it_waits_leaves_nothing_behind(said):
    with registered(said, Watched(Pod="not yet"), given_up=lambda: True):
        pass
    assert said == []


def test_a_url_that_the_api_server_would_refuse_is_an_error_before_anything_is_written(said):
    with pytest.raises(ServeError, match="https"), registered(said, url="http://127.0.0.1/validate"):
        pass
    assert said == []


def test_a_registration_that_another_door_has_taken_over_is_left_to_it(said):
    with registered(said, holding="https://127.0.0.1:9443/validate"):
        pass
    assert "removed" not in names(said)
    assert said[-1] == "  registered    stateward-serve asks https://127.0.0.1:9443/validate by now; left as it is"


def test_a_registration_that_somebody_has_removed_is_no_error(said):
    with registered(said, holding=None):
        pass
    assert names(said)[-1].startswith("  registered    stateward-serve asks https://127.0.0.1:8443/validate")


def crd(kind, properties, uid="1"):
    """A CRD whose specification has these properties."""
    spec = {"type": "object", "properties": properties}
    return {
        "metadata": {"uid": uid, "generation": 1},
        "spec": {
            "group": "garage.example.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": f"{kind.lower()}s"},
            "versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


STORAGE = {"storage": {"type": "object", "properties": {"size": {"type": "string"}}}}


def asked(wanted):
    return [entry for entry in wanted["webhooks"][0]["rules"] if entry["apiGroups"] == ["garage.example.com"]]


def eventually(good):
    until = time.monotonic() + 5
    while not good():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_kind_that_is_judged_by_its_shape_is_asked_about_as_soon_as_it_is_there(said, monkeypatch):
    monkeypatch.setattr(cluster, "FOLLOW", 0.01)
    watch = Watched()
    with registered(said, watch):
        assert asked(said[1][1]) == []
        watch.crds = [crd("Garage", STORAGE), crd("Route", {"host": {"type": "string"}}, "2")]
        eventually(lambda: names(said).count("registered") == 2)
    [entry] = asked(next(one[1] for one in reversed(said) if one[0] == "registered"))
    assert (entry["resources"], entry["operations"]) == (["garages"], ["CREATE", "UPDATE", "DELETE"])


@pytest.mark.parametrize("holding", ["https://other:1/validate", None])
def test_who_was_replaced_or_removed_does_not_register_anew(said, monkeypatch, holding):
    monkeypatch.setattr(cluster, "FOLLOW", 0.01)
    watch = Watched()
    with registered(said, watch, holding=holding):
        watch.crds = [crd("Garage", STORAGE)]
        time.sleep(0.1)
    assert names(said).count("registered") == 1
