"""Workloads to replay: ``trace`` reads one from a file, ``generator`` makes one, ``window`` picks a part of it.

Nothing here knows of a centre. A workload is a list of ``Request`` in the order of their times.
"""
