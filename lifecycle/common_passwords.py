"""Passwords of twelve characters and more that are tried first by everybody who guesses.

Few are so long: who leaves out the shorter ones of the known lists is left with runs of keys, repeats, and phrases.
"""

_RUNS = (
    "1234567890", "0987654321", "qwertyuiopasdfghjklzxcvbnm", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn",
)  # fmt: skip
_WORDS = (
    "password", "passw0rd", "p@ssword", "p@ssw0rd", "letmein", "welcome", "iloveyou", "admin", "administrator", "changeme",
    "secret", "qwerty", "baray", "angkor", "angkorwat", "cambodia", "kampuchea", "phnompenh", "siemreap", "football",
    "sunshine", "princess", "monkey", "dragon", "superman", "master", "login", "default", "computer", "internet",
)  # fmt: skip
_PHRASES = (
    "correcthorsebatterystaple", "passwordpassword", "iloveyouforever", "letmeinplease", "pleaseletmein",
    "thisismypassword", "mypasswordis", "nopasswordneeded", "opensesame", "trustno1trustno1", "changemeplease",
    "administrator", "superadministrator", "qwertyuiopasdfghjkl", "qwertyuiopasdfghjklzxcvbnm",
)  # fmt: skip


def is_common(password: str) -> bool:
    """True if the password is a known one: a phrase of the list, a run of keys, or a word with only digits and signs or
    itself around it. Case does not matter.
    """
    text = password.casefold()
    letters = "".join(letter for letter in text if letter.isalpha())
    if text in _PHRASES or len(set(text)) <= 2:
        return True
    if any(_repeats(text, run) or text in run * 2 or text in run[::-1] * 2 for run in _RUNS):
        return True
    return any(_repeats(text, word) or letters == word or (word in text and not _more(text, word)) for word in _WORDS)


def _repeats(text: str, word: str) -> bool:
    """True if the text is the word again and again, cut off anywhere."""
    return text == (word * (len(text) // len(word) + 1))[: len(text)]


def _more(text: str, word: str) -> bool:
    """True if there are letters beside the word."""
    return any(letter.isalpha() for letter in text.replace(word, ""))
