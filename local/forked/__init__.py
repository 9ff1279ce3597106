"""What runs beside Baray's own process: the warden, the supervisors it forks, and the ranks up to their exec.

Read ``warden``, ``supervisor``, ``attempt``, ``verdict``: in this order they are the way of an attempt. All of it is
loaded into the warden once and copied by every fork, so it imports only itself and a calm part of the standard
library: no pathlib, no dataclasses, no ``domain``. The driver shares ``order``, ``claim``, ``files`` and ``cgroups``.
"""
