"""A real Kubernetes control plane on this machine for tests: no containers, loopback only, gone with whoever started it.

``control_plane.Cluster`` is one cluster; ``python -m tests.cluster.rig`` keeps one up by hand. The programs are built by
`make cluster`. Nodes are fake: kwok plays their kubelets, by the stages of ``kubelets.py``.
"""
