"""What is counted about experts: a specialised, a blind and a collapsed router are told apart."""

import math

import pytest
import torch

from imitate.policies.nets.expert_usage import ExpertUsage
from imitate.policies.nets.moe import MoeConfig, Routing

SIGMAS = [10.0, 1.0, 0.1, 0.01]


def usage(probabilities: list[list[float]], config: MoeConfig | None = None) -> ExpertUsage:
    """After 400 rows, a quarter at each level, with one layer that says `probabilities` there."""
    config = config or MoeConfig()
    counted = ExpertUsage(config, SIGMAS, layers=1)
    p = torch.tensor(probabilities).repeat(100, 1)
    best = p.topk(config.chosen, dim=1).indices
    chosen = torch.zeros_like(p, dtype=torch.bool).scatter(1, best, True)
    sigma = torch.tensor(SIGMAS).repeat(100) * torch.empty(400).uniform_(0.6, 1.6)
    counted.add(sigma, [Routing(p.log(), p, chosen, p)])
    return counted


HIGH, LOW = [0.49, 0.49, 0.01, 0.01], [0.01, 0.01, 0.49, 0.49]


def test_specialised_experts_are_seen_and_not_warned_about() -> None:
    counted = usage([HIGH, HIGH, LOW, LOW])
    figures = counted.figures()
    assert figures["experts/layer0/sigma10/expert0"] == pytest.approx(0.49, rel=1e-4)
    assert figures["experts/layer0/sigma0.01/expert0"] == pytest.approx(0.01, rel=1e-4)
    assert figures["experts/layer0/used"] == 4
    # Knowing the level halves the choice, but for the 2 %.
    expected = math.log(2) + 0.98 * math.log(0.98) + 0.02 * math.log(0.02)
    assert figures["experts/layer0/mutual_information"] == pytest.approx(expected, abs=1e-5)
    assert counted.warnings() == []


def test_a_router_blind_to_the_level_is_warned_about_though_it_is_balanced() -> None:
    counted = usage([[0.25] * 4] * 4)
    assert counted.mutual_information() == pytest.approx([0.0], abs=1e-6)
    assert any("hardly depends on the noise level in layers 0" in line for line in counted.warnings())


def test_a_collapsed_router_is_warned_about() -> None:
    lines = usage([HIGH] * 4).warnings()
    assert any("collapsed to few of 4 experts (layer 0: 2)" in line for line in lines)


def test_token_routing_need_not_depend_on_the_level_and_counts_each_token() -> None:
    config = MoeConfig(routing="token")
    counted = ExpertUsage(config, SIGMAS, layers=1)
    p = torch.eye(4).clamp(0.1).repeat(6, 1)  # 8 rows of 3 tokens
    p = p / p.sum(dim=1, keepdim=True)
    chosen = torch.zeros_like(p, dtype=torch.bool).scatter(1, p.topk(2, dim=1).indices, True)
    counted.add(torch.tensor(SIGMAS * 2), [Routing(p.log(), p, chosen, p)])
    assert not counted.warnings()
    assert counted.figures()["experts/layer0/sigma1/expert0"] > 0


def test_null_experts_have_a_name_and_do_not_count_as_used() -> None:
    config = MoeConfig(experts=2, active=2, null_experts=2)
    counted = usage([HIGH, HIGH, LOW, LOW], config)
    assert counted.figures()["experts/layer0/sigma0.1/null1"] == pytest.approx(0.49, rel=1e-4)
    assert counted.used() == [2]


def test_levels_that_were_not_drawn_are_left_out() -> None:
    counted = ExpertUsage(MoeConfig(), SIGMAS, layers=1)
    p = torch.full((3, 4), 0.25)
    counted.add(torch.tensor([1.0, 1.1, 0.9]), [Routing(p.log(), p, p > 0.2, p)])
    assert {key.split("/")[2] for key in counted.figures()} == {"sigma1", "used", "mutual_information"}


def test_nothing_counted_says_nothing() -> None:
    counted = usage([[0.25] * 4] * 4)
    counted.clear()
    assert counted.warnings() == []
    assert ExpertUsage(MoeConfig(routing="dense"), SIGMAS, layers=2).warnings() == []
