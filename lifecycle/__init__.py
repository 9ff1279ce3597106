"""WHAT HAPPENS: the steps of a job's life, one module a step, in the order of the design.

``submit`` (with ``admit``) → ``schedule`` → ``dispatch`` → ``observe`` (with ``meter`` and ``charge``) → ``report``.
No step calls the next, but submit → admit: a row's state is the queue, each step takes rows in one state and leaves
them in another, in one transaction, so each can crash and be repeated. ``ports`` names what the steps need of the
world; adapters (``store``, ``local``, ``k8s``) implement it.
"""
