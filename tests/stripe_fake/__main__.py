"""`python -m tests.stripe_fake`: a Stripe of one's own on loopback, until SIGINT or SIGTERM.

Pay an order with `curl -X POST URL/pay/<PaymentIntent or Checkout Session>`; everything else that can be made to happen
is `POST URL/_fake/<name>` with arguments as JSON (`curl URL/_fake/help` lists the names).
"""

import argparse
import asyncio
import os
import signal
import sys

from tests.stripe_fake import Fake, Settings, running


async def serve(fake: Fake, port: int, webhook: str | None, *, until_stdin_ends: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin)
            stop.set()

    if until_stdin_ends:
        loop.add_reader(sys.stdin, read)
    async with running(fake, port=port, webhook=webhook):
        print(fake.url, flush=True)  # noqa: T201  whoever started it reads where it is
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stripe_fake",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--webhook", help="the URL that gets the events")
    parser.add_argument("--secret", default=Fake.secret, help="signs them")
    parser.add_argument("--key", default=Settings.api_key, help="the API key that is let in")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="stop also when who started it is gone (a pipe)"
    )
    given = parser.parse_args()
    fake = Fake(Settings(api_key=given.key), secret=given.secret)
    asyncio.run(serve(fake, given.port, given.webhook, until_stdin_ends=given.until_stdin_ends))


if __name__ == "__main__":
    main()
