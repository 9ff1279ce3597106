"""Between governments, over X-Road: what the centre answers to others (on a listener of its own), and what it asks them.

``app`` is the provider's side, ``headers`` who asks, ``document`` its OpenAPI 3.0; ``registry`` is the consumer's side.
"""
