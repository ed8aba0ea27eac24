"""`stateward lint --cluster`: manifests judged as edits of what a real API server has."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cluster_kit import Cluster, Item, Kubectl, merged, postgres_cluster, stateful_set, with_image

from stateward.cli import live, manifests, overlay
from stateward.cli.edits import Edit
from stateward.cli.main import cli
from stateward.kube.client import Cluster as Client

Lint = Callable[..., Result]


@pytest.fixture
def own(cluster: Cluster, crds: None, namespace: str) -> Kubectl:
    """kubectl as an administrator in the test's namespace; no door is needed here."""
    return cluster.kubectl.at(namespace)


@pytest.fixture
def lint(cluster: Cluster, own: Kubectl, tmp_path: Path) -> Lint:
    def run(*items: Item, options: tuple[str, ...] = (), kubeconfig: Path = cluster.kubeconfig) -> Result:
        path = tmp_path / "given.yaml"
        path.write_text(yaml.safe_dump_all(items, sort_keys=False))
        fixed = ("--cluster", "--kubeconfig", str(kubeconfig), "--namespace", own.namespace)
        return CliRunner().invoke(cli, ["lint", *fixed, *options, str(path)])

    return run


def small(name: str = "members", replicas: int = 3) -> Item:
    return stateful_set(name, "etcd:3.5.17", replicas=replicas)


def test_what_the_cluster_has_is_what_a_manifest_changes(own: Kubectl, lint: Lint) -> None:
    own.must("apply", "-f", "-", stdin=[small(), postgres_cluster("pg")])

    same = lint(small(), postgres_cluster("pg"))
    less = lint(small(replicas=1), merged(postgres_cluster("pg"), {"spec": {"storage": {"size": "512Mi"}}}))

    assert (same.exit_code, same.stderr) == (0, "2 objects in 1 file, 0 refused\n")
    assert less.exit_code == 1
    assert f"SW201 deny quorum-lost · StatefulSet {own.namespace}/members" in less.stdout
    assert "SW102 deny volume-shrink" in less.stdout
    assert "replicas: 1" in less.stdout, "the place is that of the manifest"


def test_what_does_not_exist_there_is_created(own: Kubectl, lint: Lint) -> None:
    assert lint(small("never", replicas=1)).exit_code == 0


@pytest.fixture
def edit(own: Kubectl) -> Iterator[Callable[[Item], Edit]]:
    """An object as an edit of the cluster."""
    client = Client.from_kubeconfig(own.kubeconfig)

    def of(item: Item) -> Edit:
        (document,) = manifests.load(["-"], io.BytesIO(yaml.safe_dump(item).encode())).documents
        found = live._Reader(client, own.namespace, []).edit(document, [])
        assert found is not None
        return found

    yield of
    client.close()


def test_a_field_that_was_applied_and_is_no_longer_written_is_taken_away(own: Kubectl, edit: Callable[[Item], Edit]) -> None:
    # A destination of its own: that of a namespace that still goes away counts.
    store = {"destinationPath": f"s3://{own.namespace}/pg"}
    item = merged(postgres_cluster("pg"), {"spec": {"backup": {"barmanObjectStore": store}}})
    own.must("apply", "-f", "-", stdin=item)

    found = edit(postgres_cluster("pg"))

    assert found.old is not None
    assert found.new is not None
    assert "backup" in found.old.object["spec"]
    assert "backup" not in found.new.object["spec"]


def test_a_field_applied_on_the_server_and_no_longer_written_is_taken_away(
    own: Kubectl, edit: Callable[[Item], Edit]
) -> None:
    # A destination of its own: that of a namespace that still goes away counts.
    store = {"destinationPath": f"s3://{own.namespace}/pg"}
    item = merged(postgres_cluster("pg"), {"spec": {"backup": {"barmanObjectStore": store}}})
    own.must("apply", "--server-side", "--field-manager", "robot", "-f", "-", stdin=item)

    found = edit(postgres_cluster("pg"))

    assert found.new is not None
    assert "backup" not in found.new.object["spec"]


