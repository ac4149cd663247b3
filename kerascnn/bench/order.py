"""What a peer is told before it begins."""

import json
from dataclasses import asdict, dataclass

from kerascnn.bench.images import Sizes
from kerascnn.recipe import Recipe, parse_recipe


@dataclass(frozen=True)
class Order:
    """What to train and how.

    Attributes:
        recipe: the network, its optimizer, augmentation and batch size.
        sizes: images of an epoch.
        epochs: at the most.
        threads: of the processor.
        directory: for checkpoints; it is there.
    """

    recipe: Recipe
    sizes: Sizes
    epochs: int
    threads: int
    directory: str

    @property
    def steps(self) -> int:
        """Training steps of an epoch."""
        return -(-self.sizes.training // self.recipe.train.batch_size)

    def to_line(self) -> str:
        """The order as one line of JSON."""
        content = vars(self) | {"sizes": asdict(self.sizes)}
        return json.dumps(content | {"recipe": self.recipe.model_dump(mode="json")})

    @classmethod
    def of_line(cls, line: str) -> "Order":
        """The order that a line says."""
        content = json.loads(line)
        recipe = parse_recipe(content.pop("recipe"), "the recipe to time")
        return cls(recipe=recipe, sizes=Sizes(**content.pop("sizes")), **content)
