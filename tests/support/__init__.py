"""Parts for tests: real databases, a clock that is set by hand, a simulated cluster, a small centre, a served API.

No mocks: everything here either is the real thing or keeps the contract of a port of ``lifecycle.ports``.
"""