def test_fields_that_only_live_stay(own: Kubectl, edit: Callable[[Item], Edit]) -> None:
    own.must("apply", "-f", "-", stdin=small())
    own.must("patch", "statefulset", "members", "--type=merge", "-p", '{"spec": {"minReadySeconds": 7}}')

    found = edit(small())

    assert found.new is not None
    assert found.new.object["spec"]["minReadySeconds"] == 7
    assert found.new.object["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    assert "managedFields" not in found.new.object["metadata"]


def test_the_merge_made_here_is_what_the_api_server_stores(own: Kubectl, edit: Callable[[Item], Edit]) -> None:
    # Where the door is open, it judges the trial run, too; here it is the merge that matters.
    own.past.must("label", "namespace", own.namespace, "stateward.dev/disposable=true")
    own.must("apply", "-f", "-", stdin=small())
    item = with_image(small(replicas=5), "etcd:3.5.18")
    item["spec"]["template"]["spec"]["containers"].insert(0, {"name": "side", "image": "busybox"})
    own.passes("apply", "-f", "-", "--dry-run=server", stdin=item)

    asked = edit(item)
    assert asked.old is not None
    assert asked.new is not None
    here = overlay.laid_over(asked.old.object, item)
    own.must("apply", "-f", "-", stdin=item)

    stored = own.get("statefulset", "members")["spec"]
    assert asked.new.object["spec"] == stored
    by_name = {one["name"]: one for one in here["spec"]["template"]["spec"]["containers"]}
    assert by_name["main"] == next(one for one in stored["template"]["spec"]["containers"] if one["name"] == "main")
    assert here["spec"]["volumeClaimTemplates"] == stored["volumeClaimTemplates"]
    assert here["spec"]["replicas"] == 5


def test_what_the_api_server_itself_refuses_is_judged_still(own: Kubectl, lint: Lint) -> None:
    own.must("apply", "-f", "-", stdin=small())
    item = small()
    item["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "8Mi"

    result = lint(item)

    assert result.exit_code == 1
    assert "SW103 deny claim-template-change" in result.stdout
    assert "the API server refuses it: spec; judged with the manifest laid over the live object here" in result.stderr


def test_what_files_alone_cannot_show_is_looked_up(own: Kubectl, lint: Lint) -> None:
    own.must("apply", "-f", "-", stdin=postgres_cluster("pg"))

    result = lint(merged(postgres_cluster("pg"), {"spec": {"storage": {"size": "512Mi"}}}))

    assert "not given" not in result.stdout, "claims were listed, and there are none"


def test_a_kind_that_is_not_served_is_told(own: Kubectl, lint: Lint) -> None:
    unknown = {"apiVersion": "example.org/v1", "kind": "Nothing", "metadata": {"name": "x"}}
    older = {**small("old"), "apiVersion": "apps/v1beta1"}

    result = lint(unknown, older)

    assert result.exit_code == 0
    assert "example.org/v1, Nothing: not served by this cluster; judged as created" in result.stderr
    assert "apps/v1beta1, StatefulSet: not served" in result.stderr


def test_the_data_of_a_secret_is_neither_kept_nor_shown(own: Kubectl, lint: Lint, edit: Callable[[Item], Edit]) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
    own.must("apply", "-f", "-", stdin=secret)

    found = edit(secret)

    for one in (found.old, found.new):
        assert one is not None
        assert "hunter2" not in json.dumps(one.object)
        assert "aHVudGVyMg" not in json.dumps(one.object)
    assert found.old is not None
    assert found.new is not None
    assert found.old.object["data"] == found.new.object["data"], "equal values stay equal"
    other = edit({**secret, "stringData": {"password": "hunter3"}})
    assert other.new is not None
    assert other.new.object["data"] != found.old.object["data"]
    result = lint({**secret, "stringData": {"password": "hunter3"}})
    assert result.exit_code == 0
    assert "hunter" not in result.output


# --- prune ---------------------------------------------------------------------------------------------------------


def test_prune_deletes_what_kubectl_applied_with_the_labels_and_nothing_else(own: Kubectl, lint: Lint) -> None:
    labels = {"metadata": {"labels": {"team": "books"}}}
    given, gone, other = (merged(small(name), labels) for name in ("given", "gone", "made"))
    own.must("apply", "-f", "-", stdin=[given, gone, small("unlabelled")])
    own.must("create", "-f", "-", stdin=other)

    without = lint(given)
    pruned = lint(given, options=("--prune", "--selector", "team=books"))

    assert "SW401" not in without.stdout
    assert pruned.exit_code == 1
    assert pruned.stdout.count("SW401 deny") == 1
    assert f"live:{own.namespace}/StatefulSet/gone:" in pruned.stdout


# --- rights --------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_account(cluster: Cluster, own: Kubectl, tmp_path: Path) -> Callable[..., Path]:
    """A kubeconfig of a service account that may do so much in its namespace: verbs and resources."""

    def make(*rules: tuple[str, str]) -> Path:
        own.must("create", "serviceaccount", "reader")
        for number, (verbs, resources) in enumerate(rules):
            own.must("create", "role", f"r{number}", f"--verb={verbs}", f"--resource={resources}")
            own.must("create", "rolebinding", f"r{number}", f"--role=r{number}", f"--serviceaccount={own.namespace}:reader")
        token = own.must("create", "token", "reader").out.strip()
        found = yaml.safe_load(Path(cluster.kubeconfig).read_text())
        context = next(one["context"] for one in found["contexts"] if one["name"] == found["current-context"])
        found["users"] = [{"name": "reader", "user": {"token": token}}]
        found["contexts"] = [{"name": "reader", "context": {"cluster": context["cluster"], "user": "reader"}}]
        found["current-context"] = "reader"
        path = tmp_path / "reader.kubeconfig"
        path.write_text(yaml.safe_dump(found))
        return path

    return make


def test_who_may_only_read_gets_the_manifest_laid_over_here(
    own: Kubectl, lint: Lint, as_account: Callable[..., Path]
) -> None:
    own.must("apply", "-f", "-", stdin=small())

    result = lint(small(replicas=1), kubeconfig=as_account(("get", "statefulsets.apps")))

    assert result.exit_code == 1, result.output
    assert "SW201 deny quorum-lost" in result.stdout
    assert "StatefulSet.apps: this account may not patch statefulsets, so the API server is not asked" in result.stderr


def test_who_may_not_even_read_is_told_which_manifest_could_not_be_judged(
    own: Kubectl, lint: Lint, as_account: Callable[..., Path]
) -> None:
    own.must("apply", "-f", "-", stdin=[small(), postgres_cluster("pg")])
    less = merged(postgres_cluster("pg"), {"spec": {"storage": {"size": "512Mi"}}})

    kubeconfig = as_account(("get", "clusters.postgresql.cnpg.io"))
    result = lint(small(replicas=1), less, kubeconfig=kubeconfig)

    assert result.exit_code == 2, result.output
    assert "what the cluster has of it cannot be read" in result.stderr
    assert "SW102 deny volume-shrink" in result.stdout
    assert "PersistentVolumeClaim: not listed (403 Forbidden), so what rules look for there is unknown" in result.stderr


def test_a_token_that_is_not_good_ends_with_two(lint: Lint, own: Kubectl, as_account: Callable[..., Path]) -> None:
    kubeconfig = as_account()
    found = yaml.safe_load(kubeconfig.read_text())
    found["users"][0]["user"]["token"] = "nobody"
    kubeconfig.write_text(yaml.safe_dump(found))

    result = lint(small(), kubeconfig=kubeconfig)

    assert result.exit_code == 2
    assert "401" in result.stderr
    assert "renew the credentials" in result.stderr
    assert "nobody" not in result.output
