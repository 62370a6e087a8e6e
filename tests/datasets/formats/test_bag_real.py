"""Logs that robots recorded, of ROS 1 and of ROS 2."""

import json
from pathlib import Path

import pytest

from imitate.datasets.formats import PLAIN, ReadOptions
from imitate.datasets.formats.bag import read_bag
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore

PLOTJUGGLER = Path(__file__).resolve().parents[4] / "shared/data/plotjuggler_bags/datasamples"
needs_data = pytest.mark.skipif(
    not PLOTJUGGLER.is_dir(), reason="../shared/data/plotjuggler_bags is not there"
)


@needs_data
def test_real_logs_of_plotjuggler(tmp_path: Path) -> None:
    topics = tmp_path / "joints.yaml"
    topics.write_text(
        "rate_hz: 30\n"
        "observations: {state: {topic: /fake_joints_state, names: [joint_5, joint_0], units: rad}}\n"
        "action: {topic: /fake_joints_state, ahead_steps: 1}\n"
    )
    report = import_file(
        PLOTJUGGLER / "fake_joint_state.bag", tmp_path / "a.zarr", options=ReadOptions(topics)
    )
    assert (report.episodes, report.steps) == (1, 81)
    topics.write_text(
        "rate_hz: 20\nobservations:\n  pose: {topic: /pose, sample: slerp}\n"
        "  gyro: {topic: /imu, field: angular_velocity}\n  battery: {topic: /battery, field: voltage}\n"
        "action: {topic: /pose, field: pose.position, ahead_steps: 1}\n"
    )
    report = import_file(PLOTJUGGLER / "rosbag2_test", tmp_path / "b.zarr", options=ReadOptions(topics))
    assert (report.episodes, report.steps) == (1, 1251)
    store = DemoStore.open(report.out)
    assert store.spec.obs["battery"].units == ("V",)
    audit = store.metadata["rate_audit"]["topics"]["/imu"]
    assert audit["rate_hz"] == pytest.approx(25.0, abs=0.01)
    json.dumps(store.metadata)
    alone = ReadOptions(topics)
    assert len(read_bag(PLOTJUGGLER / "rosbag2_test" / "rosbag2_test_0.db3", alone)) == 1
    assert PLAIN.topics is None
