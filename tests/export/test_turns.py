"""Rolling up a recorded loop: what is found, what is not, and that the pieces do what the whole does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from imitate.export.cutting import cut
from imitate.export.turns import FEWEST, MOST_PER_TURN, find_turns

X, NOISE = torch.randn(1, 3, generator=torch.Generator().manual_seed(0)), torch.randn(1, 24)
WEIGHT = torch.randn(3, 3, generator=torch.Generator().manual_seed(1)) / 3


def recorded(function: Callable[[Tensor, Tensor], Tensor]) -> GraphModule:
    return make_fx(function, tracing_mode="real", pre_dispatch=True)(X, NOISE)


def unrolled(x: Tensor, noise: Tensor) -> Tensor:
    """Six turns with numbers, constants and noise of their own, a shared condition, and something after."""
    condition = (noise[:, :3] * 2).tanh()
    for turn in range(6):
        x = x + 0.1 * (turn + 1) * (x @ WEIGHT).sin() + condition * torch.full((3,), float(turn))
        x = x + noise[:, 3 * turn : 3 * turn + 3]
    return x.clamp(-1, 1) + condition.cos()


def two_states(x: Tensor, noise: Tensor) -> Tensor:
    speed = noise[:, :3]
    for _ in range(5):
        speed = speed - 0.5 * x.sin()
        x = x + 0.1 * speed
    return x - speed


def run(graph: GraphModule, x: Tensor, noise: Tensor) -> tuple[int, Tensor]:
    """How many turns were found, and what the pieces give."""
    loop = find_turns(graph)
    assert loop is not None
    pieces = cut(graph, loop, (X, NOISE))
    values = pieces.first.graph(x, noise)
    state, others = values[: pieces.carried], values[pieces.carried + pieces.tables :]
    tables = values[pieces.carried : pieces.carried + pieces.tables]
    for turn in range(pieces.turns):
        state = pieces.turn.graph(*state, *(table[turn] for table in tables), *others)
    return pieces.turns, pieces.last.graph(*state, *others)


@pytest.mark.parametrize(("function", "turns"), [(unrolled, 6), (two_states, 5)])
def test_the_pieces_do_what_the_whole_does(function: Callable[[Tensor, Tensor], Tensor], turns: int) -> None:
    graph = recorded(function)
    for seed in range(5):
        random = torch.Generator().manual_seed(seed)
        x, noise = torch.randn(1, 3, generator=random), torch.randn(1, 24, generator=random)
        found, result = run(graph, x, noise)
        assert found >= turns - 1
        torch.testing.assert_close(result, function(x, noise))


def test_a_first_turn_of_another_kind_stays_outside() -> None:
    def function(x: Tensor, noise: Tensor) -> Tensor:
        x = (x @ WEIGHT).exp()
        for _ in range(4):
            x = (x @ WEIGHT).sin() + noise[:, :3]
        return x * 2

    found, result = run(recorded(function), X, NOISE)
    assert found >= FEWEST
    torch.testing.assert_close(result, function(X, NOISE))


@pytest.mark.parametrize("turns", [1, 2])
def test_few_turns_stay_as_they_are(turns: int) -> None:
    def function(x: Tensor, noise: Tensor) -> Tensor:
        for _ in range(turns):
            x = (x @ WEIGHT).sin().exp() + noise[:, :3]
        return x

    assert find_turns(recorded(function)) is None


def test_what_looks_back_further_than_a_turn_is_no_loop() -> None:
    def function(x: Tensor, noise: Tensor) -> Tensor:
        past = [x.sin(), noise[:, :3].sin(), noise[:, 3:6].sin()]
        for _ in range(5):
            past.append((past[-1] @ WEIGHT + past[-3]).tanh())
        return past[-1]

    assert find_turns(recorded(function)) is None


def test_large_weights_of_their_own_are_no_loop() -> None:
    side = int((MOST_PER_TURN / FEWEST) ** 0.5) + 1
    weights = [torch.full((side, side), float(turn)) for turn in range(4)]

    def function(x: Tensor, noise: Tensor) -> Tensor:
        state = x[:, :1].expand(1, side)
        for weight in weights:
            state = (state @ weight).tanh()
        return state

    assert find_turns(recorded(function)) is None
