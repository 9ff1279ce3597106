"""Metrics out, and later usage in and reports. The only room that knows the Prometheus client."""
