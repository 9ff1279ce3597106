"""The local driver: real processes on this machine.

``driver`` implements ``lifecycle.ports.Driver``; ``warden`` is the small process that forks a supervisor for each
attempt; the supervisors outlive both.
"""
