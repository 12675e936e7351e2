"""Settings from the environment."""

from pathlib import Path

import pytest

from toolbox.errors import SettingsError
from toolbox.settings import Secret, Settings, describe_settings, read_settings, refuse_contradictions, refuse_exposure


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"PORT": ""}) == Settings()


def test_values_are_read_by_their_types() -> None:
    environ = {
        "DATABASE_URL": "postgresql://u:p@h/d",
        "DATA_DIR": "/data",
        "PORT": "9000",
        "ALLOW_ANONYMOUS": "Yes",
        "PINNED_TOOLS": "a, b,",
        "DEFAULT_SIMILARITY_THRESHOLD": "0.5",
    }
    assert read_settings(environ) == Settings(
        database_url=Secret("postgresql://u:p@h/d"),
        data_dir=Path("/data"),
        port=9000,
        allow_anonymous=True,
        pinned_tools=("a", "b"),
        default_similarity_threshold=0.5,
    )


def test_overrides_win_and_none_is_no_override() -> None:
    assert read_settings({"PORT": "9000"}, port=1, host=None).port == 1


def test_a_secret_does_not_show_itself() -> None:
    settings = read_settings({"DATABASE_URL": "postgresql://u:topsecret@h/d"})
    assert "topsecret" not in repr(settings)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://h/d\n")
    settings = read_settings({"DATABASE_URL_FILE": str(tmp_path / "url")})
    assert settings.database_url == Secret("postgresql://h/d")
    with pytest.raises(SettingsError, match="DATABASE_URL_FILE"):
        read_settings({"DATABASE_URL_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "http", "a whole number from 0 to 65535"),
        ("PORT", "70000", "65535"),
        ("WORKERS", "0", "a whole number from 1 to 64"),
        ("TOOL_CONCURRENCY", "0", "a whole number of at least 1"),
        ("TOOL_TIMEOUT", "soon", "a number above 0"),
        ("DEFAULT_SIMILARITY_THRESHOLD", "2", "a number from 0 to 1"),
        ("LOG_LEVEL", "TRACE", "DEBUG, INFO, WARNING, ERROR"),
        ("ALLOW_ANONYMOUS", "maybe", "true or false"),
        ("VECTOR_WEIGHT", "1.5", "a number from 0 to 1"),
        ("PUBLIC_URL", "toolbox.example", "https?://"),
    ],
)
def test_a_value_that_does_not_parse_names_variable_value_and_what_is_allowed(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({name: value})
    assert name in raised.value.message
    assert repr(value) in raised.value.message
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "garbage-with-a-password", "begins with postgresql://"),
        ("DATABASE_URL", "mysql://u:password@h/d", "begins with postgresql://"),
        ("DATABASE_URL", "postgresql://u:password@h:port/d", "port"),
        ("REDIS_URL", "localhost:6379", "begins with redis://"),
    ],
)
def test_a_url_of_something_else_is_refused_without_being_shown(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({name: value})
    assert raised.value.message.startswith(f"{name} cannot be used")
    assert said in raised.value.message
    assert value not in raised.value.message


@pytest.mark.parametrize(
    "url",
    ["postgres://h/d", "postgresql+asyncpg://u:p@h:5432/d", "postgresql:///d?host=/tmp", "postgresql://a:1,b:2/d"],
)
def test_every_way_to_write_the_database_is_taken(url: str) -> None:
    assert read_settings({"DATABASE_URL": url}).database_url == Secret(url)


def test_an_address_that_others_can_reach_must_be_meant() -> None:
    with pytest.raises(SettingsError, match="ALLOW_ANONYMOUS"):
        refuse_exposure(Settings(host="0.0.0.0"), has_credentials=False)
    with pytest.raises(SettingsError, match="PUBLIC_URL=https://tools"):
        refuse_exposure(Settings(public_url="https://tools.example"), has_credentials=False)
    refuse_exposure(Settings(host="0.0.0.0"), has_credentials=True)
    refuse_exposure(Settings(host="0.0.0.0", allow_anonymous=True), has_credentials=False)
    refuse_exposure(Settings(public_url="http://localhost:8000"), has_credentials=False)
    refuse_exposure(Settings(), has_credentials=False)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (Settings(api_key=Secret("short")), "API_KEY is too short"),
        (Settings(environment="production", debug=True), "DEBUG=true"),
        (Settings(environment="production", cors_origins=("https://a.example", "*")), r"CORS_ORIGINS=\*"),
    ],
)
def test_settings_that_are_a_danger_are_refused(settings: Settings, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        refuse_contradictions(settings)


def test_what_is_for_trying_out_is_taken_elsewhere() -> None:
    refuse_contradictions(Settings(debug=True, cors_origins=("*",), api_key=Secret("a" * 20)))


def test_every_setting_has_a_sentence() -> None:
    for name, _, sentence in describe_settings():
        assert sentence.endswith("."), name
