"""Personal data at rest."""

import base64
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from s2b2c import crypto
from s2b2c.config import Settings
from s2b2c.crypto import Keys, SealError

OLD, NEW, LOOKUP = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))


def test_what_is_sealed_opens_and_tells_nothing() -> None:
    keys = Keys({"k1": OLD}, LOOKUP)
    sealed = keys.seal("13800001234", "phone")
    assert sealed.startswith("k1.")
    assert keys.open(sealed, "phone") == "13800001234"
    assert "13800001234" not in sealed
    assert b"13800001234" not in base64.urlsafe_b64decode(sealed.removeprefix("k1."))
    assert keys.seal("13800001234", "phone") != sealed, "two rows do not show that they are the same"
    assert keys.open(keys.seal("", "phone"), "phone") == ""
    assert keys.open(keys.seal("上海市 浦东新区", "address"), "address") == "上海市 浦东新区"


def test_keys_rotate() -> None:
    before = Keys({"k1": OLD}, LOOKUP)
    after = Keys({"k2": NEW, "k1": OLD}, LOOKUP)
    assert after.open(before.seal("x", "phone"), "phone") == "x"
    assert after.seal("x", "phone").startswith("k2.")
    assert after.fingerprint("phone", "x") == before.fingerprint("phone", "x")
    with pytest.raises(SealError):
        before.open(after.seal("x", "phone"), "phone")


def test_what_does_not_open() -> None:
    keys = Keys({"k1": OLD}, LOOKUP)
    sealed = keys.seal("13800001234", "phone")
    changed = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")
    for wrong in (changed, sealed.replace("k1", "k2"), "", "k1.", "k1.AAAA", "k1.?", "13800001234", sealed[:30]):
        with pytest.raises(SealError, match="S2B2C_DATA_KEYS") as error:
            keys.open(wrong, "phone")
        assert error.value.__cause__ is None
    with pytest.raises(SealError):
        keys.open(sealed, "openid")
    with pytest.raises(SealError):
        Keys({"k1": NEW}, LOOKUP).open(sealed, "phone")


def test_fingerprints() -> None:
    keys = Keys({"k1": OLD}, LOOKUP)
    # HMAC-SHA256 over "phone", a NUL and "13800001234", by openssl
    assert (
        keys.fingerprint("phone", "13800001234").hex()
        == "2d0c4f7de1ab2c2ee9d8d9c291b2231f0254f661fab40081af35d38efa4bb929"
    )
    assert keys.fingerprint("phone", "1", "23") != keys.fingerprint("phone", "12", "3")
    assert keys.fingerprint("openid", "1") != keys.fingerprint("phone", "1")
    assert Keys({"k1": OLD}, NEW).fingerprint("phone", "1") != keys.fingerprint("phone", "1")


def test_the_keys_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = f"k2:{base64.b64encode(NEW).decode()},k1:{base64.urlsafe_b64encode(OLD).decode().rstrip('=')}"
    given = Settings(data_keys=SecretStr(named), lookup_key=SecretStr(base64.b64encode(LOOKUP).decode()))
    monkeypatch.setattr(crypto, "settings", lambda: given)
    monkeypatch.setattr(crypto, "state_dir", lambda: tmp_path)
    keys = crypto.keys.__wrapped__()
    assert keys.seal("x", "phone").startswith("k2.")
    assert keys.open(Keys({"k1": OLD}, LOOKUP).seal("x", "phone"), "phone") == "x"
    assert keys.fingerprint("phone", "x") == Keys({"k1": OLD}, LOOKUP).fingerprint("phone", "x")
    assert list(tmp_path.iterdir()) == []
    for secret in (named, base64.b64encode(NEW).decode(), repr(NEW)):
        assert secret not in repr(given) + repr(keys)


def test_without_settings_keys_are_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "settings", lambda: Settings(data_keys=None))
    monkeypatch.setattr(crypto, "state_dir", lambda: tmp_path)
    sealed = crypto.keys.__wrapped__().seal("x", "phone")
    assert crypto.keys.__wrapped__().open(sealed, "phone") == "x"
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["data_keys", "lookup_key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"data_keys": "A" * 43}, "name:key"),
        ({"data_keys": "k1:" + "A" * 42}, "name:key"),
        ({"data_keys": "k1:" + "A" * 43 + ","}, "name:key"),
        ({"data_keys": "k1:" + "A" * 43}, "must be set where S2B2C_DATA_KEYS is"),
        ({"data_keys": "k1:" + "A" * 43, "lookup_key": "A" * 44}, "32 bytes in base64"),
        ({"lookup_key": "short"}, "32 bytes in base64"),
        ({"trusted_proxies": "10.0.0.0/8, nonsense"}, "nonsense"),
        ({"trusted_proxies": "10.0.0.1/8"}, "host bits"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate(settings)
