"""A registry of institutions that is on this side of the network, for tests that are not about it."""

from lifecycle.registry import Extract, check_number

NAME = "KH/GOV/0007/registry/company"


class SimpleRegistry:
    """It knows every number, and says of each the same."""

    def fetch(self, number: str) -> Extract:
        check_number(number)
        said = {"title": f"Company {number}", "kind": "company"} if number.startswith("9") else {"sector": "education"}
        return Extract(NAME, number, said, "active", in_force=True, message_id="m-1", sha256="0" * 64)
