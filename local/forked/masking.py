"""Secrets out of logs: replaces every occurrence of every secret value in a stream of bytes, however it is cut up."""

_MASK = b"***"
_SHORTEST = 4  # a shorter value would blot out half of any log, and is no secret


class Masker:
    """Feed it the stream piece by piece. It holds back only bytes that may turn out to be the start of a secret."""

    def __init__(self, values: list[bytes]) -> None:
        stripped = {value.strip() for value in values}
        self._values = [value for value in stripped if len(value) >= _SHORTEST]
        self._reach = max(map(len, self._values), default=1) - 1
        self._held = b""
        self._covered = 0  # how many of the held bytes end a secret whose mask was already given out

    def feed(self, data: bytes) -> bytes:
        """What may be shown of the stream up to here."""
        if not self._values:
            return data
        text = self._held + data
        return self._mask(text, self._undecided(text))

    def flush(self) -> bytes:
        """The rest, at the end of the stream."""
        return self._mask(self._held, len(self._held))

    def _mask(self, text: bytes, cut: int) -> bytes:
        """The text before ``cut``, masked. Whatever begins before ``cut`` is known to the end, so no match is missed."""
        shown, at, covered = [], 0, 0
        for start, end in self._spans(text):
            if start >= cut:
                break
            if start >= 0:
                shown += [text[at:start], _MASK]
            at, covered = min(end, cut), max(0, end - cut)
        shown.append(text[at:cut])
        self._held, self._covered = text[cut:], covered
        return b"".join(shown)

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        """Where the secrets are, overlaps joined, in order. A start of -1 continues a mask that was given out."""
        found = [(-1, self._covered)] if self._covered else []
        for value in self._values:
            at = text.find(value)
            while at >= 0:
                found.append((at, at + len(value)))
                at = text.find(value, at + 1)
        joined: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if joined and start < joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined

    def _undecided(self, text: bytes) -> int:
        """The first byte from which the text could still grow into a secret; the text's length if there is none."""
        for at in range(max(0, len(text) - self._reach), len(text)):
            tail = text[at:]
            if any(len(value) > len(tail) and value.startswith(tail) for value in self._values):
                return at
        return len(text)
