"""DECIDE who runs where. Pure: ``cycle.plan(state, now_ms) -> Plan``; read ``cycle`` first.

The live controller, ``submit --dry-run``, ``why``, ``queue`` and every benchmark call that one function.
"""
