"""The routes, by subject. Each parses, calls ``lifecycle``, and shows the answer; none decides."""
