"""DECIDE who may hold and spend what. Pure: integers in, decisions and ledger transactions out."""
