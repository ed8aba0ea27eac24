"""TokenReview and SubjectAccessReview: what is asked, and what counts as a yes."""

import json

import pytest

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.kube.reviews import Account, Reviews

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@pytest.fixture
def cluster(kubeconfig):
    with_cluster = Cluster.from_kubeconfig(kubeconfig)
    yield with_cluster
    with_cluster.close()


def answer(api, path, status):
    api.always(f"POST {path}", lambda to, asked: to.send(201, {"status": status}))


def asked(api):
    return json.loads(api.asked[-1].body)["spec"]


USER = {"username": "jane", "uid": "u", "groups": ["dev", 3], "extra": {"scopes": ["a", 1]}}


def test_a_token_is_somebodys(api, cluster):
    answer(api, TOKENS, {"authenticated": True, "user": USER})
    assert Reviews(cluster).account("t") == Account("jane", "u", ("dev",), {"scopes": ["a"]})
    assert asked(api) == {"token": "t"}


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False, "user": USER},
        {"authenticated": "true", "user": USER},
        {"authenticated": True},
        {"authenticated": True, "user": {"groups": ["system:masters"]}},
    ],
)
def test_anything_but_a_plain_yes_is_nobody(api, cluster, status):
    answer(api, TOKENS, status)
    assert Reviews(cluster).account("t") is None


@pytest.mark.parametrize(("given", "known"), [(["stateward"], True), (["other"], False), (None, False)])
def test_a_token_for_somebody_else_is_nobodys(api, cluster, given, known):
    answer(api, TOKENS, {"authenticated": True, "user": USER, "audiences": given})
    assert (Reviews(cluster, ["stateward"]).account("t") is not None) is known
    assert asked(api)["audiences"] == ["stateward"]


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"allowed": True}, True),
        ({"allowed": True, "denied": True}, False),
        ({"allowed": False}, False),
        ({"allowed": "yes"}, False),
        ({}, False),
    ],
)
def test_a_right_is_asked_for_the_path_and_the_verb(api, cluster, status, allowed):
    answer(api, ACCESS, status)
    account = Account("jane", "u", ("dev",), {"scopes": ["a"]})
    assert Reviews(cluster).allowed(account, "get", "/v1/rules") is allowed
    assert asked(api) == {
        "user": "jane",
        "uid": "u",
        "groups": ["dev"],
        "extra": {"scopes": ["a"]},
        "nonResourceAttributes": {"path": "/v1/rules", "verb": "get"},
    }


def test_what_cannot_be_asked_is_an_error_and_no_no(api, cluster, kit):
    api.always(f"POST {TOKENS}", kit.refuse(403, "Forbidden"))
    with pytest.raises(ClusterError) as caught:
        Reviews(cluster).account("secret-token")
    assert caught.value.status == 403
    assert "secret-token" not in str(caught.value)
    api.always(f"POST {TOKENS}", lambda to, asked: to.send(201, {"status": None}))
    with pytest.raises(ClusterError):
        Reviews(cluster).account("t")
