"""What clients carry for us cannot be read, changed, made, used for something else or used for ever."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolbox.seals import SealBroken, Sealer, load_sealer
from toolbox.services import Services
from toolbox.settings import Secret

SEALER = Sealer(b"a secret")


@given(st.binary(max_size=500))
def test_what_is_sealed_comes_back(content: bytes) -> None:
    text = SEALER.seal("test", content, seconds=60)
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")
    assert SEALER.open("test", text) == content


@given(st.integers(0, 56), st.sampled_from(string.ascii_letters + "-_!= "))
def test_a_changed_text_is_refused(at: int, other: str) -> None:
    text = SEALER.seal("test", b"content", seconds=60)
    assume(text[at] != other)
    with pytest.raises(SealBroken):
        SEALER.open("test", text[:at] + other + text[at + 1 :])


@given(st.text(max_size=100))
def test_a_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(SealBroken, match="not made here"):
        SEALER.open("test", text)


def test_a_seal_for_something_else_is_refused() -> None:
    with pytest.raises(SealBroken, match="not made here"):
        SEALER.open("another", SEALER.seal("test", b"content", seconds=60))


def test_a_seal_of_another_secret_is_refused() -> None:
    with pytest.raises(SealBroken, match="not made here"):
        Sealer(b"another").open("test", SEALER.seal("test", b"content", seconds=60))


def test_an_old_seal_is_refused() -> None:
    with pytest.raises(SealBroken, match="too old"):
        SEALER.open("test", SEALER.seal("test", b"content", seconds=-2))


async def test_replicas_share_a_secret_that_nobody_set(services: Services) -> None:
    first, second = await load_sealer(services.database, None), await load_sealer(services.database, None)
    assert second.open("test", first.seal("test", b"content", seconds=60)) == b"content"


async def test_a_secret_that_is_set_is_used(services: Services) -> None:
    sealer = await load_sealer(services.database, Secret("a secret"))
    assert SEALER.open("test", sealer.seal("test", b"content", seconds=60)) == b"content"
