"""Verdicts that are told without a run, and those that stay true although their asset was materialized since.

Dagster shows a check as not evaluated as soon as its asset has a newer materialization. A comparison that failed at night
would be out of sight with the next event, and a report of the log, which reads no file, would hide that a file is broken.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (  # not exported
    AssetCheckEvaluationTargetMaterializationData,
)

from pipelines_persistence.defs.events.naming import DENSE, EVENT_LOG, REJECTED, REPLAY, read_model

Materializations = Mapping[dg.AssetKey, dg.EventLogRecord]


def latest_materializations(instance: dg.DagsterInstance, projections: Sequence[str]) -> Materializations:
    """Return the last materializations of the log and of the read models, where there are any."""
    keys = [EVENT_LOG, *map(read_model, projections)]
    entries = [record.asset_entry for record in instance.get_asset_records(keys)]
    return {
        entry.asset_key: entry.last_materialization_record
        for entry in entries
        if entry.last_materialization_record
    }


def told(
    verdict: dg.AssetCheckResult | dg.AssetCheckEvaluation, latest: Materializations
) -> dg.AssetCheckEvaluation:
    """Return a verdict as an event that needs no run, on the last materialization of its asset."""
    if verdict.asset_key is None or verdict.check_name is None:
        raise ValueError("a verdict says which check it is of")
    target = latest.get(verdict.asset_key)
    return dg.AssetCheckEvaluation(
        asset_key=verdict.asset_key,
        check_name=verdict.check_name,
        passed=verdict.passed,
        metadata=verdict.metadata,
        severity=verdict.severity,
        description=verdict.description,
        # Without it Dagster compares times, of which one is cut off to seconds.
        target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
            storage_id=target.storage_id, run_id=target.run_id, timestamp=target.timestamp
        )
        if target
        else None,
    )


def hidden_verdicts(
    instance: dg.DagsterInstance, projections: Sequence[str], latest: Materializations, *, is_reported: bool
) -> Iterator[dg.AssetCheckEvaluation]:
    """Return the verdicts to tell again: that on the files, and those that failed, until they are looked at anew.

    Args:
        instance: knows the verdicts.
        projections: by name.
        latest: the last materializations.
        is_reported: whether the log is about to have another one.
    """
    lasting = [dg.AssetCheckKey(EVENT_LOG, REJECTED)]
    failing = [dg.AssetCheckKey(EVENT_LOG, DENSE)]
    failing += [dg.AssetCheckKey(read_model(name), REPLAY) for name in projections]
    hidden_by = {key: record.timestamp for key, record in latest.items()}
    if is_reported:
        hidden_by[EVENT_LOG] = math.inf
    for key in [*lasting, *failing]:
        found = _verdict(instance, key, before=hidden_by.get(key.asset_key, 0.0))
        if found and (key in lasting or not found.passed):
            yield told(found, latest)


def _verdict(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, *, before: float
) -> dg.AssetCheckEvaluation | None:
    """Return the last verdict of a check, if it was made before a moment."""
    record = instance.get_latest_asset_check_evaluation_record(key)
    if record is None or record.event is None or record.event.timestamp >= before:
        return None
    # Else one is being made just now.
    return record.evaluation if isinstance(record.evaluation, dg.AssetCheckEvaluation) else None
