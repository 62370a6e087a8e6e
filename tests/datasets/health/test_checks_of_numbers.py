"""Each check of numbers finds what it is for, with the figures, and says nothing of sound recordings."""

from dataclasses import replace

import numpy as np
import pytest
from recordings import SPEC, arm_episodes, arm_group, changed, group_of

from imitate.datasets.health import (
    constants,
    copies,
    finite,
    grippers,
    lag,
    lengths,
    outcomes,
    pauses,
    quaternions,
    saturation,
    stamps,
    units,
)
from imitate.datasets.health.diagnosis import examine
from imitate.datasets.health.finding import Finding
from imitate.datasets.timing import KEY, timing
from imitate.types import Episode


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def spoilt(index: int, **arrays: np.ndarray) -> list[Episode]:
    episodes = arm_episodes()
    episodes[index] = changed(episodes[index], **arrays)
    return episodes


def test_sound_recordings_have_no_fault_but_that_nobody_judged_them() -> None:
    assert only(examine(arm_group())).check == outcomes.CHECK


def test_a_single_nan_is_an_error_and_hides_nothing_else() -> None:
    episodes = arm_episodes()
    joints = episodes[3].obs["joints"].copy()
    joints[7, 1] = np.nan
    episodes[3] = changed(episodes[3], joints=joints)
    group = group_of(episodes)
    found = only(finite.check(group))
    assert (found.severity, found.episodes) == ("error", ("e3",))
    assert "joints at 1 steps" in found.what
    assert len(group.sound) == 11
    assert {one.check for one in examine(group)} == {finite.CHECK, outcomes.CHECK}


def test_an_episode_of_three_steps_is_short() -> None:
    episodes = arm_episodes()
    obs = {key: array[:3] for key, array in episodes[2].obs.items()}
    episodes[2] = replace(episodes[2], obs=obs, action=episodes[2].action[:3])
    assert only(lengths.check(group_of(episodes))).episodes == ("e2",)


@pytest.fixture
def stamped() -> list[Episode]:
    """Stamps at exactly 10 Hz."""
    return [replace(e, metadata={KEY: timing(np.arange(len(e)) / 10.0, 10.0)}) for e in arm_episodes()]


@pytest.mark.parametrize(
    ("spoil", "severity", "words"),
    [
        (lambda t: t + 0.7 * (np.arange(len(t)) > 9), "warning", "1 gaps, the longest of 0.8 s after step 9"),
        (lambda t: t - 0.5 * (np.arange(len(t)) > 9), "error", "1 time stamps are not after"),
        (lambda t: 1.25 * t, "warning", "steps come at 8 Hz, declared are 10 Hz"),
        (lambda t: t + 0.02 * np.sin(9 * t**2), "warning", "ms early or late (root mean square), of 1"),
    ],
)
def test_stamps(stamped: list[Episode], spoil: object, severity: str, words: str) -> None:
    assert not stamps.check(group_of(stamped))
    stamps_s = np.arange(len(stamped[5])) / 10.0
    stamped[5] = replace(stamped[5], metadata={KEY: timing(spoil(stamps_s), 10.0)})  # type: ignore[operator]
    found = only(stamps.check(group_of(stamped)))
    assert (found.severity, found.episodes) == (severity, ("e5",))
    assert words in found.what


def test_copies_exact_and_cut_out() -> None:
    episodes = arm_episodes()
    again = replace(episodes[4], id="again")
    assert "again of e4" in only(copies.check(group_of([*episodes, again]))).what
    part = {key: array[4:50] for key, array in episodes[4].obs.items()}
    near = Episode("part", part, episodes[4].action[4:50] + np.float32(1e-4))
    found = only(copies.check(group_of([*episodes, near])))
    assert (found.severity, found.episodes) == ("warning", ("part",))


@pytest.mark.parametrize(("steps", "found"), [(1, False), (2, False), (5, True), (8, True)])
def test_the_lag_of_the_whole_set(steps: int, found: bool) -> None:
    findings = lag.check(arm_group(lag=steps))
    assert bool(findings) == found
    if found:
        assert (only(findings).severity, only(findings).episodes) == ("notice", ())
        assert float(findings[0].what.split("after ")[1].split(" steps")[0]) == pytest.approx(steps, abs=0.3)


@pytest.mark.parametrize("by", [-4, 3, 6])
def test_an_episode_whose_action_was_moved(by: int) -> None:
    episodes = arm_episodes(lag=6)
    episodes[2] = changed(episodes[2], action=np.roll(episodes[2].action, by, axis=0))
    named = [one for one in lag.check(group_of(episodes)) if one.episodes]
    assert only(named).episodes == ("e2",)
    assert float(only(named).what.split("action ")[1].split(" steps")[0]) == pytest.approx(-by, abs=0.6)


