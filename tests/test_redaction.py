"""What is secret in an address is not shown."""

import pytest

from pipeline.redaction import has_secrets, printable, redacted

SECRETS = {
    "http://user:hunter22@host:5000/mlflow": "http://***@host:5000/mlflow",
    "http://user:hun@ter22@host": "http://***@host",
    "http://user:hun/ter22@host/a": "http://***@host/a",
    "http://user:hun%40ter%2F22@host": "http://***@host",
    "http://hunter22@host": "http://***@host",
    "http://host/a?password=hunter22&x=1": "http://host/a?password=***&x=1",
    "http://host/a?x=1&access_token=hunter22": "http://host/a?x=1&access_token=***",
    "postgresql+psycopg2://u:hunter22@host/db?sslpassword=hunter22": (
        "postgresql+psycopg2://***@host/db?sslpassword=***"
    ),
}


@pytest.mark.parametrize(("address", "shown"), SECRETS.items())
def test_an_address_is_shown_without_users_passwords_and_tokens(address: str, shown: str) -> None:
    assert redacted(f"got {address} here") == f"got {shown} here"
    assert has_secrets(address)


@pytest.mark.parametrize(
    "text", ["sqlite:////a b/mlflow.db", "http://127.0.0.1:5000/#/a?x=1", "write to me@here", ""]
)
def test_what_has_no_secret_is_shown_as_it_is(text: str) -> None:
    assert redacted(text) == text
    assert not has_secrets(text)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://user:hunter22@host", "authentication failed for hunter22"),
        ("http://user:hun/ter22@host", "no port 'hun/ter22'"),
        ("http://user:hun%40ter22@host", "no host 'hun@ter22'"),
        ("http://hunter22@host", "unknown hunter22"),
    ],
)
def test_a_part_of_the_environments_address_is_hidden_wherever_a_library_quotes_it(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert "ter22" not in redacted(said)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abcdefgh")
    assert redacted("Bearer abcdefgh") == "Bearer ***"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PGPASSWORD", "hunter22"),
        ("AWS_SECRET_ACCESS_KEY", "hunter22"),
        ("HTTPS_PROXY", "http://me:hunter22@proxy:3128"),
        ("https_proxy", "http://me:hunter22@proxy:3128"),
    ],
)
def test_what_other_variables_keep_secret_is_hidden_as_well(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    assert redacted("got hunter22") == "got hunter22"
    monkeypatch.setenv(variable, value)
    assert redacted("got hunter22") == "got ***"


def test_a_secret_is_hidden_where_it_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hun/ter 22")
    assert redacted("x=hun%2Fter%2022 and hun/ter 22") == "x=*** and ***"


def test_what_steers_a_terminal_is_escaped_and_a_space_that_does_not_break_is_not() -> None:
    assert printable("12\u00a0% \x1b[2J\n\u202e") == "12\u00a0% \\x1b[2J\\n\\u202e"
