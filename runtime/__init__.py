"""THE RUNNING SYSTEM: settings, the one place that builds adapters, the controller's loop, and the processes."""