@pytest.mark.parametrize("by", [-5, -3, 3, 5])
def test_a_slow_arm_whose_lag_depends_on_its_motion_hides_no_moved_action(by: int) -> None:
    slow = [following_slowly(e, 0.15, 0.2 + 0.1 * (i % 8)) for i, e in enumerate(arm_episodes())]
    assert not [one for one in lag.check(group_of(slow)) if one.episodes]
    slow[2] = changed(slow[2], action=np.roll(slow[2].action, by, axis=0))
    found = only([one for one in lag.check(group_of(slow)) if one.episodes])
    assert found.episodes == ("e2",)
    assert f"action {-by:+d} steps" in found.what


def following_slowly(episode: Episode, gain: float, tempo: float) -> Episode:
    """Joints go a share of their way to what is asked in each step: slow motions lag more than quick ones."""
    rng = np.random.default_rng(len(episode))
    asked = 0.5 * np.sin(tempo * np.arange(len(episode))[:, None] * [1.0, 1.4, 0.7] + rng.uniform(0, 6, 3))
    joints = np.zeros_like(asked)
    for t in range(1, len(asked)):
        joints[t] = joints[t - 1] + gain * (asked[t - 1] - joints[t - 1])
    joints += 1e-4 * rng.standard_normal(joints.shape)
    action = np.concatenate([asked, episode.action[:, 3:]], axis=1).astype(np.float32)
    return changed(episode, joints=joints.astype(np.float32), action=action)


def test_an_action_recorded_after_its_effect_is_a_warning() -> None:
    episodes = [changed(e, action=np.roll(e.action, 4, axis=0)) for e in arm_episodes(lag=1)]
    assert [one.severity for one in lag.check(group_of(episodes)) if not one.episodes] == ["warning"]


def test_a_dead_joint_and_one_that_is_constant_everywhere() -> None:
    joints = arm_episodes()[1].obs["joints"].copy()
    joints[:, 2] = 0.3
    found = only(constants.check(group_of(spoilt(1, joints=joints))))
    assert (found.severity, found.episodes) == ("warning", ("e1",))
    assert "joints.c never changes here" in found.what
    still = [changed(e, joints=e.obs["joints"] * np.float32([1, 1, 0])) for e in arm_episodes()]
    assert only(constants.check(group_of(still))).severity == "notice"


def test_no_action_at_all_is_an_error() -> None:
    still = [changed(e, action=np.ones_like(e.action)) for e in arm_episodes()]
    assert [one.severity for one in constants.check(group_of(still))] == ["error", "notice"]


def test_an_action_cut_off_at_the_bound_of_the_set() -> None:
    episodes = arm_episodes()
    top = max(float(e.action[:, 0].max()) for e in episodes)
    action = episodes[6].action.copy()
    action[:, 0] = np.minimum(action[:, 0] * 1.6, top)
    found = only(saturation.check(group_of(spoilt(6, action=action))))
    assert found.episodes == ("e6",)
    assert f"a rests at its highest value, {top:.6g}" in found.what


@pytest.mark.parametrize("factor", [180 / np.pi, np.pi / 180, 1000.0, 0.001])
def test_an_episode_in_another_unit(factor: float) -> None:
    joints = arm_episodes()[4].obs["joints"] * np.float32(factor)
    found = only(units.check(group_of(spoilt(4, joints=joints))))
    assert found.episodes == ("e4",)
    assert ("degrees" if abs(np.log10(factor)) < 2 else "1000") in found.what


def test_degrees_declared_as_radians() -> None:
    episodes = [changed(e, joints=np.degrees(e.obs["joints"])) for e in arm_episodes()]
    found = only(units.check(group_of(episodes)))
    assert found.episodes == ()
    assert "declared in rad: rather degrees" in found.what


def test_an_inverted_gripper() -> None:
    action = arm_episodes()[5].action.copy()
    action[:, 3] = 1.0 - action[:, 3]
    found = only(grippers.check(group_of(spoilt(5, action=action))))
    assert (found.severity, found.episodes) == ("error", ("e5",))


