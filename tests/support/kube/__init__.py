"""A small, strict stand-in of the Kubernetes API server with the controllers that matter: ``server.KubeServer``.

It exists for tests that are fast, and for faults that a real server never shows when asked. Whatever it answers is
compared with recordings of a real server (``script`` and ``record``).
"""
