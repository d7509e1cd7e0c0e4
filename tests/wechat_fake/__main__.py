"""`python -m tests.wechat_fake`: WeChat and an SMS gateway of one's own on loopback, until SIGINT or SIGTERM.

`curl URL/_fake/sms` shows the codes that were sent; `curl URL/_fake/login/OPENID` gives what `wx.login()` would.
"""

import argparse
import asyncio
import os
import signal
import sys

from tests.wechat_fake import Fake, running


async def serve(fake: Fake, port: int, *, until_stdin_ends: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin)
            stop.set()

    if until_stdin_ends:
        loop.add_reader(sys.stdin, read)
    async with running(fake, port=port):
        print(fake.url, flush=True)  # noqa: T201  whoever started it reads where it is
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.wechat_fake",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="stop also when who started it is gone (a pipe)"
    )
    parser.add_argument("--app-id", default=Fake.app_id)
    parser.add_argument("--app-secret", default=Fake.app_secret)
    given = parser.parse_args()
    asyncio.run(
        serve(
            Fake(app_id=given.app_id, app_secret=given.app_secret), given.port, until_stdin_ends=given.until_stdin_ends
        )
    )


if __name__ == "__main__":
    main()
