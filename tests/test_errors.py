"""Errors help: the nearest name, and the extra to install."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate import errors
from imitate.errors import (
    DataError,
    ImitateError,
    MissingExtraError,
    import_extra,
    is_out_of_memory,
    nearest,
)


def test_every_error_is_an_imitate_error() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    raised = [cls for cls in classes if issubclass(cls, Exception)]
    assert len(raised) > 10 and all(issubclass(cls, ImitateError) for cls in raised)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    assert nearest("diffuson", ["bc", "diffusion"]) == " (did you mean 'diffusion'?)"
    assert nearest("xyz", ["bc", "diffusion"]) == " (known: bc, diffusion)"
    assert nearest("xyz", []) == ""


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_known_name_is_its_own_nearest(names: list[str]) -> None:
    assert repr(names[0]) in nearest(names[0], names)


def test_a_missing_extra_is_one_line_that_names_it() -> None:
    with pytest.raises(MissingExtraError) as caught:
        import_extra("no_such_suite.envs", "metaworld")
    assert str(caught.value).startswith(
        "no_such_suite is not installed: run  pip install 'imitate[metaworld]'"
    )
    assert "\n" not in str(caught.value)


def test_what_is_installed_is_imported_and_our_own_faults_are_not_hidden() -> None:
    assert import_extra("json", "none").dumps([]) == "[]"
    with pytest.raises(ModuleNotFoundError, match=r"imitate\.nowhere"):
        import_extra("imitate.nowhere", "none")


def test_line_breaks_in_what_others_named_do_not_make_several_lines() -> None:
    assert str(DataError("a\nb.parquet is\r\nmissing")) == "a b.parquet is missing"


@pytest.mark.parametrize("allocate", [lambda: torch.empty(2**60), lambda: np.empty(2**56, np.uint8)])
def test_memory_that_runs_out_is_known(allocate: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)


def test_other_faults_of_pytorch_are_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
