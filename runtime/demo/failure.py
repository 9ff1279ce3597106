"""The one error of the demo: something did not go as shown, in words for the visitor."""

from domain.errors import BarayError


class DemoFailed(BarayError):
    code = "demo-failed"
