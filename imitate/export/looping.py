"""One ONNX graph from three: what comes before a loop, one turn of it, and what comes after."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imitate.errors import import_extra


def joined(first: Any, turn: Any, last: Any, *, turns: int, carried: int, tables: int) -> Any:
    """The model that runs `first` once, `turn` so many times, and `last` once; what passes: cutting.Pieces.

    The three are ONNX models of one opset, and are used up; the result takes what `first` takes, and gives
    what `last` gives.
    """
    onnx = import_extra("onnx", "export")
    compose, helper = onnx.compose.add_prefix_graph, onnx.helper
    compose(first.graph, "first/", rename_inputs=False, inplace=True)
    compose(turn.graph, "turn/", inplace=True)
    compose(last.graph, "last/", rename_outputs=False, inplace=True)
    given = [each.name for each in first.graph.output]
    state, rows, shared = given[:carried], given[carried : carried + tables], given[carried + tables :]
    body = _body(helper, turn.graph, rows, shared)
    ends = [f"loop/{name}" for name in state]
    loop = helper.make_node("Loop", ["loop/turns", "", *state], ends, name="loop", body=body)
    through = _identities(helper, [*ends, *shared], [each.name for each in last.graph.input])
    weights = [
        *first.graph.initializer, *turn.graph.initializer, *last.graph.initializer,
        onnx.numpy_helper.from_array(np.array(turns, np.int64), "loop/turns"),
    ]  # fmt: skip
    nodes = [*first.graph.node, loop, *through, *last.graph.node]
    graph = helper.make_graph(nodes, "policy", first.graph.input, last.graph.output, weights)
    functions = {(f.domain, f.name): f for model in (first, turn, last) for f in model.functions}
    return helper.make_model(
        graph, opset_imports=first.opset_import, ir_version=first.ir_version, functions=functions.values()
    )


def _body(helper: Any, turn: Any, rows: Sequence[str], shared: Sequence[str]) -> Any:
    """`turn` as the body of a Loop: it takes its number, and finds in outer graphs what is not carried.

    Its weights stay outside.
    """
    types = helper.TensorProto
    number, goes_on = (
        helper.make_tensor_value_info(name, kind, [])
        for name, kind in (("loop/turn", types.INT64), ("loop/goes_on", types.BOOL))
    )
    names = [each.name for each in turn.input]
    state = list(turn.input)[: len(names) - len(rows) - len(shared)]
    row_names = names[len(state) : len(state) + len(rows)]
    taken = [
        helper.make_node("Gather", [table, number.name], [row], name=f"{row}/taken", axis=0)
        for table, row in zip(rows, row_names, strict=True)
    ]
    taken += _identities(helper, shared, names[len(state) + len(rows) :])
    still = helper.make_tensor_value_info("loop/still_goes_on", types.BOOL, [])
    taken += _identities(helper, [goes_on.name], [still.name])
    return helper.make_graph([*taken, *turn.node], "turn", [number, goes_on, *state], [still, *turn.output])


def _identities(helper: Any, found: Sequence[str], wanted: Sequence[str]) -> list[Any]:
    return [
        helper.make_node("Identity", [a], [b], name=f"{b}/from") for a, b in zip(found, wanted, strict=True)
    ]
