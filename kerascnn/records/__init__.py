"""What is measured and said, as frozen records: what passes from room to room, and what is stored.

    run        history, environment, evaluation and comparison of runs
    study      reported beside measured, and the verdicts on a study's statements
    filters    what a layer's filters answer
    data       what a data set holds
    bench      how fast training is
    quantity   what a number is, and how it is written

`--json` prints a record's `model_dump`, so a field here is a key there.
"""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict


class Record(BaseModel, Mapping):
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
        return iter(self.model_dump(mode="json"))

    def __len__(self) -> int:
        return len(self.model_dump(mode="json"))
