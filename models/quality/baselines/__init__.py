"""The references that a recommender must beat, and how each is made."""

from models.quality.baselines.blend import BlendRecipe
from models.quality.baselines.ease import EaseRecipe
from models.quality.baselines.factors import AlsRecipe, BprRecipe
from models.quality.baselines.habits import HistoryRecipe
from models.quality.baselines.nearby import NearestRecipe, PopularNearbyRecipe
from models.quality.methods import Recipe


def recipes(seed: int) -> list[Recipe]:
    """All baselines, the plainest first.

    Args:
        seed: of what is random in them (the factors' first values).
    """
    return [
        NearestRecipe(),
        PopularNearbyRecipe(),
        HistoryRecipe(),
        BlendRecipe(),
        AlsRecipe(seed),
        BprRecipe(seed),
        EaseRecipe(),
    ]
