"""REHEARSE: replay a workload in virtual time through the planner that runs the centre. Pure; read ``engine`` first.

``traces`` reads a workload, ``scenario`` what is to be tried, ``case`` joins the two, ``engine`` runs them and
``measures`` says what came of it. Times are ms; a trace's own zero is time 0 unless the scenario dates it.
"""
