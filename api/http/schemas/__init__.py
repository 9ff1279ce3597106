"""Shapes of bodies and answers."""
