"""Valkey: what its folder cannot say, it shares with Redis."""

from stateward.operator.drivers.sentinel.driver import SentinelDriver as Driver

__all__ = ["Driver"]