@pytest.mark.parametrize(("at_start", "word"), [(True, "start"), (False, "end")])
def test_a_pause(at_start: bool, word: str) -> None:
    episodes = arm_episodes()

    def held(array: np.ndarray) -> np.ndarray:
        rest = np.repeat(array[:1] if at_start else array[-1:], 15, axis=0)
        return np.concatenate([rest, array] if at_start else [array, rest])

    old = episodes[0]
    episodes[0] = replace(old, obs={k: held(v) for k, v in old.obs.items()}, action=held(old.action))
    found = only(pauses.check(group_of(episodes)))
    assert found.episodes == ("e0",)
    assert f"15 to 15 steps at the {word}, up to 1.5 s" in found.what


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda q: q * np.float32(1.2), "has length 1.2"),
        (lambda q: np.concatenate([q[:30], -q[30:]]), "jumps to its negative 1 times"),
        (lambda q: np.roll(q, 1, axis=1), "w moved to the other end"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_quaternions(spoil: object, words: str, named: bool) -> None:
    tool = spoil(arm_episodes()[3].obs["tool"])  # type: ignore[operator]
    spec = SPEC if named else replace(SPEC, obs={**SPEC.obs, "tool": replace(SPEC.obs["tool"], names=())})
    found = only(quaternions.check(group_of(spoilt(3, tool=tool), spec)))
    assert found.episodes == ("e3",)
    assert words in found.what


def judged(wrong: int | None) -> list[Episode]:
    """Every second episode ends elsewhere and failed; the label of one of them is wrong."""
    episodes = arm_episodes(count=24)
    for i, episode in enumerate(episodes):
        joints = episode.obs["joints"].copy()
        joints[-5:] = (0.9 if i % 2 else 0.2) + 0.01 * np.random.default_rng(i).standard_normal((5, 3))
        episodes[i] = replace(changed(episode, joints=joints), success=bool(i % 2) ^ (i == wrong))
    return episodes


def test_a_label_that_the_end_contradicts() -> None:
    assert not outcomes.check(group_of(judged(None)))
    assert only(outcomes.check(group_of(judged(7)))).episodes == ("e7",)
    assert "labelled a success" in only(outcomes.check(group_of(judged(8)))).what


def test_a_failure_that_ran_out_of_time_at_the_goal_is_none_that_the_end_contradicts() -> None:
    """Successes end early, failures at the limit of steps; one of them just short of being a success."""
    timed = [shortened(e, 25 + i if e.success else 50) for i, e in enumerate(judged(None))]
    near, wrong = timed[8], timed[9]
    timed[8] = replace(changed(near, joints=ending(near, 0.9)), id="near")
    assert not outcomes.check(group_of(timed))
    timed[9] = replace(wrong, success=False)
    assert only(outcomes.check(group_of(timed))).episodes == (wrong.id,)


@pytest.mark.parametrize(("label", "steps"), [(True, 50), (False, 33)])
def test_the_number_of_steps_contradicts_a_label_where_ends_are_all_alike(label: bool, steps: int) -> None:
    timed = [shortened(e, 25 + i if e.success else 50) for i, e in enumerate(judged(None))]
    timed = [changed(e, joints=ending(e, 0.5)) for e in timed]
    assert not outcomes.check(group_of(timed))
    timed[3] = replace(shortened(arm_episodes(24)[3], steps), id="wrong", success=label)
    timed[3] = changed(timed[3], joints=ending(timed[3], 0.5))
    found = only(outcomes.check(group_of(timed)))
    assert (found.episodes, f"after {steps} to {steps} steps" in found.what) == (("wrong",), True)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_contradicts_labels_that_ends_do_not_tell(seed: int) -> None:
    success = np.random.default_rng(seed).permutation(30) < 15
    episodes = [replace(e, success=bool(s)) for e, s in zip(arm_episodes(30), success, strict=True)]
    assert not outcomes.check(group_of(episodes))


def test_many_episodes_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "TOGETHER", 24)
    episodes = [replace(e, id=f"{k}{e.id}") for k, w in enumerate((None, 7)) for e in judged(w)]
    assert only(outcomes.check(group_of(episodes))).episodes == ("1e7",)


def shortened(episode: Episode, steps: int) -> Episode:
    """Its last steps."""
    obs = {key: array[-steps:] for key, array in episode.obs.items()}
    return replace(episode, obs=obs, action=episode.action[-steps:])


def ending(episode: Episode, at: float) -> np.ndarray:
    joints = episode.obs["joints"].copy()
    joints[-5:] = at
    return joints


def test_no_success_at_all() -> None:
    found = only(outcomes.check(group_of([replace(e, success=False) for e in arm_episodes()])))
    assert found.what == "none of the 12 judged episodes succeeded"
