# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages are bounded, and a token works for the request it was given to alone."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.runtime.paging import decode_token, encode_token, page_limit, request_arguments
from decnet_ttp.v1 import directory_service_pb2, tag_store_service_pb2

_KEY = st.lists(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    max_size=5,
)


@pytest.mark.parametrize(
    ("asked", "given_"),
    [(0, 100), (1, 1), (100, 100), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)],
)
def test_page_limit_has_a_default_and_a_maximum(asked: int, given_: int) -> None:
    assert page_limit(asked) == given_


def test_page_limit_takes_other_bounds() -> None:
    assert page_limit(0, default=5, maximum=10) == 5
    assert page_limit(11, default=5, maximum=10) == 10


@pytest.mark.parametrize("asked", [-1, -(2**31)])
def test_negative_page_size_is_refused(asked: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"page_size is {asked}; use 0") as caught:
        page_limit(asked)
    assert caught.value.field == "page_size"


@given(_KEY, st.binary(max_size=64))
def test_token_gives_its_key_back(key: list[object], arguments: bytes) -> None:
    assert decode_token(encode_token(key, arguments), arguments) == key


def test_no_token_is_the_first_page() -> None:
    assert decode_token("", b"any") is None


def _refused(token: str, arguments: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="page_token does not belong") as caught:
        decode_token(token, arguments)
    assert caught.value.field == "page_token"


def test_token_of_other_arguments_is_refused() -> None:
    _refused(encode_token(["T1083"], b"these"), b"those")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "====",
        "AAAA",
        "ключ",
        "\N{SNOWMAN}",
        "a" * 10_000,
        encode_token(["T1083"], b"these")[:-4],
        encode_token(["T1083"], b"these") + "AAAA",
        "!" + encode_token(["T1083"], b"these"),
    ],
)
def test_garbled_token_is_refused(token: str) -> None:
    _refused(token, b"these")


def test_token_whose_key_is_no_list_is_refused() -> None:
    raw = base64.urlsafe_b64decode(encode_token([], b"these"))
    _refused(base64.urlsafe_b64encode(raw[:-2] + b'{"a":1}').decode(), b"these")


@given(st.text(max_size=64))
def test_any_text_is_a_key_or_refused(token: str) -> None:
    try:
        found = decode_token(token, b"these")
    except InvalidArgumentError:
        return
    assert found is None


def test_arguments_leave_out_the_page_but_nothing_else() -> None:
    request = directory_service_pb2.ListAttackersRequest
    assert request_arguments(request(page_size=7, page_token="t")) == request_arguments(request())  # noqa: S106 - no password
    same = tag_store_service_pb2.ListTagsRequest(page_size=7)
    other = tag_store_service_pb2.ListTagsRequest(page_size=7, technique_id="T1083")
    assert request_arguments(same) != request_arguments(other)
    assert same.page_size == 7
