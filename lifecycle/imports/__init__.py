"""Bringing a centre along: what files say is read, held against what is there, rehearsed, then done at once.

``read`` turns files into words (``csvfiles``, ``coldfront``, ``sacct``); ``plan`` compares them with the centre;
``rehearse`` tells what would change, under a digest; ``carry_out`` does just that, in one transaction. An import only
adds: what is there already stays as it is, and what differs or does not map is told, never overwritten or dropped.
"""
