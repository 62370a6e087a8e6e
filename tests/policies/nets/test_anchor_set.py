"""Facts about the anchors of a policy: matching and elements left out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.policies.nets.anchor_set import AnchorSet
from imitate.types import ArraySpec

ARM = ArraySpec((2,), names=("x", "grip"))


def chunks_of(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, 2, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 5), st.integers(0, 9))
def test_padded_steps_do_not_decide_the_match(first: int, seed: int) -> None:
    anchors = AnchorSet(4, (), 6, ARM)
    is_pad = torch.zeros(3, 6, dtype=torch.bool)
    is_pad[:, :first] = True
    chunks = chunks_of(3, seed)
    disturbed = torch.where(is_pad[..., None], chunks + 100.0, chunks)
    assert torch.equal(anchors.match(chunks, is_pad), anchors.match(disturbed, is_pad))


@given(st.integers(0, 3))
def test_an_anchor_matches_itself(index: int) -> None:
    anchors = AnchorSet(4, (), 6, ARM)
    nothing = torch.zeros(1, 6, dtype=torch.bool)
    assert anchors.match(anchors.chunks[index][None], nothing).item() == index


def test_direct_elements_do_not_match() -> None:
    anchors = AnchorSet(4, ("grip",), 6, ARM)
    chunks, nothing = chunks_of(10), torch.zeros(10, 6, dtype=torch.bool)
    other = chunks.clone()
    other[..., 1] += 100.0
    assert torch.equal(anchors.match(chunks, nothing), anchors.match(other, nothing))


def test_elements_without_names_are_numbered() -> None:
    assert AnchorSet(2, ("1",), 6, ArraySpec((2,))).clustered.tolist() == [True, False]


@pytest.mark.parametrize(
    ("direct", "message"), [(("grib",), "'grib'.*grip"), (("x", "grip"), "none is left")]
)
def test_wrong_elements_are_named(direct: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AnchorSet(2, direct, 6, ARM)


def test_the_report_names_elements_and_other_numbers_of_anchors() -> None:
    lines = " ".join(AnchorSet(4, (), 6, ARM).fit(chunks_of(50)))
    assert "4 anchors for 50 chunks" in lines
    assert all(word in lines for word in ("x 0.", "grip 0.", "with 1", "with 2", "with 8", "with 16"))


def test_more_anchors_than_chunks_are_refused() -> None:
    chunks = chunks_of(50).repeat(3, 1, 1)
    with pytest.raises(ConfigError, match=r"policy.anchors is 60, but of 150 .* 50 differ: .* 50 or less"):
        AnchorSet(60, (), 6, ARM).fit(chunks)
    assert len(AnchorSet(50, (), 6, ARM).fit(chunks)) == 2


def test_no_other_number_is_tried_that_exceeds_the_chunks() -> None:
    lines = " ".join(AnchorSet(20, (), 6, ARM).fit(chunks_of(50)))
    assert "with 40" in lines
    assert "with 80" not in lines
