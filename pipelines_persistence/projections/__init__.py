"""Projections: read models that follow from the log, exactly once, and the runner that keeps them so."""

from pipelines_persistence.projections.declaring import FrameProjection, Projection, on
from pipelines_persistence.projections.frames import to_frame
from pipelines_persistence.projections.ports import (
    Build,
    BuildState,
    Checkpoint,
    CheckpointMoved,
    DeadLetter,
    NotCaughtUp,
    ReadModels,
    Step,
)
from pipelines_persistence.projections.report import ProjectionReport
from pipelines_persistence.projections.rows import Models, RowRefused, Rows, Unit
from pipelines_persistence.projections.runner import ProjectionRunner
from pipelines_persistence.projections.tables import Column, Kind, Table
from pipelines_persistence.projections.working import OnError, Tally

__all__ = [
    "Build",
    "BuildState",
    "Checkpoint",
    "CheckpointMoved",
    "Column",
    "DeadLetter",
    "FrameProjection",
    "Kind",
    "Models",
    "NotCaughtUp",
    "OnError",
    "Projection",
    "ProjectionReport",
    "ProjectionRunner",
    "ReadModels",
    "RowRefused",
    "Rows",
    "Step",
    "Table",
    "Tally",
    "Unit",
    "on",
    "to_frame",
]
