"""The page's files -> whole pages that need nothing beside them, and a policy by which a browser runs nothing else.

A page holds no figure: it is the same for everybody, and its script asks for the rest, with a key where one is needed.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Literal

from mlops_assets.serving.requests.http import Answer

_FILES = Path(__file__).parent / "files"
_SCRIPTS: dict[str, Sequence[str]] = {
    "home": ("base.js", "charts.js", "form.js", "answer.js", "home.js"),
    "trace": ("base.js", "ancestry.js", "trace.js"),
}
_HTML = b"text/html; charset=utf-8"


class Shell:
    """One of the pages, put together once."""

    def __init__(self, name: Literal["home", "trace"], product: str) -> None:
        """Read the page `name` for `product`."""
        style = _read("style.css")
        script = "\n".join(_read(file) for file in _SCRIPTS[name])
        page = _read(f"{name}.html").replace("[[product]]", escape(product))
        self._body = page.replace("[[style]]", style).replace("[[script]]", script).encode()
        self._headers = (
            (b"content-security-policy", _policy(style, script).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-cache"),
        )

    def answer(self, status: int = 200) -> Answer:
        """Return the page."""
        return Answer(status, self._body, self._headers, _HTML)


def _policy(style: str, script: str) -> str:
    """Return what the browser may do: run this script, use this style, ask this endpoint, show pictures given by it."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "connect-src 'self'",
            "img-src data: blob:",
            *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
