"""All rules. A new rule is a module in the folder of its area and a line here."""

from __future__ import annotations

from typing import Final

from stateward.policies.rule import Rule
from stateward.policies.rules.backup import archive_shared, backup_switched_off, restore_over_data
from stateward.policies.rules.control import (
    crd_prunes_fields,
    data_plane_left_behind,
    operator_downgraded,
    operator_drops_engine_version,
    operator_rolls_operands,
    operator_skips_releases,
    operator_starts_while_crd_goes,
    operator_version_unreadable,
    safeguard_off,
    unpinned_engine_follows_operator,
    webhook_backend_deleted,
)
from stateward.policies.rules.credentials import (
    authority_replaced,
    credential_changed_underneath,
    owner_elsewhere,
    secret_deleted,
)
from stateward.policies.rules.deletion import (
    claim_deleted,
    crd_deleted,
    namespace_deleted,
    scale_down_deletes_claims,
    service_deleted,
    volume_deleted,
)
from stateward.policies.rules.geometry import (
    autoscaler_overridden,
    bootstrap_over_cluster,
    cluster_identity_changed,
    engine_mode_switched,
    fixed_value_changed,
    initial_setting_changed,
    members_of_fixed_pool,
    memory_below_need,
    preempts_members,
    restart_without_standby,
    second_set_for_members,
)
from stateward.policies.rules.quorum import (
    change_while_member_down,
    eviction_breaks_quorum,
    member_deleted,
    members_leave_with_data,
    members_share_node,
    members_without_node,
    quorum_lost,
    replication_over_members,
    standby_lost,
    static_voters_scaled,
)
from stateward.policies.rules.storage import (
    claim_template_change,
    claims_left_behind,
    data_off_volume,
    ephemeral_members,
    ephemeral_over_claims,
    recreated_over_other_claims,
    rollout_over_ephemeral,
    storage_class_change,
    tracked_claim_template,
    two_writers,
    volume_cannot_grow,
    volume_shrink,
    zonal_volume_bound_early,
)
from stateward.policies.rules.upgrades import (
    changes_at_once,
    downgrade,
    floating_version,
    one_way_flag,
    one_way_without_backup,
    skipped_hop,
    unreadable_version,
    unreleased_image,
)

RULES: Final[tuple[Rule, ...]] = (
    storage_class_change.storage_class_change,
    volume_shrink.volume_shrink,
    claim_template_change.claim_template_change,
    claims_left_behind.claims_left_behind,
    data_off_volume.data_off_volume,
    ephemeral_over_claims.ephemeral_over_claims,
    rollout_over_ephemeral.rollout_over_ephemeral,
    zonal_volume_bound_early.zonal_volume_bound_early,
    tracked_claim_template.tracked_claim_template,
    volume_cannot_grow.volume_cannot_grow,
    recreated_over_other_claims.recreated_over_other_claims,
    two_writers.two_writers,
    ephemeral_members.ephemeral_members,
    quorum_lost.quorum_lost,
    standby_lost.standby_lost,
    static_voters_scaled.static_voters_scaled,
    members_leave_with_data.members_leave_with_data,
    replication_over_members.replication_over_members,
    eviction_breaks_quorum.eviction_breaks_quorum,
    members_share_node.members_share_node,
    members_without_node.members_without_node,
    change_while_member_down.change_while_member_down,
    member_deleted.member_deleted,
    downgrade.downgrade,
    skipped_hop.skipped_hop,
    one_way_without_backup.one_way_without_backup,
    unreadable_version.unreadable_version,
    one_way_flag.one_way_flag,
    unreleased_image.unreleased_image,
    changes_at_once.changes_at_once,
    floating_version.floating_version,
    service_deleted.service_deleted,
    claim_deleted.claim_deleted,
    namespace_deleted.namespace_deleted,
    crd_deleted.crd_deleted,
    scale_down_deletes_claims.scale_down_deletes_claims,
    volume_deleted.volume_deleted,
    archive_shared.archive_shared,
    restore_over_data.restore_over_data,
    backup_switched_off.backup_switched_off,
    secret_deleted.secret_deleted,
    credential_changed_underneath.credential_changed_underneath,
    authority_replaced.authority_replaced,
    owner_elsewhere.owner_elsewhere,
    crd_prunes_fields.crd_prunes_fields,
    webhook_backend_deleted.webhook_backend_deleted,
    operator_downgraded.operator_downgraded,
    operator_skips_releases.operator_skips_releases,
    operator_drops_engine_version.operator_drops_engine_version,
    unpinned_engine_follows_operator.unpinned_engine_follows_operator,
    operator_rolls_operands.operator_rolls_operands,
    data_plane_left_behind.data_plane_left_behind,
    operator_starts_while_crd_goes.operator_starts_while_crd_goes,
    operator_version_unreadable.operator_version_unreadable,
    safeguard_off.safeguard_off,
    members_of_fixed_pool.members_of_fixed_pool,
    cluster_identity_changed.cluster_identity_changed,
    engine_mode_switched.engine_mode_switched,
    bootstrap_over_cluster.bootstrap_over_cluster,
    autoscaler_overridden.autoscaler_overridden,
    memory_below_need.memory_below_need,
    restart_without_standby.restart_without_standby,
    preempts_members.preempts_members,
    second_set_for_members.second_set_for_members,
    fixed_value_changed.fixed_value_changed,
    initial_setting_changed.initial_setting_changed,
)

BY_ID: Final[dict[str, Rule]] = {rule.id: rule for rule in RULES}


def find(name: str) -> Rule | None:
    """A rule by its id or its name."""
    return BY_ID.get(name.upper()) or next((rule for rule in RULES if rule.name == name), None)
