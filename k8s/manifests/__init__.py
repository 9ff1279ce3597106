"""The objects that are made on a cluster: pure functions from the domain's values to dicts, without a request in sight."""
