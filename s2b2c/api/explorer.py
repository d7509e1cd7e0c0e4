"""The page at GET /graphql: one file of our own, so that it also works where nothing but this server can be reached."""

import hashlib
import json
import re
from base64 import b64encode
from pathlib import Path

from s2b2c.config import resource


def page() -> tuple[str, dict[str, str]]:
    """The page with the operations of `graphql/operations` as its examples, and the headers that go with it."""
    folder = resource("graphql") / "operations"
    operations = {
        file.relative_to(folder).with_suffix("").as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*.graphql"))
    }
    html = Path(__file__).with_name("explorer.html").read_text(encoding="utf-8")
    html = html.replace("{/* operations */}", json.dumps(operations, ensure_ascii=False).replace("<", "\\u003c"))
    policy = {
        "default-src": "'none'",
        "script-src": _hash(html, "script"),
        "style-src": _hash(html, "style"),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return html, {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _hash(html: str, tag: str) -> str:
    """The policy's name for the one inline script or style that may take effect."""
    (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
