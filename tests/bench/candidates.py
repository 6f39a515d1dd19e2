"""The candidates: ours, its peers, its floors. Each runs alone in a process: ``python -m tests.bench.candidates NAME ARGS``."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pandas as pd
from tests.bench.history import ask
from tests.bench.makers import pages
from tests.bench.measure import measured

from voxops._support.canonical import decode
from voxops.client import AsyncClient
from voxops.frames.records import Columns
from voxops.loading.loader import Loader, Settings

# Records to a frame.


def frame_ours(path, kind):
    def work():
        columns = Columns(kind)
        for page in pages(Path(path)):
            columns.extend(decode(page)["data"])
        return len(columns.frame())

    return measured(work)


def frame_peer(path, kind):
    """``json`` and ``json_normalize``: what people write."""

    def work():
        records = []
        for page in pages(Path(path)):
            records += json.loads(page)["data"]
        return len(pd.json_normalize(records))

    return measured(work)


# Loading over HTTP.


def load_ours(url, key):
    async def load():
        async with AsyncClient(key, url=url) as client:
            await client.identity()
            loader = Loader(client, url, Settings())
            loop = asyncio.get_running_loop()
            return await asyncio.to_thread(
                lambda: measured(lambda: len(asyncio.run_coroutine_threadsafe(loader.posts(), loop).result()))
            )

    return asyncio.run(load())


def load_peer(url, key):
    """A loop of ``requests`` and ``json_normalize``."""
    import requests

    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {key}"
        session.get(f"{url}/v1/auth/me", timeout=30)

        def work():
            records = []
            cursor = None
            while True:
                answer = session.get(
                    f"{url}/v1/posts", params={"status": "all", "limit": 100, "cursor": cursor}, timeout=30
                ).json()
                records += answer["data"]
                cursor = answer["pagination"]["next_cursor"]
                if cursor is None:
                    return len(pd.json_normalize(records))

        return measured(work)


def load_floor(url, key):
    """Bare pages by httpx, dropped."""

    async def load():
        count, cursor = 0, None
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        ) as client:
            while True:
                query = {"status": "all", "limit": 100, **({"cursor": cursor} if cursor else {})}
                answer = msgspec.json.decode((await client.get("/v1/posts", params=query)).content)
                count += len(answer["data"])
                cursor = answer["pagination"]["next_cursor"]
                if cursor is None:
                    return count

    return measured(lambda: asyncio.run(load()))


# Importing.


def importing(statement):
    """A fresh interpreter, since this one has imported everything."""
    return measured(lambda: subprocess.run([sys.executable, "-c", statement], check=True).returncode)


CANDIDATES = {
    each.__name__: each for each in (frame_ours, frame_peer, load_ours, load_peer, load_floor, importing, ask)
}

if __name__ == "__main__":
    print(json.dumps(CANDIDATES[sys.argv[1]](*json.loads(sys.argv[2]))))
