"""Pairing by seed, and what must not be paired."""

import dataclasses

import pytest

from imitate.errors import DataError
from imitate.evaluation.compare import compare
from imitate.evaluation.result import RolloutResult
from imitate.rollout import EpisodeResult


def result(wins: dict[int, bool], **env) -> RolloutResult:
    episodes = tuple(EpisodeResult(seed, win, 0.5 + 0.5 * win, 9, 0.0, None) for seed, win in wins.items())
    parts = {"_target_": "suite.Config", "task": "push", "max_steps": 30, **env}
    return RolloutResult(episodes, 30, 10.0, "", "", {}, {}, {"env": parts})


def test_pairs_are_made_by_seed_and_not_by_place() -> None:
    a = result({1: True, 2: False, 3: False, 4: True})
    b = result({4: False, 3: True, 2: True, 1: True})
    rates = compare(a, b).rates
    assert (rates.both, rates.only_a, rates.only_b, rates.neither) == (1, 1, 2, 0)
    assert compare(a, b).score_difference == pytest.approx(0.125)


def test_a_policy_does_not_differ_from_itself() -> None:
    a = result({seed: seed % 3 == 0 for seed in range(20)})
    found = compare(a, a).to_json()
    assert (found["difference"], found["p_value"], found["score_interval"]) == (0.0, 1.0, [0.0, 0.0])


def test_only_common_seeds_are_paired_and_the_rest_is_counted() -> None:
    found = compare(result(dict.fromkeys(range(10), True)), result(dict.fromkeys(range(6, 30), False)))
    assert (found.rates.pairs, found.left_out_a, found.left_out_b) == (4, 6, 20)


def test_no_common_seed_is_an_error_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"no seed in common \(a: 1 to 2, b: 7 to 7\).*seed="):
        compare(result({1: True, 2: True}), result({7: True}))


def test_another_environment_is_refused_and_named() -> None:
    a, b = result({1: True}), result({1: True}, task="reach")
    with pytest.raises(DataError, match=r"env.task is 'push' in a and 'reach' in b"):
        compare(a, b)
    assert compare(a, b, same_env=False).env_differences == ("env.task is 'push' in a and 'reach' in b",)


def test_a_result_that_does_not_say_its_environment_is_not_the_same() -> None:
    a = result({1: True})
    with pytest.raises(DataError, match="different environments"):
        compare(a, dataclasses.replace(a, provenance={}))
