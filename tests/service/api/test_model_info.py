"""What is served, for people and programs."""

from __future__ import annotations

from tests.asgi import AsgiClient


def test_list(client: AsgiClient) -> None:
    """Every version with its role and objectives."""
    content = client.get("/v1/models").json()
    assert content["default_model"] == "mixed"
    versions = {one["model_name"]: one for one in content["models"]}
    assert set(versions) == {"numbers", "mixed", "texts", "regression"}
    assert versions["numbers"]["role"] == "stable"
    assert versions["numbers"]["task"] == "multiclass"
    assert versions["regression"]["objectives"]["mae"] > 0


def test_detail(client: AsgiClient) -> None:
    """The contract of one model: features with units, classes, a summary of the reference."""
    (version,) = client.get("/v1/models/numbers").json()["versions"]
    features = {feature["name"]: feature for feature in version["signature"]["features"]}
    assert features["height"]["unit"] == "m"
    assert version["signature"]["classes"] == ["ash", "birch", "cedar"]
    assert version["monitored_features"] == ["height", "girth", "slope"]
    assert version["reference_rows"] > 0
    assert 0 <= version["out_of_distribution_share"] <= 0.2
