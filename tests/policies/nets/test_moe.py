"""Routed experts: who is chosen, what is added up, and which losses keep routers healthy."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from imitate.errors import ConfigError
from imitate.policies.nets.moe import (
    MoeConfig,
    MoeFeedForward,
    Router,
    Routing,
    auxiliary_losses,
    weighted_sum,
)

WIDTH = 16
WAYS = {
    "noise": MoeConfig(router_std=0.5),
    "token": MoeConfig(routing="token", router_std=0.5),
    "top_1": MoeConfig(active=1, gates="probability", router_std=0.5),
    "top_p": MoeConfig(selection="top_p", gates="probability", router_std=1.0),
    "null": MoeConfig(active=3, null_experts=4, router_std=0.5),
    "shared": MoeConfig(shared_experts=1, router_std=0.5),
    "fine_grained": MoeConfig(fine_grained=4, gates="probability", router_std=0.5),
}


def layer(config: MoeConfig) -> MoeFeedForward:
    torch.manual_seed(0)
    return config.build(WIDTH).eval()


def inputs(batch: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(batch, 5, WIDTH), torch.randn(batch, WIDTH)


def routed(net: MoeFeedForward, x: Tensor, level: Tensor) -> tuple[Tensor, Routing]:
    routings: list[Routing] = []
    return net(x, level, routings), routings[0]


def by_hand(net: MoeFeedForward, x: Tensor, gates: Tensor) -> Tensor:
    """Every expert on everything, weighted: x (R, T, D), gates (R, E)."""
    everything = torch.stack([net.experts.expert(i, x) for i in range(gates.shape[1])], dim=-1)
    added = (everything * gates[:, None, None, :]).sum(dim=-1)
    return added if net.shared is None else added + net.shared.expert(0, x)


@pytest.mark.parametrize("name", sorted(WAYS))
def test_output_is_the_gated_sum_of_all_experts(name: str) -> None:
    net, (x, level) = layer(WAYS[name]), inputs()
    out, routing = routed(net, x, level)
    rows = x.reshape(-1, 1, WIDTH) if name == "token" else x
    torch.testing.assert_close(out, by_hand(net, rows, routing.gates).view(x.shape))
    assert (routing.gates > 0).any(dim=0).sum() > 2 or name == "top_1"  # the rows are routed differently


@pytest.mark.parametrize("name", sorted(WAYS))
def test_one_level_for_all_rows_is_that_level_for_each(name: str) -> None:
    net, (x, level) = layer(WAYS[name]), inputs()
    torch.testing.assert_close(net(x, level[:1]), net(x, level[:1].expand(len(x), -1)))


def test_noise_routing_does_not_look_at_tokens() -> None:
    net, (x, level) = layer(WAYS["noise"]), inputs()
    assert torch.equal(routed(net, x, level)[1].gates, routed(net, x + 1, level)[1].gates)


def test_token_routing_looks_at_nothing_else() -> None:
    net, (x, level) = layer(WAYS["token"]), inputs()
    out, routing = routed(net, x, level)
    assert routing.gates.shape == (6 * 5, 4)
    assert torch.equal(out, net(x, level + 1))


def test_dense_is_one_net_of_the_same_size_but_for_the_router() -> None:
    net, (x, level) = layer(MoeConfig(routing="dense")), inputs()
    assert net(x, level).shape == x.shape
    weights = {name: sum(w.numel() for w in layer(WAYS[name]).experts.parameters()) for name in WAYS}
    dense = sum(w.numel() for w in net.parameters())
    assert all(count == dense for count in weights.values())


def test_one_expert_is_a_swiglu() -> None:
    net, (x, _) = layer(WAYS["noise"]), inputs()
    value, gate = (x @ net.experts.enter[2].T + net.experts.enter_bias[2]).split(4 * WIDTH, dim=-1)
    expected = (value * gate * gate.sigmoid()) @ net.experts.leave[2].T
    torch.testing.assert_close(net.experts.expert(2, x), expected)
    assert net.experts.enter[2].numel() + net.experts.leave[2].numel() == 12 * WIDTH**2


def test_acting_takes_the_most_likely_experts() -> None:
    _, routing = routed(layer(WAYS["noise"]), *inputs())
    for probabilities, chosen in zip(routing.probabilities, routing.chosen, strict=True):
        assert set(chosen.nonzero()[:, 0].tolist()) == set(probabilities.topk(2).indices.tolist())


def router(config: MoeConfig, probabilities: list[float]) -> Router:
    """One that always says `probabilities`."""
    net = Router(config, WIDTH)
    last = net.net[2]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    last.bias.data = config.temperature * torch.tensor(probabilities).log()
    return net


def test_training_draws_by_probability_without_replacement() -> None:
    torch.manual_seed(0)
    p = [0.5, 0.3, 0.15, 0.05]
    routing = router(MoeConfig(), p).train()(torch.zeros(20000, WIDTH))
    assert (routing.chosen.sum(dim=1) == 2).all()
    # Drawing i and then j has probability p_i p_j / (1 - p_i).
    expected = [
        sum(p[a] * p[b] / (1 - p[a]) for a, b in itertools.permutations(range(4), 2) if i in (a, b))
        for i in range(4)
    ]
    torch.testing.assert_close(
        routing.chosen.float().mean(dim=0), torch.tensor(expected), atol=0.015, rtol=0.0
    )


def test_without_sampling_training_takes_the_most_likely() -> None:
    net = router(MoeConfig(sampled=False), [0.1, 0.4, 0.2, 0.3]).train()
    assert (net(torch.zeros(9, WIDTH)).chosen == torch.tensor([False, True, False, True])).all()


def test_gates_are_probabilities_or_their_share_of_the_chosen() -> None:
    p = [0.1, 0.4, 0.2, 0.3]
    row = torch.zeros(1, WIDTH)
    normalized = router(MoeConfig(), p).eval()(row).gates[0]
    torch.testing.assert_close(normalized, torch.tensor([0.0, 4 / 7, 0.0, 3 / 7]))
    plain = router(MoeConfig(gates="probability"), p).eval()(row).gates[0]
    torch.testing.assert_close(plain, torch.tensor([0.0, 0.4, 0.0, 0.3]))


@given(
    st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4),
    st.floats(0.05, 0.95),
)
@settings(max_examples=50, deadline=None)
def test_top_p_takes_the_fewest_that_exceed_p(raw: list[float], top_p: float) -> None:
    p = torch.tensor(raw) / sum(raw)
    config = MoeConfig(selection="top_p", top_p=top_p, gates="probability")
    routing = router(config, p.tolist())(torch.zeros(1, WIDTH))
    found = routing.probabilities[0][routing.chosen[0]]
    assert len(found) >= 1
    assert found.sum() > top_p - 1e-5
    assert found.sum() - found.min() <= top_p + 1e-5
    assert found.min() >= routing.probabilities[0].topk(len(found)).values.min()


def test_null_experts_do_not_shrink_what_the_others_say() -> None:
    config = MoeConfig(experts=2, active=2, null_experts=2)
    row = torch.zeros(1, WIDTH)
    assert router(config, [0.1, 0.2, 0.6, 0.1]).eval()(row).gates.tolist() == [[0.0, 1.0]]
    assert router(config, [0.1, 0.1, 0.5, 0.3]).eval()(row).gates.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_row_of_null_experts_alone_adds_nothing(batch: int) -> None:
    net = layer(MoeConfig(experts=2, active=2, null_experts=2))
    net.router = router(net.config, [0.1, 0.1, 0.5, 0.3]).eval()
    x, level = inputs(batch)
    assert not net(x, level).any()


def test_temperature_flattens_the_choice() -> None:
    x = torch.randn(20, WIDTH)
    torch.manual_seed(0)
    cold = Router(MoeConfig(router_std=0.5, temperature=0.5), WIDTH)(x).probabilities
    torch.manual_seed(0)
    warm = Router(MoeConfig(router_std=0.5, temperature=5.0), WIDTH)(x).probabilities
    assert torch.special.entr(cold).sum(1).mean() < torch.special.entr(warm).sum(1).mean() - 0.1


@pytest.mark.parametrize(("init", "std", "largest"), [("normal", 0.3, 9.0), ("truncated_normal", 0.264, 0.6)])
def test_router_starts_as_set(init: str, std: float, largest: float) -> None:
    torch.manual_seed(0)
    net = Router(MoeConfig(router_init=init, router_std=0.3), 128)  # type: ignore[arg-type]
    first = net.net[0]
    assert isinstance(first, nn.Linear)
    assert first.weight.std().item() == pytest.approx(std, rel=0.02)
    assert first.weight.abs().max() <= largest


def said(config: MoeConfig, probabilities: Tensor, chosen: Tensor) -> Routing:
    return Routing(probabilities.log(), probabilities, chosen, probabilities * chosen)


def test_balance_loss_is_one_where_balanced_and_more_where_not() -> None:
    config = MoeConfig()
    even = torch.full((2, 4), 0.25)
    chosen = torch.tensor([[True, True, False, False], [False, False, True, True]])
    balanced = auxiliary_losses(config, [said(config, even, chosen)], torch.ones(2))
    assert balanced["balance"] == pytest.approx(1.0)
    assert balanced["z"] == pytest.approx(0.0, abs=1e-9)
    assert balanced["entropy"] == pytest.approx(torch.log(torch.tensor(4.0)).item())
    skewed = torch.tensor([[0.7, 0.1, 0.1, 0.1]] * 2)
    always = torch.tensor([[True, True, False, False]] * 2)
    lost = auxiliary_losses(config, [said(config, skewed, always)], torch.ones(2))
    assert lost["balance"] == pytest.approx(4 * (0.5 * 0.7 + 0.5 * 0.1))


def test_balance_is_over_the_batch_and_not_per_noise_level() -> None:
    config = MoeConfig(active=1, gates="probability")
    certain = torch.eye(4).clamp(1e-6)
    losses = auxiliary_losses(config, [said(config, certain, torch.eye(4).bool())], torch.ones(4))
    assert losses["balance"] == pytest.approx(1.0, abs=1e-4)


def test_null_experts_need_not_be_balanced_with_each_other() -> None:
    config = MoeConfig(experts=2, active=1, null_experts=2, gates="probability")
    even = torch.full((4, 4), 0.25)
    one_null = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]).bool()
    both_nulls = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).bool()
    skewed = torch.tensor([[0.2, 0.2, 0.5, 0.1]] * 4)
    for probabilities in (even, skewed):
        lost = [
            auxiliary_losses(config, [said(config, probabilities, chosen)], torch.ones(4))["balance"]
            for chosen in (one_null, both_nulls)
        ]
        assert lost[0] == pytest.approx(lost[1].item())


def test_rows_of_weight_zero_do_not_count() -> None:
    net, (x, _) = layer(WAYS["token"]), inputs(2)
    weight = torch.tensor([1.0, 0.0])
    both, alone = (routed(net, part, torch.zeros(1, WIDTH))[1] for part in (x, x[:1]))
    lost = auxiliary_losses(net.config, [both], weight)
    for name, value in auxiliary_losses(net.config, [alone], weight[:1]).items():
        torch.testing.assert_close(lost[name], value)


def test_entropy_counts_for_top_p_only() -> None:
    losses = {"balance": torch.tensor(1.0), "z": torch.tensor(2.0), "entropy": torch.tensor(3.0)}
    assert weighted_sum(MoeConfig(), losses) == pytest.approx(0.1)
    config = MoeConfig(selection="top_p", gates="probability", z_weight=0.1, entropy_weight=0.5)
    assert weighted_sum(config, losses) == pytest.approx(0.1 + 0.2 + 1.5)
    assert weighted_sum(MoeConfig(routing="dense"), {}) == 0.0


def test_balance_loss_spreads_a_collapsed_router() -> None:
    config = MoeConfig(balance_weight=1.0)
    torch.manual_seed(0)
    net = router(config, [0.9, 0.08, 0.01, 0.01]).train()
    last = net.net[2]
    assert isinstance(last, nn.Linear)
    optimizer = torch.optim.Adam([last.bias], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = weighted_sum(config, auxiliary_losses(config, [net(torch.zeros(64, WIDTH))], torch.ones(64)))
        assert isinstance(loss, Tensor)
        loss.backward()
        optimizer.step()
    assert net(torch.zeros(1, WIDTH)).probabilities.min() > 0.15


def test_idle_weights_are_those_of_experts_that_do_not_run() -> None:
    _, level = inputs()
    each = 12 * WIDTH**2 + 8 * WIDTH
    assert layer(WAYS["noise"]).idle_weights(level) == 2 * each
    assert layer(WAYS["token"]).idle_weights(level) == 2 * each
    assert layer(MoeConfig(routing="dense")).idle_weights(level) == 0
    everything = MoeConfig(selection="top_p", top_p=0.999, gates="probability")
    assert layer(everything).idle_weights(level) == 0


def test_router_stays_float32_under_autocast() -> None:
    net, (x, level) = layer(WAYS["token"]), inputs()
    with torch.autocast("cpu", torch.bfloat16):
        out, routing = routed(net, x, level)
    assert routing.logits.dtype == torch.float32
    assert (out - net(x, level)).abs().max() < 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"routing": "nois"}, "moe.routing is 'nois' .*did you mean 'noise'"),
        ({"experts": 0}, "moe.experts is 0, expected at least 1"),
        ({"active": 5}, "moe.active is 5, more than the 4 experts to choose from"),
        (
            {"active": 1},
            "moe.gates is 'normalized', expected 'probability' with selection=top_k and active=1",
        ),
        ({"selection": "top_p"}, "moe.gates is 'normalized', expected 'probability' with selection=top_p"),
        ({"top_p": 1.0}, "moe.top_p is 1.0"),
        ({"temperature": 0.0}, "moe.temperature is 0.0, expected more than 0"),
        ({"balance_weight": -0.1}, "moe.balance_weight is -0.1, expected 0 or more"),
        ({"null_experts": -1}, "moe.null_experts is -1"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MoeConfig(**settings)  # type: ignore[arg-type]


def test_hidden_features_must_split_evenly() -> None:
    with pytest.raises(ConfigError, match="fine_grained is 3, which does not divide the 64 hidden features"):
        MoeConfig(fine_grained=3).build(WIDTH)
