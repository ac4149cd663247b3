"""What is measured and said, as frozen records: what passes from room to room, and what is stored.

    run        history, environment, evaluation and comparison of runs
    study      reported beside measured, and the verdicts on a study's statements
    filters    what a layer's filters answer
    data       what a data set holds
    bench      how fast training is
    quantity   what a number is, and how it is written

`--json` prints a record's `model_dump`, so a field here is a key there.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of all records: frozen, and each field is checked when a record is made.

    A record can also be read like the dict that `--json` prints, as in version 0.1:
    `record["test"]["accuracy"]`, `record.get("reported")`, `dict(record)`.
    """

    model_config = ConfigDict(
        frozen=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )

    def __getitem__(self, key: str) -> object:
        return self.model_dump(mode="json")[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: str) -> bool:
        return key in self.keys()

    def get(self, key: str, default: object = None) -> object:
        """The value of a key, or the default where there is none."""
        return self.model_dump(mode="json").get(key, default)

    def keys(self) -> KeysView[str]:
        """Names of the fields, as `--json` prints them."""
        return self.model_dump(mode="json").keys()

    def values(self) -> ValuesView[object]:
        """Values of the fields, as `--json` prints them."""
        return self.model_dump(mode="json").values()

    def items(self) -> ItemsView[str, object]:
        """Names and values of the fields, as `--json` prints them."""
        return self.model_dump(mode="json").items()
