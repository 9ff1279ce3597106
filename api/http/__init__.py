"""The JSON API. ``guard`` is the one way in: token, permission, transaction, Idempotency-Key; ``problems`` the one way
an error goes out; ``routes`` parse, call ``lifecycle`` and answer; ``schemas`` are the shapes of bodies.
"""
