"""The centre's face: ``http`` is the JSON API. Pages and identity get rooms of their own beside it."""
