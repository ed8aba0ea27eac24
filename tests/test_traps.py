"""What trips admission webhooks up, and the tests that show that each trap is known: none of them may be lost in silence."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent

TRAPS: dict[str, tuple[str, ...]] = {
    "scale of a StatefulSet and of a custom resource reaches us and is judged": (
        "test_a_set_is_not_scaled_below_its_quorum",
        "test_a_custom_resource_is_judged_through_its_scale",
        "test_a_scale_comes_without_labels_and_says_whose_it_is_by_resource_alone",
    ),
    "an eviction reaches us": (
        "test_a_member_is_evicted_only_while_the_others_keep_the_quorum",
        "test_a_drain_of_healthy_members_takes_no_more_than_the_quorum_can_lose",
    ),
    "an item of a deleted collection has no name": (
        "test_the_items_of_a_deleted_collection_come_without_a_name",
        "test_a_collection_is_judged_object_by_object",
    ),
    "the deletion of a pod is delivered twice": ("test_a_pod_is_deleted_twice_and_both_are_let_through",),
    "a deletion has no object": (
        "test_a_service_is_not_deleted_unconfirmed",
        "test_a_bound_claim_is_not_deleted_unconfirmed",
    ),
    "a fault of ours is HTTP 500, a denial is 200 with allowed: false": (
        "test_a_fault_of_ours_is_answered_500_and_explained_in_the_log_alone",
        "test_a_harmful_change_is_refused_with_exactly_what_the_engine_says",
    ),
    "warnings are short, few and free of control characters": (
        "test_a_warning_has_no_control_characters",
        "test_a_warning_is_at_most_120_characters",
        "test_there_are_at_most_16_warnings",
    ),
    "keys of audit annotations are legal": (
        "test_audit_annotations_are_legal",
        "test_warnings_and_audit_keys_are_such_as_an_api_server_takes",
    ),
    "a patch always applies to what was sent": (
        "test_any_object_can_be_patched_and_then_needs_nothing",
        "test_a_pointer_escapes_slashes_and_tildes",
    ),
    "a mutation is idempotent": (
        "test_any_object_can_be_patched_and_then_needs_nothing",
        "test_asked_again_after_another_webhook_it_fills_nothing_in_twice",
    ),
    "a dry run has no side effect": (
        "test_a_dry_run_is_judged_like_any_other",
        "test_a_refusal_is_an_event_on_the_object_and_a_dry_run_is_none",
        "test_dry_runs_are_kept_and_not_counted",
    ),
    "the garbage collector and the namespace controller are never wedged": (
        "test_what_a_deleted_set_owned_is_collected",
        "test_a_confirmed_namespace_goes_with_everything_in_it",
        "test_a_namespace_that_goes_is_not_held_up",
    ),
    "an old sin that is not touched passes": (
        "test_what_was_wrong_before_and_is_not_touched_passes",
        "test_annotations_and_labels_pass_even_where_an_object_breaks_rules",
    ),
    "SIGTERM under load fails no call": (
        "test_sigterm_under_load_fails_no_call",
        "test_no_edit_fails_while_the_door_ends",
        "test_a_rollout_loses_no_call",
    ),
    "a connection that idles for 91 s is still there": ("test_connections_stay_open_longer_than_the_api_server_keeps_them",),
    "a certificate is exchanged under load, half-written, from RSA to ECDSA": (
        "test_certificates_are_exchanged_under_load_without_a_failed_call",
        "test_cut_short_at_any_write_the_next_start_mends_it",
        "test_from_rsa_to_ecdsa_nothing_of_the_rsa_pair_stays",
    ),
    "two authorities of one name in a bundle": ("test_two_authorities_of_one_name_in_one_bundle_are_told_apart",),
    "a body of 7 MiB and one byte is refused with 413": (
        "test_a_body_of_exactly_the_limit_is_read",
        "test_a_length_over_the_limit_is_answered_413_without_reading_the_body",
    ),
    "a review of v1beta1 is refused": ("test_a_review_of_another_version_is_answered_400",),
    "unknown fields are kept": ("test_fields_that_nobody_knows_reach_us_as_they_were_sent", "test_unknown_fields_are_kept"),
}


@cache
def defined() -> dict[str, Path]:
    """Test → its file, for every test there is."""
    found = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = path
    return found


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_has_its_tests(trap: str) -> None:
    missing = [name for name in TRAPS[trap] if name not in defined()]
    assert not missing
