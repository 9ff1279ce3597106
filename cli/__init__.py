"""The command line: an HTTP client for people and scripts, on ``client/`` and nothing else of Baray.

``main`` is the door; ``catalogue`` lists the commands without importing them, so that ``--help`` stays light; each file
of ``commands/`` is one group of commands. Data goes to stdout, messages to stderr.
"""
