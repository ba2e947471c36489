"""The URL of the events' database holds a password, which nobody ever sees."""

import pytest

from pipelines_persistence.adapters.sql.database import open_database
from pipelines_persistence.errors import ConfigurationError, DatabaseUnavailable
from pipelines_persistence.settings import Settings

NOWHERE = "127.0.0.1:1/events"


def test_settings_do_not_show_it(monkeypatch):
    monkeypatch.setenv("PIPELINES_DATABASE_URL", f"postgresql://me:s3cret@{NOWHERE}")
    settings = Settings()
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "s3cret" not in shown
    assert settings.database_url.get_secret_value() == f"postgresql://me:s3cret@{NOWHERE}"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (f"postgresql://me:s3cret@{NOWHERE}", DatabaseUnavailable),
        (f"postgresql://me@{NOWHERE}?password=s3cret", DatabaseUnavailable),
        (f"postgresql://me:a@s3cret@{NOWHERE}", ConfigurationError),
        ("postgresql://me:1/s3cret@host:s3cret/name", ConfigurationError),
        (f"oracle://me:s3cret@{NOWHERE}", ConfigurationError),
        ("s3cret", ConfigurationError),
    ],
)
def test_errors_do_not_show_it(url, error):
    with pytest.raises(error) as caught:
        open_database(url)
    assert "s3cret" not in str(caught.value)
    if error is ConfigurationError:
        assert caught.value.__cause__ is None
