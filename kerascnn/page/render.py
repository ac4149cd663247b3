"""What a page shows, and how it becomes HTML, through the templates of this package."""

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kerascnn.page.charts import Chart
from kerascnn.page.comparison import ClassTable, Group, Pairs
from kerascnn.page.pictures import Sheet
from kerascnn.page.shown_run import ShownRun
from kerascnn.records import quantity
from kerascnn.records.study import Audit
from kerascnn.show.words import counted

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Content:
    """Everything that a page shows; text in it is escaped, wherever it comes from."""

    runs: list[ShownRun]  # those shown in full
    groups: list[Group]  # all runs, by recipe
    charts: list[Chart]  # of all runs; none on the page of a single run
    class_tables: list[ClassTable]
    pairs: Pairs | None  # None where no two can be compared
    audit: Audit | None
    sheets: list[Sheet]
    has_pictures: bool

    @property
    def num_runs(self) -> int:
        return sum(len(group.runs) for group in self.groups)

    @property
    def title(self) -> str:
        if self.num_runs == 1:
            return self.runs[0].title
        return f"{self.num_runs} runs of {counted(len(self.groups), 'recipe')}"

    def for_script(self) -> dict[str, object]:
        """What the page's script needs."""
        charts = [*self.charts, *(chart for run in self.runs for chart in run.charts)]
        return {
            "charts": {chart.id: chart.for_script() for chart in charts},
            "runs": {run.id: run.for_script() for run in self.runs},
            "paired": self.pairs and self.pairs.for_script(),
        }


def render(content: Content) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share, digits=1: typeset(quantity.percent(share, digits)),
        "points": lambda difference: typeset(quantity.points(difference)),
        "loss": quantity.BEST_VAL_LOSS.write,
        "typeset": typeset,
    }
    template = environment.get_template("page.html.j2")
    static = HERE / "static"
    style, script = ((static / name).read_text("utf-8") for name in ("page.css", "page.js"))
    return template.render(page=content, audit=content.audit, style=style, script=script)


def typeset(number: str) -> str:
    """A number as print has it: no line ends before %, minus is no hyphen, 0.0 has no sign."""
    unsigned = re.sub(r"[+-](0\.0)(?!\d)", r"\1", number)
    return unsigned.replace(" %", "\u00a0%").replace("-", "−")
