"""The local driver keeps the contract of all drivers."""

from tests.contracts.driver_contract import DriverContract


class TestLocalDriver(DriverContract):
    """On the ``rig`` of this folder."""
