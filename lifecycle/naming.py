"""Finds the names of a person in texts: name, title and e-mail, as words of their own, also inside JSON."""

import json
import re
from collections.abc import Iterator
from typing import Any

from domain.people import User

_SHORTEST = 3  # a name of fewer letters is in every other word


class Names:
    """``forms`` are all spellings that are looked for, longest first."""

    def __init__(self, user: User, pseudonym: str) -> None:
        known = {text.strip() for text in (user.email or "", user.title, user.name)}
        self.words = sorted((word for word in known if len(word) >= _SHORTEST), key=lambda word: (-len(word), word))
        spelt = {form for word in self.words for form in _spellings(word)}
        self.forms = sorted(spelt, key=lambda form: (-len(form), form))
        every = "|".join(re.escape(form) for form in self.forms)
        self._pattern = re.compile(rf"(?<!\w)(?:{every})(?!\w)", re.IGNORECASE) if every else None
        self._pseudonym = pseudonym

    def inside(self, text: str) -> bool:
        return self._pattern is not None and self._pattern.search(text) is not None

    def without(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(lambda _: self._pseudonym, text)

    def without_all(self, value: Any) -> Any:
        """The same of every text in a JSON value, but not of its keys."""
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, list):
            return [self.without_all(one) for one in value]
        if isinstance(value, dict):
            return {key: self.without_all(one) for key, one in value.items()}
        return value


def _spellings(word: str) -> Iterator[str]:
    """As it is, in JSON, and in JSON inside JSON."""
    for ascii_only in (True, False):
        once = json.dumps(word, ensure_ascii=ascii_only)[1:-1]
        yield from (word, once, json.dumps(once, ensure_ascii=ascii_only)[1:-1])
