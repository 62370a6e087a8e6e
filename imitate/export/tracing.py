"""A policy as one ONNX graph: raw observations and noise in, a chunk of physical actions out.

What depends on weights and settings alone (noise schedules, the experts of each step) is computed here, once;
what depends on observations or noise is recorded operation by operation, loops unrolled, at batch 1. What
repeats in the recorded graph is then found, and goes through PyTorch's exporter to ONNX once.
"""

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import (
    disable_proxy_modes_tracing,
    get_proxy_mode,
    has_proxy_slot,
    make_fx,
)
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from imitate.errors import BundleError, import_extra
from imitate.export.cutting import cut
from imitate.export.looping import joined
from imitate.export.optimizing import simplified
from imitate.export.turns import find_turns
from imitate.history import PLAN
from imitate.policy import CountedNoise, GivenNoise, Policy
from imitate.runtime.policy import ACTION, NOISE

OPSET = 20

LONG = 1000
"""Operations: what is shorter loads fast enough written out, and acts a tenth faster."""

GRAD_OR_AUTOCAST = ("_set_grad_enabled", "_enter_autocast", "_exit_autocast")
"""Recorded switches that mean nothing in a graph which is neither trained nor lowered in precision."""


class Acting(nn.Module):
    """What is exported: observations (1, To, …) in the order of the spec and noise (1, N), to (1, Ta, Da).

    Between them stands the last plan (1, P, Da), for a policy that takes one. Rows may be more until it is
    exported. The chunk is kept inside the action range of the spec, where that is known, as environments do.
    """

    low: Tensor
    high: Tensor

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy.eval()
        self.keys = (*policy.spec.obs, *([PLAN] if policy.plan_steps else []))
        self.noise_size = noise_size(policy)
        action = policy.spec.action
        self.is_clipped = bool(action.low or action.high)
        for name, bound, unknown in (("low", action.low, -math.inf), ("high", action.high, math.inf)):
            self.register_buffer(name, torch.tensor(bound or (unknown,) * action.size))

    def forward(self, *inputs: Tensor) -> Tensor:
        """See the class; policies that draw no noise are given none."""
        obs = dict(zip(self.keys, inputs, strict=False))
        noise = inputs[-1] if self.noise_size else inputs[0].new_empty(len(inputs[0]), 0)
        values = self.policy.predict(obs, GivenNoise(noise)).values
        return values.clamp(self.low, self.high) if self.is_clipped else values

    def inputs(self, obs: Mapping[str, Tensor], noise: Tensor) -> tuple[Tensor, ...]:
        """The arguments of `forward` for observations {name: (1, To, …)} and noise (1, N)."""
        seen = tuple(obs[key] for key in self.keys)
        return (*seen, noise) if self.noise_size else seen

    @property
    def names(self) -> list[str]:
        """The names of the graph's inputs."""
        return [*self.keys, NOISE] if self.noise_size else list(self.keys)


def blank(policy: Policy) -> dict[str, Tensor]:
    """An observation {name: (1, To, …)} of zeros; nothing is planned."""
    steps = policy.horizons.obs_steps
    plan = torch.full((1, policy.plan_steps, policy.spec.action.size), torch.nan)
    return {
        key: torch.zeros(1, steps, *array.shape, dtype=torch.uint8 if array.is_image else torch.float32)
        for key, array in policy.spec.obs.items()
    } | ({PLAN: plan} if policy.plan_steps else {})


def noise_size(policy: Policy) -> int:
    """N, how many standard normal numbers `policy` draws for one chunk."""
    counted = CountedNoise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        policy.predict(blank(policy), counted)
    return counted.taken


class _ConstantsStayOut(TorchFunctionMode):
    """Keeps out of the recording what no input takes part in: computed once, its result is a constant."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        mode = get_proxy_mode()
        given = tree_leaves((args, kwargs))
        if mode is None or any(isinstance(x, Tensor) and has_proxy_slot(x, mode.tracer) for x in given):
            return func(*args, **(kwargs or {}))
        with disable_proxy_modes_tracing():
            return func(*args, **(kwargs or {}))


def record(acting: Acting) -> GraphModule:
    """Every operation of `acting` on its inputs, as a graph."""

    def run(*inputs: Tensor) -> Tensor:
        with _ConstantsStayOut():
            return acting(*inputs)

    example = acting.inputs(blank(acting.policy), torch.zeros(1, acting.noise_size))
    with torch.no_grad():
        acting(*example)  # what is made at the first call and kept must not be recorded
        graph = make_fx(run, tracing_mode="real", pre_dispatch=True)(*example)
    # From the last: an exit refers to its entry.
    for node in reversed(graph.graph.nodes):
        if getattr(node.target, "__name__", "") in GRAD_OR_AUTOCAST:
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def to_onnx(acting: Acting) -> bytes:
    """The ONNX file of `acting`; the same weights and versions give the same bytes.

    Raises BundleError for a policy that decides in Python by what it observes, or does what ONNX cannot.
    """
    for module in ("onnx", "onnxscript"):
        import_extra(module, "export")
    try:
        with _quiet():
            model = _model(acting)
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        what = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
        raise BundleError(
            f"policy {type(acting.policy).__name__} cannot be exported: {what[:200]}; nothing was written"
        ) from error
    _share_equal_weights(model.graph)
    return bytes(model.SerializeToString(deterministic=True))


def _model(acting: Acting) -> Any:
    """The ONNX model of `acting`; the loop of a long one is a Loop."""
    example = acting.inputs(blank(acting.policy), torch.zeros(1, acting.noise_size))
    graph = record(acting)
    loop = find_turns(graph) if len(graph.graph.nodes) > LONG else None
    if loop is None:
        return _converted(graph, example, acting.names, [ACTION])
    pieces = cut(graph, loop, example)
    first = _converted(pieces.first.graph, example, acting.names)
    turn = _converted(pieces.turn.graph, pieces.turn.example)
    last = _converted(pieces.last.graph, pieces.last.example, outputs=[ACTION])
    return joined(first, turn, last, turns=pieces.turns, carried=pieces.carried, tables=pieces.tables)


def _converted(
    graph: GraphModule,
    example: tuple[Tensor, ...],
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Any:
    program = torch.onnx.export(
        graph, example, dynamo=True, opset_version=OPSET, verbose=False,
        input_names=inputs, output_names=outputs,
    )  # fmt: skip
    assert program is not None
    onnx = import_extra("onnx", "export")
    whole = program.model_proto.SerializeToString()
    return _without_traces(onnx.load_from_string(simplified(whole)))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own coming changes and decisions, which say nothing to a user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _without_traces(model: Any) -> Any:
    """`model` without what is noted about source files, which differ from place to place, or is not used."""
    used = {"", *(node.domain for part in (model.graph, *model.functions) for node in part.node)}
    opsets = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for each in (*model.graph.input, *model.graph.output, *model.functions):
        del each.metadata_props[:]
        each.doc_string = ""
    return model


def _share_equal_weights(graph: Any) -> None:
    """Keep each weight once: the exporter lays out those of a loop anew for every turn of it."""
    kept: dict[tuple[Any, ...], str] = {}
    renamed: dict[str, str] = {}
    weights = []
    for weight in graph.initializer:
        content = (weight.data_type, tuple(weight.dims), weight.raw_data or weight.SerializeToString())
        renamed[weight.name] = kept.setdefault(content, weight.name)
        if renamed[weight.name] == weight.name:
            weights.append(weight)
    bodies = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    for part in (graph, *bodies):
        for node in part.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
    del graph.initializer[:]
    graph.initializer.extend(weights)
