"""The Kubernetes driver. Nothing here yet: it implements ``lifecycle.ports.Driver`` as ``local`` does."""
