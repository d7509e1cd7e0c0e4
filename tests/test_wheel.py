"""The wheel carries all it needs: installed where there is no checkout, it migrates a database."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c.config import CHECKOUT, resource
from tests.databases import create_database, drop_database, url_of


def ask(url: str, statement: str) -> object:
    async def answer() -> object:
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with engine.connect() as connection:
            result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None

    return asyncio.run(answer())


def build(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=CHECKOUT, check=True)
    (wheel,) = folder.glob("s2b2c-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """A fresh environment with the wheel in it; the dependencies are those of this one. Its folder of programs.

    The checkout does not come along: what installs it for development is a .pth file, and those are read only in the
    site-packages of the running environment.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], cwd=folder, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(dependencies)), "utf-8")
    return python.parent


def test_the_wheel_migrates_without_the_checkout(tmp_path: Path, server_url: str) -> None:
    wheel = build(tmp_path / "dist")
    carried = set(ZipFile(wheel).namelist())
    for name in ("migrations", "graphql"):
        files = {path.relative_to(resource(name)) for path in resource(name).rglob("*") if path.is_file()}
        ours = {path for path in files if path.suffix != ".pyc"}
        assert {f"s2b2c/bundled/{name}/{path}" for path in ours} <= carried
    assert {str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("s2b2c/sql/*.sql")} <= carried
    assert {path.split("/")[0].split("-")[0] for path in carried} == {"s2b2c"}

    programs = install(wheel, tmp_path / "fresh")
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    database = f"s2b2c_wheel_{os.getpid()}"
    url = url_of(server_url, database)
    environment = {"PATH": os.defpath, "HOME": str(nowhere), "PYTHONUTF8": "1", "S2B2C_DATABASE_URL": url}
    where = [str(programs / "python"), "-c", "import s2b2c; print(s2b2c.__file__)"]
    found = subprocess.run(where, cwd=nowhere, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(tmp_path / "fresh")

    asyncio.run(create_database(server_url, database))
    try:
        subprocess.run([programs / "s2b2c", "migrate"], cwd=nowhere, env=environment, check=True)
        assert ask(url, "SELECT count(*) FROM alembic_version") == 1
        assert ask(url, "SELECT count(*) FROM pg_tables WHERE tablename IN ('orders', 'distributors')") == 2
    finally:
        asyncio.run(drop_database(server_url, database))
