"""Runs `placestream` as if two lines had been added to definitions.py, and nothing else.

python with_new_features.py stream      any subcommand, with the new definitions
python with_new_features.py look        what each engine says of the new features, as JSON
"""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

NEW = {
    'USER = FeatureSet(\n    "user",\n    [\n': (
        'Feature("looks", LOOKED, Count((LAST_28D,)), ranked="log"),\n'
    ),
    'PLACE = FeatureSet(\n    "place",\n    [\n': (
        'Feature("lookers", LOOKED, Distinct(window("28d", 4 * DAY_S, 7)), ranked="plain"),\n'
    ),
}


def define() -> None:
    """Put definitions.py with the two lines where everyone imports it from."""
    spec = importlib.util.find_spec("online_features.definitions")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    for before, line in NEW.items():
        assert source.count(before) == 1
        source = source.replace(before, f"{before}        {line}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    exec(compile(source, spec.origin, "exec"), vars(module))


def look() -> dict[str, Any]:
    """Values of the new features: by stream, replay, reader and training set."""
    import numpy as np
    import redis

    from contracts.ids import id64
    from contracts.settings import Settings
    from models.dataset import build
    from online_features.archive import read_catalogue, read_context, read_interactions
    from online_features.definitions import FEATURE_SET, PLACE, USER
    from online_features.keys import Keys
    from online_features.replay import Queries, fold_all, point_in_time
    from online_features.request import RANKING_COLUMNS

    settings = Settings()
    keys = Keys.of(settings)
    log = read_interactions(settings.archive_dir)
    now_s = float(log.time_s.max())
    users, user_states, places, place_states = fold_all(log.in_arrival_order())
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:

        def streamed(features: Any, kind: Any, ids: Any, hashes: Any, states: Any) -> Any:
            ids = np.unique(ids).tolist()
            rows = np.searchsorted(hashes, np.array([id64(i) for i in ids], np.uint64))
            stored: Any = client.mget([keys.entity(kind, i) for i in ids])
            return list(stored) == features.pack(states[rows])

        equal = streamed(USER, "i", log.user_id, users, user_states) and streamed(
            PLACE, "b", log.place_id, places, place_states
        )
    user_id, place_id = log.user_id[-1], log.place_id[-1]
    asked = Queries(np.array([len(log)]), log.user[-1:], log.place[-1:])
    ((_, past_user, past_place),) = point_in_time(log.in_arrival_order(), asked)
    user, place = asyncio.run(_read(settings, user_id, place_id))
    data = build(
        log,
        read_catalogue(settings.archive_dir),
        read_context(settings.archive_dir),
        seed=1,
        max_events=10**9,
        stale_s=settings.context_stale_s,
    )
    rows = data.train.ranker
    return {
        "feature_set": FEATURE_SET,
        "now_s": now_s,
        "user_id": user_id,
        "place_id": place_id,
        "stream_equals_replay": equal,
        "replay": _new(USER.read(past_user, now_s), PLACE.read(past_place, now_s)),
        "reader": _new(USER.read(user, now_s), PLACE.read(place, now_s)),
        "training": {
            name: rows.features[:, RANKING_COLUMNS.index(name)].astype(float).tolist()
            for name in ("user_looks_28d", "place_lookers_28d")
        },
        "training_user": [str(u) for u in rows.user.tolist()],
        "training_place": [str(p) for p in rows.place.tolist()],
        "training_time_s": rows.time_s.tolist(),
    }


def _new(user_values: Any, place_values: Any) -> dict[str, float]:
    from online_features.definitions import PLACE, USER

    return {
        "looks_28d": float(user_values[0, USER.index["looks_28d"]]),
        "lookers_28d": float(place_values[0, PLACE.index["lookers_28d"]]),
    }


async def _read(settings: Any, user_id: str, place_id: str) -> tuple[Any, Any]:
    from redis.asyncio import Redis

    from online_features.reader import OnlineReader

    async with Redis.from_url(settings.redis_url.get_secret_value()) as connection:
        reader = OnlineReader(connection, settings)
        return (await reader.user(user_id)).states, (await reader.places([place_id]))[0]


if __name__ == "__main__":
    define()
    if sys.argv[1:] == ["look"]:
        sys.stdout.write(json.dumps(look()))
    else:
        from placestream.cli import app

        app()
