"""``baray simulate``: rehearse policies, quotas and capacity on a workload, side by side. It runs on this machine.

``files`` reads what was given, ``trials`` makes the columns of it, ``command`` runs them and prints what ``show`` and
``plots`` make of the outcome. Deciding and measuring is ``scheduler.sim``'s.
"""
