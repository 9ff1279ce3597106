"""WORDS: the nouns and states every other room speaks in.

Frozen dataclasses, tables and small arithmetic on integers. Standard library only; no I/O, no clock.
Every other package may import this one; it imports none of them.
"""
