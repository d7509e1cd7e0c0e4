"""WeChat: who the user of the mini-app is that a code of `wx.login()` was made for."""

import json
import logging
from typing import NamedTuple

import aiohttp

from s2b2c.config import settings
from s2b2c.errors import Refusal, Refused, SignInOff, TooManyRequests, WrongCredentials
from s2b2c.failures import kind_of

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_MAX_CODE_LENGTH = 128
_WRONG_CODE = {40029, 40163}
"""Invalid, and used before."""
_TOO_OFTEN = {45011}
_BLOCKED = {40226}

logger = logging.getLogger(__name__)


class WechatUser(NamedTuple):
    """The user of a mini-app: an id of this app alone, and one of all apps of the same owner where WeChat tells it."""

    openid: str
    unionid: str | None


async def user_of(code: str) -> WechatUser:
    """Exchange a code (`code2Session`); the session key that comes with it is not kept.

    Raises Refused: WrongCredentials, TooManyRequests, or SignInOff where WeChat is not set up or does not answer.
    """
    app_id, app_secret = settings().wechat_app_id, settings().wechat_app_secret
    if app_id is None or app_secret is None:
        raise Refused(
            SignInOff("This server does not know WeChat: whoever runs it sets S2B2C_WECHAT_APP_ID and _APP_SECRET.")
        )
    if not 1 <= len(code) <= _MAX_CODE_LENGTH or not code.isprintable():
        raise Refused(_WRONG)
    asked = {
        "appid": app_id,
        "secret": app_secret.get_secret_value(),
        "js_code": code,
        "grant_type": "authorization_code",
    }
    address = f"{settings().wechat_api_base}/sns/jscode2session"
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as http,
            http.get(address, params=asked, allow_redirects=False) as response,
        ):
            status, body = response.status, await response.text()
        told = json.loads(body) if status == 200 else {"errcode": f"status {status}"}
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        told = {"errcode": kind_of(error)}  # its message may hold the address, and that the secret
    user = told if isinstance(told, dict) else {"errcode": "no object"}
    problem = user.get("errcode", 0)
    if problem != 0:
        raise Refused(_refusal(problem if isinstance(problem, int | str) else "no code"))
    openid, unionid = user.get("openid"), user.get("unionid") or None
    if not isinstance(openid, str) or not isinstance(unionid, str | None):
        raise Refused(_refusal("no openid"))
    return WechatUser(f"{app_id}:{openid}", unionid)


def _refusal(problem: int | str) -> Refusal:
    if problem in _WRONG_CODE:
        return _WRONG
    if problem in _TOO_OFTEN:
        return TooManyRequests("WeChat asks this user to wait: come back in a minute.", 60)
    if problem in _BLOCKED:
        return WrongCredentials("WeChat has blocked this user: sign in with a phone and a code.")
    logger.warning("WeChat did not say who somebody is (%s)", str(problem)[:60])
    return SignInOff("WeChat does not answer: try again in a moment, or sign in with a phone and a code.")


_WRONG = WrongCredentials("The code of WeChat is wrong or was used: call wx.login() for a new one.")
