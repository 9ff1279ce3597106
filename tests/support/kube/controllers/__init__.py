"""What runs beside a real API server: controllers, the scheduler, kubelets. Deterministic; no step waits for anything."""
