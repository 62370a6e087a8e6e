"""The network interface that workers talk over."""

import sys

import pytest

from imitate.cluster.group import interface_of


@pytest.mark.skipif(sys.platform != "linux", reason="interfaces are asked for as Linux does")
def test_an_address_has_its_interface() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.1") is None  # in no network: kept for examples
