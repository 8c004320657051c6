"""Settings of an installation, from the environment."""

from __future__ import annotations

import pytest

from foreshock.settings import LiveSettings, Settings, load_settings
from foreshock.store.store import store_at
from foreshock_models.errors import ConfigError, StoreError

OUTSIDE = {
    "DATABASE_URL": ("postgresql://db/foreshock", "store_url", "postgresql://db/foreshock"),
    "DATABASE_POOL_SIZE": ("7", "store_pool_size", 7),
    "AI_MODELS_PATH": ("/models", "registry", "/models"),
    "ENABLE_ANOMALY_DETECTION": ("false", "anomaly_detection", False),
    "RETRAIN_INTERVAL_HOURS": ("12", "retrain_interval_hours", 12.0),
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OUTSIDE, *(f"FORESHOCK_{name.upper()}" for name in Settings.model_fields)):
        if name != "FORESHOCK_HOME":
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_operators_bring_along_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, setting, value = OUTSIDE[name]
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), setting) == value


def test_a_name_of_foreshocks_own_wins_and_an_option_of_a_command_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///a.db")
    monkeypatch.setenv("FORESHOCK_STORE_URL", "sqlite:///b.db")
    assert load_settings().store == "sqlite:///b.db"
    assert load_settings(store_url="sqlite:///c.db").store == "sqlite:///c.db"


def test_the_size_of_the_pool_reaches_postgresql_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "7")
    for url in ("postgresql://me:word@db/f", "postgresql://db/f?connect_timeout=3"):
        store = store_at(load_settings(store_url=url).store)
        assert store.engine.pool.size() == 7  # type: ignore[attr-defined]
        assert "pool_size" not in store.engine.url.query
    assert "pool_size" not in load_settings().store
    assert store_at("postgresql://db/f").engine.pool.size() == 5  # type: ignore[attr-defined]
    for wrong in ("0", "many", "1001"):
        with pytest.raises(StoreError, match=r"pool_size=.*allowed: 1 to 1000"):
            store_at(f"postgresql://db/f?pool_size={wrong}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_POOL_SIZE", "0"), ("RETRAIN_INTERVAL_HOURS", "-1"), ("ENABLE_ANOMALY_DETECTION", "perhaps"),
     ("FORESHOCK_TLS_MIN_VERSION", "1.1"), ("FORESHOCK_HSTS", "-1s"), ("FORESHOCK_ALLOW_PLAIN_HTTP", "perhaps")],
)  # fmt: skip
def test_a_wrong_value_is_one_line(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"^FORESHOCK_\w+: ") as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_every_live_setting_is_a_setting_with_the_same_default() -> None:
    found = Settings()
    for name, value in LiveSettings():
        assert getattr(found, name) == value
