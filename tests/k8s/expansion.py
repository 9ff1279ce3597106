"""What a kubelet does to commands, arguments and values of an environment before a container sees them."""

from collections.abc import Mapping


def expand(text: str, env: Mapping[str, str] | None = None) -> str:
    """``$(NAME)`` becomes the variable, if there is one, and ``$$`` a ``$``; all else stays."""
    found, position = [], 0
    while position < len(text):
        follows = text[position + 1 : position + 2]
        if text[position] != "$" or not follows:
            found.append(text[position])
            position += 1
        elif follows == "(" and (end := text.find(")", position)) > 0:
            whole = text[position : end + 1]
            found.append((env or {}).get(whole[2:-1], whole))
            position = end + 1
        else:
            found.append("$" if follows == "$" else f"${follows}")
            position += 2
    return "".join(found)
