"""What the operator counts is written down, each of it, and goes with its service."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from stateward.operator.manager import Manager
from stateward.operator.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]


def counted() -> dict[str, str]:
    """Name → type, of all that an operator shows."""
    metrics = Metrics()
    manager = Manager(lambda _: None, list, metrics, workers=0).start()
    manager.stop()
    found = {}
    for family in metrics.registry.collect():
        found[f"{family.name}_total" if family.type == "counter" else family.name] = family.type
    return found


def test_the_document_has_every_metric_and_no_other() -> None:
    text = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(stateward_\w+)` \| (\w+) \|", text, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    assert dict(rows) == counted()


def test_alerts_ask_for_metrics_that_there_are() -> None:
    rules = yaml.safe_load((ROOT / "manifests" / "chart" / "files" / "operator-alerts.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            names = re.findall(r"stateward_\w+", rule["expr"])
            assert names
            assert set(names) <= set(counted()), rule["alert"]


def test_nothing_is_said_of_a_service_that_is_gone() -> None:
    metrics, key = Metrics(), ("prod", "db")
    metrics.seen(key, [("wanted", 3), ("present", 3), ("ready", 2)], "Denied")
    metrics.spared(key, 0)
    metrics.doing(key, "Upgrade", 1000.0)
    assert 'service="db"' in metrics.page().decode()
    metrics.forget(key, ("wanted", "present", "ready"))
    assert 'service="db"' not in metrics.page().decode()


def test_an_operation_that_follows_another_takes_its_place() -> None:
    metrics, key = Metrics(), ("prod", "db")
    metrics.doing(key, "ScaleUp", 1000.0)
    metrics.doing(key, "Upgrade", 2000.0)
    page = metrics.page().decode()
    assert 'operation="Upgrade",service="db"} 2000.0' in page
    assert "ScaleUp" not in page
    metrics.doing(key, "", 0.0)
    assert "Upgrade" not in metrics.page().decode()


def test_who_leads_no_more_says_nothing_of_services() -> None:
    leads = True
    metrics, key = Metrics(lambda: leads), ("prod", "db")
    metrics.seen(key, [("wanted", 3)], "Denied")
    metrics.doing(key, "Upgrade", 1000.0)
    assert 'service="db"' in metrics.page().decode()
    leads = False
    assert 'service="db"' not in metrics.page().decode()
    leads = True
    metrics.seen(key, [("wanted", 3)], "")
    metrics.doing(key, "Upgrade", 1000.0)
    assert 'operation="Upgrade"' in metrics.page().decode()
    assert "Denied" not in metrics.page().decode()
