import os

import pytest

from pipelines_persistence.adapters.embedding import create_embedder
from pipelines_persistence.adapters.embedding.processors import available_cpus, has_bf16
from pipelines_persistence.configuration import EmbeddingConfig
from pipelines_persistence.errors import ConfigurationError

ALL = len(os.sched_getaffinity(0))


def test_without_a_quota_every_processor_of_the_affinity_counts(tmp_path):
    assert available_cpus(tmp_path) == ALL
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_cpus(tmp_path) == ALL


@pytest.mark.parametrize(
    ("quota", "cpus"), [("50000 100000", 1), ("150000 100000", 2), ("9900000 100000", ALL)]
)
def test_a_quota_of_cgroup_2_is_rounded_up_and_kept(tmp_path, quota, cpus):
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert available_cpus(tmp_path) == min(cpus, ALL)


@pytest.mark.parametrize(("quota", "cpus"), [("-1", ALL), ("50000", 1)])
def test_a_quota_of_cgroup_1_is_kept(tmp_path, quota, cpus):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")

    assert available_cpus(tmp_path) == min(cpus, ALL)


def test_bf16_is_taken_where_the_processor_has_it_and_refused_where_it_has_not():
    if has_bf16():
        assert create_embedder(EmbeddingConfig(precision="bf16")).fingerprint.endswith("precision=bf16")
    else:
        with pytest.raises(ConfigurationError, match="does not compute in bf16"):
            create_embedder(EmbeddingConfig(precision="bf16"))


def test_auto_and_the_precision_that_it_takes_have_one_fingerprint():
    taken = "bf16" if has_bf16() else "fp32"

    assert (
        create_embedder(EmbeddingConfig()).fingerprint
        == create_embedder(EmbeddingConfig(precision=taken)).fingerprint
    )
