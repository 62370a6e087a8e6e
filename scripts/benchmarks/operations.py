"""Operations that a piece of work takes, counted."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def operations(work: Callable[[], object]) -> int:
    """Multiplications and additions of the matrix products in `work`, which is done once.

    The fused forms of attention, of a transformer's encoder and of an LSTM hide their products from torch's
    counter, so they are off here: the work is the same in another order, and slower.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(torch.backends.mha.set_fastpath_enabled, fused)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(warnings.catch_warnings(action="ignore", category=UserWarning))
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        counter = stack.enter_context(FlopCounterMode(display=False))
        work()
    return int(counter.get_total_flops())
