"""The loop in a recorded policy: which operations repeat, turn after turn, and what passes between the turns.

A sampling loop is recorded unrolled. Exported so, its graph is as many times as long as it has turns; so are
the times that it takes to export and to load.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_flatten

FEWEST = 3
"""Turns; two are as well written out."""

MOST_PER_TURN = 2**18
"""Numbers that change from turn to turn, in all: more, such as the merged experts of a noise level, would be
copied out of a table in every turn."""

TAKE_NUMBERS_AS_TENSORS = frozenset(
    getattr(torch.ops.aten, name).Tensor for name in ("add", "sub", "mul", "div")
)
"""Operations whose numbers may change from turn to turn."""

Kind = Literal["now", "before", "same", "each"]


@dataclass(frozen=True)
class Given:
    """What stands in an argument, in every turn.

    kind now: the result of operation `place` of the same turn; before: of the turn before; same: the node
    `values[0]` outside of the loop; each: `values[k]`, a node outside or a number, in turn k.
    """

    kind: Kind
    place: int = 0
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Turns:
    """A loop. turns[k][p]: operation p of turn k; operations that need nothing from within are not in it.

    given[p]: of operation p, the arguments that are nodes or change, by their place among the leaves of
    (args, kwargs). carried: {place: node outside that stands for it before the first turn}.
    """

    turns: Sequence[Sequence[Node]]
    given: Sequence[dict[int, Given]]
    carried: dict[int, Node]

    @property
    def each(self) -> list[tuple[Any, ...]]:
        """What changes from turn to turn, without repetition."""
        found = (g.values for place in self.given for g in place.values() if g.kind == "each")
        return list(dict.fromkeys(found))


def find_turns(graph: GraphModule) -> Turns | None:
    """The longest loop in `graph` of at least FEWEST turns; None where none can be rolled up."""
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    repeats = _period([node.target for node in nodes])
    if repeats is None:
        return None
    begin, length, same = repeats
    constants = _constants(graph)
    leaves = {node: tree_flatten((node.args, node.kwargs)) for node in nodes[begin:same]}
    # One turn less where the first or the last one differs in more than its operations.
    for count in range((same - begin) // length, FEWEST - 1, -1)[:2]:
        for start in range(begin, min(same - count * length, begin + length) + 1):
            turns = [nodes[start + k * length : start + (k + 1) * length] for k in range(count)]
            try:
                found = _Reading(turns, constants, leaves).read(nodes[start + count * length :])
            except _NoLoopError:
                continue
            if _is_small(graph, found):
                return found
    return None


def _period(targets: Sequence[Hashable]) -> tuple[int, int, int] | None:
    """(begin, length, end) of the longest stretch that repeats itself every `length` operations."""
    numbers = {target: number for number, target in enumerate(dict.fromkeys(targets))}
    codes = np.array([numbers[target] for target in targets])
    best, covered = None, 0
    for length in range(1, len(codes) // FEWEST + 1):
        differs = np.flatnonzero(codes[length:] != codes[:-length])
        edges = np.concatenate([[-1], differs, [len(codes) - length]])
        longest = int(np.argmax(np.diff(edges)))
        begin, end = int(edges[longest]) + 1, int(edges[longest + 1]) + length
        whole = (end - begin) // length
        if whole >= FEWEST and whole * length > covered:
            best, covered = (begin, length, end), whole * length
    return best


def _constants(graph: GraphModule) -> dict[Node, Hashable]:
    """A name for each constant; equal small ones, recorded anew in every turn, have the same."""
    found: dict[Node, Hashable] = {}
    known: dict[Hashable, str] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            value = getattr(graph, node.target)
            content: Hashable = id(value)
            if isinstance(value, Tensor) and value.numel() <= MOST_PER_TURN:
                content = (value.dtype, value.shape, value.detach().contiguous().numpy().tobytes())
            found[node] = known.setdefault(content, node.name)
    return found


class _NoLoopError(Exception):
    """The operations repeat, but not what they are given."""


class _Reading:
    """Finds out what the operations of each turn are given."""

    def __init__(
        self, turns: Sequence[Sequence[Node]], constants: dict[Node, Hashable], leaves: dict[Node, Any]
    ) -> None:
        self.turns, self.leaves = turns, leaves
        self.where = {node: (k, p) for k, turn in enumerate(turns) for p, node in enumerate(turn)}
        self.same: dict[Hashable, Node] = {}
        self.names: dict[Node, Hashable] = dict(constants)
        self.known: dict[Hashable, str] = {}
        self.given: dict[int, dict[int, Given]] = {}
        self.carried: dict[int, Node] = {}

    def read(self, later: Sequence[Node]) -> Turns:
        for place in range(len(self.turns[0])):
            self._read(place)
        kept = sorted(self.given)
        number = {place: index for index, place in enumerate(kept)}
        last = {self.turns[-1][place] for place in self.carried}
        within = {self.turns[k][p] for k in range(len(self.turns)) for p in kept}
        if not self.carried or not set(self.carried) <= set(kept):
            raise _NoLoopError
        if any(node in within and node not in last for other in later for node in other.all_input_nodes):
            raise _NoLoopError
        moved = {"now", "before"}
        given = [
            {
                leaf: Given(g.kind, number[g.place], g.values) if g.kind in moved else g
                for leaf, g in self.given[place].items()
            }
            for place in kept
        ]
        turns = [[turn[place] for place in kept] for turn in self.turns]
        return Turns(turns, given, {number[place]: node for place, node in self.carried.items()})

    def _read(self, place: int) -> None:
        """Enter what operation `place` is given, or that it can be done before the loop."""
        column = [turn[place] for turn in self.turns]
        leaves, shapes = zip(*(self.leaves[node] for node in column), strict=True)
        if any(shape != shapes[0] for shape in shapes):
            raise _NoLoopError
        nodes = [n for each in leaves for n in each if isinstance(n, Node)]
        if not any(n in self.where for n in nodes):
            for node, each in zip(column, leaves, strict=True):
                del self.where[node]
                described = tuple(self._name(leaf) if isinstance(leaf, Node) else repr(leaf) for leaf in each)
                key = (node.target, str(shapes[0]), described)
                self.names[node] = self.known.setdefault(key, node.name)
            return
        rows = enumerate(zip(*leaves, strict=True))
        numbers = column[0].target in TAKE_NUMBERS_AS_TENSORS
        found = {leaf: self._classified(values, numbers) for leaf, values in rows if self._matters(values)}
        self.given[place] = found

    @staticmethod
    def _matters(values: tuple[Any, ...]) -> bool:
        return any(isinstance(v, Node) or repr(v) != repr(values[0]) for v in values)

    def _name(self, node: Node) -> Hashable:
        return self.names.get(node, node)

    def _classified(self, values: tuple[Any, ...], numbers: bool) -> Given:
        if numbers and all(type(v) is float for v in values):
            return Given("each", values=values)
        if not all(isinstance(v, Node) for v in values):
            raise _NoLoopError
        places = [self.where.get(v) for v in values]
        inside = [p for p in places if p is not None]
        if not inside:
            one = tuple(self.same.setdefault(self._name(v), v) for v in values)
            return Given("same", values=one[:1]) if len(set(one)) == 1 else Given("each", values=one)
        place = inside[-1][1]
        if places == [(k, place) for k in range(len(values))]:
            return Given("now", place)
        earlier = [None, *((k, place) for k in range(len(values) - 1))]
        if places == earlier and self.carried.setdefault(place, values[0]) is values[0]:
            return Given("before", place)
        raise _NoLoopError


def _is_small(graph: GraphModule, turns: Turns) -> bool:
    """Whether the constants that change from turn to turn may stand in a table."""
    constants = [
        getattr(graph, str(value.target))
        for values in turns.each
        for value in values
        if isinstance(value, Node) and value.op == "get_attr"
    ]
    return sum(c.numel() for c in constants if isinstance(c, torch.Tensor)) <= MOST_PER_TURN
