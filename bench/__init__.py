"""Measurements: ``python -m bench`` prints one JSON line per figure of the design's table, medians of three runs.

Speed is measured here and never in a test. ``figures`` says what is measured, ``rig`` starts a real centre for it,
``slurm`` measures the peer in the same run where ``BARAY_PEERS`` says where its scripts are.
"""
