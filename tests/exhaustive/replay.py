"""Play one history of a search again: ``python -m tests.exhaustive.replay "create lag" "('run', 0), ('meet', 0, 'lost')"``.

After each event it prints the posts at the server and what each ledger holds; at the end what breaks the promise, and 1 if anything does.
"""

from __future__ import annotations

import ast
import sys
import warnings

from tests.exhaustive.__main__ import searches
from tests.exhaustive.search import replay, universe, verdict

TABLES = {
    "request": "SELECT id, act, attempt, outcome, blocked, reason, call FROM requests",
    "call": "SELECT id, by_run, act, state, tries, first_sent, last_sent, ended, http_status, size FROM calls",
}


def show(world):
    """Print the posts, and the ledgers of all kernels that live."""
    for post in world.server.posts.values():
        if post.born:
            print(f"    post {post.id} born of {post.born} at {post.created}: {post.status}")
    for path, ledger in {kernel.path: kernel.ledger for kernel in world.kernels if not kernel.dead}.items():
        for what, query in TABLES.items():
            for row in ledger.query(query):
                print(f"    {path.name} {what} {tuple(row)}")


def main(name, text):
    """Play a history of a search, as its report prints it."""
    warnings.simplefilter("ignore", ResourceWarning)
    history = ast.literal_eval(text)
    with universe(searches()[name][0]) as make:
        for number in range(len(history) + 1):
            world = replay(make, history[:number])
            print(f"{' '.join(map(str, history[number - 1])) if number else 'the beginning'}, at {world.time:.0f} s")
            show(world)
            if number < len(history):
                world.close()
        wrong = verdict(world)
        print("let go on until nothing moves:")
        show(world)
        world.close()
    print(f"{'; '.join(dict.fromkeys(wrong)) or 'the promise is kept'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
