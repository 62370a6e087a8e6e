"""A recorded policy with a loop as three graphs: before the loop, one turn of it, and after it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._pytree import tree_flatten, tree_unflatten

from imitate.export.turns import Given, Turns


@dataclass(frozen=True)
class Piece:
    """A graph, and an example of what it takes."""

    graph: GraphModule
    example: tuple[Tensor, ...]


@dataclass(frozen=True)
class Pieces:
    """A policy in three, and how many turns the loop has.

    first: what the policy takes to (carried…, tables…, shared…). turn: (carried…, its row of each table…,
    shared…) to carried…. last: (carried…, shared…) to the chunk.
    """

    first: Piece
    turn: Piece
    last: Piece
    turns: int
    carried: int
    tables: int


def cut(graph: GraphModule, loop: Turns, example: tuple[Tensor, ...]) -> Pieces:
    """`graph`, which takes tensors such as `example`, in pieces around `loop`."""
    within = {node for turn in loop.turns for node in turn}
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    end = nodes.index(loop.turns[-1][-1]) + 1
    before, after = [node for node in nodes[:end] if node not in within], nodes[end:]
    final = [loop.turns[-1][place] for place in loop.carried]
    result = next(node for node in graph.graph.nodes if node.op == "output")
    shared = _shared(loop, [*after, result], {*after, *final})

    first = _Copy(graph, [node for node in graph.graph.nodes if node.op == "placeholder"])
    first.add(before)
    rows = [first.table(values) for values in loop.each]
    begin = first.finished((*map(first.of, loop.carried.values()), *rows, *map(first.of, shared)))
    last = _Copy(graph, [*final, *shared])
    last.add(after)
    with torch.no_grad():
        values = begin(*example)
    carried, tables = len(final), len(rows)
    others = values[carried + tables :]
    now = tuple(table[0] for table in values[carried : carried + tables])
    return Pieces(
        Piece(begin, example),
        Piece(_turn(graph, loop, shared), (*values[:carried], *now, *others)),
        Piece(last.finished(last.of(result.args[0])), (*values[:carried], *others)),
        len(loop.turns),
        carried,
        tables,
    )


def _shared(loop: Turns, later: Iterable[Node], inside: set[Node]) -> list[Node]:
    """What is computed before the loop and used in it, or after it."""
    used = [g.values[0] for place in loop.given for g in place.values() if g.kind == "same"]
    used += [taken for node in later for taken in node.all_input_nodes if taken not in inside]
    return [node for node in dict.fromkeys(used) if node.op != "get_attr"]


def _turn(graph: GraphModule, loop: Turns, shared: Sequence[Node]) -> GraphModule:
    """One turn: the operations of the first one, with what they are given in each."""
    copy = _Copy(graph, [])
    state = {place: copy.graph.placeholder(f"carried_{place}") for place in loop.carried}
    rows = {values: copy.graph.placeholder(f"row_{k}") for k, values in enumerate(loop.each)}
    copy.copies.update({node: copy.graph.placeholder(f"shared_{k}") for k, node in enumerate(shared)})
    done: list[Node] = []

    def argument(given: Given) -> Node:
        if given.kind == "now":
            return done[given.place]
        if given.kind == "before":
            return state[given.place]
        return rows[given.values] if given.kind == "each" else copy.of(given.values[0])

    for node, given in zip(loop.turns[0], loop.given, strict=True):
        leaves, shape = tree_flatten((node.args, node.kwargs))
        for place, each in given.items():
            leaves[place] = argument(each)
        args, kwargs = tree_unflatten(leaves, shape)
        assert callable(node.target)
        done.append(copy.graph.call_function(node.target, args, kwargs))
    return copy.finished(tuple(done[place] for place in loop.carried))


class _Copy:
    """A graph under construction from parts of another one, whose weights it shares."""

    def __init__(self, root: GraphModule, inputs: Sequence[Node]) -> None:
        self.root, self.graph = root, Graph()
        self.copies = {node: self.graph.placeholder(f"input_{k}") for k, node in enumerate(inputs)}

    def of(self, node: Any) -> Node:
        """The copy of `node`; weights are copied when they are asked for."""
        if node not in self.copies:
            assert node.op == "get_attr", node
            self.copies[node] = self.graph.node_copy(node)
        return self.copies[node]

    def add(self, nodes: Iterable[Node]) -> None:
        """Copy `nodes`, in this order."""
        for node in nodes:
            self.copies[node] = self.graph.node_copy(node, self.of)

    def table(self, values: Sequence[Any]) -> Node:
        """`values` (nodes, or numbers) one below the other."""
        if all(isinstance(value, Node) for value in values):
            return self.graph.call_function(torch.ops.aten.stack.default, ([self.of(v) for v in values],))
        name = f"table_{len(self.graph.nodes)}"
        self.root.register_buffer(name, torch.tensor(values))
        return self.graph.get_attr(name)

    def finished(self, outputs: Any) -> GraphModule:
        """The graph that gives `outputs`."""
        self.graph.output(outputs)
        self.graph.eliminate_dead_code()
        return GraphModule(self.root, self.graph)
