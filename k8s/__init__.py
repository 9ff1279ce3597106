"""The Kubernetes driver. Nothing here yet: it implements ``lifecycle.driving.Driver`` as ``local`` does."""
