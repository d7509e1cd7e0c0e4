"""The processes of `s2b2c up`: those it starts, and how each ends with the others."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from s2b2c.config import CHECKOUT, settings

PARENT = "S2B2C_PARENT"
"""Set for a child of `s2b2c up`: it ends when its standard input does, however its parent died."""


class CommandError(Exception):
    """Something the user can mend; the message says how."""


def end_with_parent() -> None:
    def watch() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock would be held when the process ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ.get(PARENT):
        threading.Thread(target=watch, daemon=True).start()


def refuse_busy_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"cannot listen on {host}:{port} ({error.strerror}); "
                f"choose another port: S2B2C_PORT={port + 1} make run"
            ) from None


@contextmanager
def children(given: Mapping[str, str], *commands: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Our own commands as processes, ended in the order they were started; each ends by itself should we be killed."""
    environment = os.environ | given | {PARENT: str(os.getpid())}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            call = [sys.executable, "-m", "s2b2c.cli", command]
            # A session of its own: Ctrl-C reaches us alone, and we end the children in order.
            started.append(subprocess.Popen(call, env=environment, stdin=subprocess.PIPE, start_new_session=True))
        yield started
    finally:
        for child in started:
            _end(child)


@contextmanager
def stripe(host: str, port: int) -> Iterator[dict[str, str]]:
    """Where no key is set and a checkout has one: a stand-in for Stripe, and the settings that lead to it."""
    if settings().stripe_api_key or not (CHECKOUT / "tests" / "stripe_fake").is_dir():
        yield {}
        return
    key, secret = f"sk_test_{secrets.token_hex(12)}", f"whsec_{secrets.token_hex(12)}"
    ours = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  it is not bound here
    words = ["--webhook", f"http://{ours}:{port}/stripe/events", "--key", key, "--secret", secret]
    with _stand_in("stripe_fake", *words) as address:
        yield {
            "S2B2C_STRIPE_API_KEY": key,
            "S2B2C_STRIPE_WEBHOOK_SECRET": secret,
            "S2B2C_STRIPE_API_BASE": address,
        }


@contextmanager
def sign_in() -> Iterator[dict[str, str]]:
    """Where neither is set and a checkout has one: a stand-in for WeChat and an SMS gateway, as for Stripe."""
    if settings().sms_url or settings().wechat_app_id or not (CHECKOUT / "tests" / "wechat_fake").is_dir():
        yield {}
        return
    app_id, app_secret = f"wx{secrets.token_hex(8)}", secrets.token_hex(16)
    with _stand_in("wechat_fake", "--app-id", app_id, "--app-secret", app_secret) as address:
        yield {
            "S2B2C_SMS_URL": f"{address}/sms",
            "S2B2C_WECHAT_APP_ID": app_id,
            "S2B2C_WECHAT_APP_SECRET": app_secret,
            "S2B2C_WECHAT_API_BASE": address,
        }


@contextmanager
def _stand_in(name: str, *words: str) -> Iterator[str]:
    """The address of a stand-in of tests/ that serves as long as the block runs."""
    call = [sys.executable, "-m", f"tests.{name}", "--until-stdin-ends", *words]
    child = subprocess.Popen(
        call, cwd=CHECKOUT, start_new_session=True, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        if not (address := child.stdout.readline().strip()):
            raise CommandError(f"the stand-in {name} did not start; see above")
        yield address
    finally:
        _end(child)


def _end(child: subprocess.Popen[Any]) -> None:
    child.terminate()
    try:
        child.wait(timeout=20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_until_served(host: str, port: int, children: list[subprocess.Popen[bytes]]) -> None:
    while all(child.poll() is None for child in children):
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
