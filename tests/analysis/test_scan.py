"""What `scan_notebook` finds before a notebook is shared, and that it never repeats it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxops.errors import _without_secrets

SECRET = "9fK2mQ7xWz41LbT8"


def new(kind: str, *given: Any, **more: Any) -> Any:
    """A part of a notebook."""
    from nbformat import v4  # takes two seconds to import, which every worker would wait for

    return getattr(v4, f"new_{kind}")(*given, **more)


def write(folder: Path, *cells, **metadata) -> Path:
    path = folder / "book.ipynb"
    import nbformat

    nbformat.write(new("notebook", cells=list(cells), metadata=metadata), path)
    return path


def test_keys_and_secrets_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        new("code_cell", f"import voxops as vx\nws = vx.connect('vb_live_{SECRET}')"),
        new("markdown_cell", f"old key: sk_live_{SECRET}"),
        new(
            "code_cell",
            "hook",
            outputs=[
                new("output", "stream", text=f"created\nvb_test_{SECRET}\n"),
                new(
                    "output",
                    "display_data",
                    data={"text/html": f"<td>whsec_{SECRET}</td>", "application/json": {"secret": SECRET}},
                ),
                new("output", "error", ename="E", evalue="x", traceback=["one", f"Authorization: Bearer {SECRET}"]),
            ],
        ),
        voxops={"signing_secret": SECRET},
    )
    found = vx.scan_notebook(path)
    places = found[["cell", "where", "line", "kind"]].astype(object)
    assert [tuple(row) for row in places.where(places.notna(), None).itertuples(index=False)] == [
        (1, "source", 2, "API key"),
        (2, "source", 1, "API key"),
        (3, "output 1 text", 2, "API key"),
        (3, "output 2 application/json secret", 1, "signing secret"),
        (3, "output 2 text/html", 1, "signing secret"),
        (3, "output 3 traceback", 2, "bearer token"),
        (None, "metadata voxops signing_secret", 1, "signing secret"),
    ]
    assert list(found["shown"]) == ["vb_live_…", "sk_live_…", "vb_test_…", "…", "whsec_…", "…", "…"]
    assert SECRET not in found.to_string()


@pytest.mark.parametrize(
    "line",
    [
        f'secret = "{SECRET}"',
        f"verify_signature(body, header, secret='{SECRET}')",
        f'{{"webhook_secret": "{SECRET}"}}',
        f"SIGNING_KEY='{SECRET}'",
        f'api_key="{SECRET}"',
    ],
)
def test_a_secret_is_known_by_its_name(tmp_path: Path, line: str) -> None:
    assert len(vx.scan_notebook(write(tmp_path, new("code_cell", line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        f'os.environ["WEBHOOK_SECRET"] = "{SECRET}"',
        f"os.environ['VOXBURST_API_KEY']='{SECRET}'",
        f'os.environ.setdefault("VOXBURST_API_KEY", "{SECRET}")',
        f'key = os.getenv("VOXBURST_API_KEY", "{SECRET}")',
        f"%env VOXBURST_API_KEY={SECRET}",
        f"%set_env VOXBURST_API_KEY {SECRET}",
        f"!export VOXBURST_API_KEY={SECRET}",
        f"%%bash\ncd work && export VOXBURST_API_KEY={SECRET}; make",
        f"!VOXBURST_API_KEY={SECRET} python -m voxops",
        f"%%writefile .env\nWEBHOOK_SECRET={SECRET}",
        f'webhook_secret: str = "{SECRET}"',
        f'webhook_secret: str | None = "{SECRET}"',
        f'api_key: Optional[str]="{SECRET}"',
        f'if (api_key := "{SECRET}"):',
        f'secret = """{SECRET}"""',
        f'api_key = f"{SECRET}"',
        f"api_key = rb'{SECRET}'",
    ],
)
def test_a_secret_is_found_in_every_usual_way_to_set_one(tmp_path: Path, line: str) -> None:
    found = vx.scan_notebook(write(tmp_path, new("code_cell", line)))
    assert found["kind"].to_list() == ["signing secret" if "secret" in line.lower() else "API key"]
    assert SECRET not in found.to_string()


def test_a_secret_in_data_is_known_by_any_of_the_names(tmp_path: Path) -> None:
    data = {"application/json": {"api_key": SECRET, "apiKey": SECRET, "my.webhook_secret": SECRET, "note": SECRET}}
    printed = f"env: VOXBURST_API_KEY={SECRET}\nHOME=/home/me\nVOXBURST_API_KEY={SECRET}\n"
    outputs = [new("output", "display_data", data=data), new("output", "stream", text=printed)]
    found = vx.scan_notebook(write(tmp_path, new("code_cell", "x", outputs=outputs), voxops={"api_key": SECRET}))
    assert found["where"].to_list() == [
        "output 1 application/json apiKey",
        "output 1 application/json api_key",
        "output 1 application/json my.webhook_secret",
        "output 2 text",
        "output 2 text",
        "metadata voxops api_key",
    ]


@pytest.mark.parametrize(
    "line",
    [
        'key = os.environ["VOXBURST_API_KEY"]',
        'os.environ["VOXBURST_API_KEY"] = os.environ["MY_OTHER_API_KEY"]',
        'os.environ["VOXBURST_API_KEY"] = getpass("VOXBURST_API_KEY")',
        'api_key = os.getenv("VOXBURST_API_KEY", "")',
        'dbutils.secrets.get("webhook_secrets", "voxburst-webhook")',
        "vx.connect(api_key=the_key_of_our_team_2)",
        'headers = {"X": f"{api_key}", "api_key": f"{the_key_of_our_team_2}"}',
        'wanted = ["webhook_secret", "another_column_2"]',
        'API_KEY_NAME = "WEBHOOK_SECRET"',
        'secret = "VOXBURST_SIGNING_SECRET"',
        'secret_file = "run/secrets/voxburst"',
        "%env VOXBURST_API_KEY",
        "%env VOXBURST_API_KEY=$THE_KEY_OF_OUR_TEAM",
        "%env VOXBURST_API_KEY={the_key_of_our_team_2}",
        "!export VOXBURST_API_KEY=$(pass show voxburst/api/key)",
        "export secrets carefully-1",
        "API_KEY=the_key_of_our_team",
        "    api_key=the_key_of_our_team_2",
        "def verify(secret: str, other=None): ...",
        'if secret == "nothing-to-see-here": ...',
    ],
)  # fmt: skip
def test_what_only_names_a_secret_is_none(tmp_path: Path, line: str) -> None:
    found = vx.scan_notebook(write(tmp_path, new("code_cell", line)))
    assert found.empty, found.to_string()


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    cells = [
        new(
            "code_cell",
            "ws = vx.connect(sandbox=True)\nkey = os.environ['VOXBURST_API_KEY']\nvx.plan_bulk(frame, key='row_id')",
        ),
        new("code_cell", "vx.connect('vb_test_sandbox')"),  # opens nothing but the sandbox
        new("markdown_cell", "the form is vb_live_ and a secret"),
    ]
    found = vx.scan_notebook(write(tmp_path, *cells))
    assert found.empty
    assert list(found.dtypes.astype(str)) == ["Int64", "string", "Int64", "string", "string"]


def test_any_text_file_is_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(f"a = 1\nkey = 'vb_live_{SECRET}'  # and sk_live_{SECRET}\n")
    found = vx.scan_notebook(path)
    assert list(found["line"]) == [2, 2]
    assert found["cell"].isna().all()


@pytest.mark.parametrize(
    "text",
    [f"'a\\\\nvb_live_{SECRET}'", f"\x1b[31mvb_live_\x1b[0m{SECRET}", f"whsec_\x1b[1m{SECRET}\x1b[0m"],
    ids=["behind an escape", "in colours", "a secret in colours"],
)
def test_keys_are_found_within_what_a_traceback_or_a_repr_shows(tmp_path: Path, text: str) -> None:
    output = new("output", "error", ename="E", evalue="x", traceback=[text])
    assert len(vx.scan_notebook(write(tmp_path, new("code_cell", "x", outputs=[output])))) == 1


def test_keys_are_found_in_names_and_beside_the_cells(tmp_path: Path) -> None:
    key = f"vb_live_{SECRET}"
    path = tmp_path / "book.ipynb"
    output = {"output_type": "display_data", "data": {key: "x"}}
    path.write_text(json.dumps({"cells": [{"id": key, "source": "", "outputs": [output]}], "more": key}))
    assert vx.scan_notebook(path)["cell"].fillna(0).to_list() == [1, 1, 0]


@pytest.mark.parametrize(
    "content", ["[]", '{"cells": ["x"]}', '{"cells": [{"source": 5}]}', '{"cells": [{"outputs": 3}]}', '{"cells": [{"outputs": ' + "[" * 5000 + "]" * 5000 + "}]}"],
    ids=["a list", "no cell", "no source", "no outputs", "deep"],
)  # fmt: skip
def test_what_is_no_notebook_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text(content)
    with pytest.raises(vx.ConfigError, match="not a notebook"):
        vx.scan_notebook(path)


def test_what_can_not_be_read_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = f"none.ipynb can't be read: No such file or directory. It was looked for in {tmp_path}."
    with pytest.raises(vx.ConfigError, match=f"^{re.escape(said)}$"):
        vx.scan_notebook("none.ipynb")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(vx.ConfigError, match=r"latin\.txt can't be read: it is no text in UTF-8"):
        vx.scan_notebook("latin.txt")


def test_the_notebooks_of_this_project_are_clean() -> None:
    for path in sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb")):
        found = vx.scan_notebook(path)
        assert isinstance(found, pd.DataFrame)
        assert found.empty, f"{path.name}\n{found}"


BARE = "0f8fad5bd9cb469fa16570867728950e"


@pytest.mark.parametrize(
    "code",
    [
        f'vx.connect("{BARE}", tz="UTC")',
        f"voxops.AsyncClient('{BARE}')",
        f'vx.verify_signature(body, header, "{BARE}")',
        f'vx.events("x", secrets=["{BARE}"])',
        f"!curl -H 'X-Api-Key: {BARE}' https://x",
        f'requests.get("https://x/?auth=Bearer%20vb_live_{BARE}")',
        f'log = "\\x1b[32mvb_live_{BARE}\\x1b[0m"',
    ],
)
def test_a_key_is_found_where_one_is_passed_without_a_name_or_behind_an_escape(tmp_path, code):
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": code, "outputs": []}]}), encoding="utf-8")
    assert len(vx.scan_notebook(path)) == 1


@pytest.mark.parametrize(
    "code",
    ['duckdb.connect("campaign_history")', 'vx.connect(sandbox="state_of_sandbox")', 'vx.connect("A_KEY_BY_NAME")'],
)
def test_what_is_no_key_is_not_called_one(tmp_path, code):
    path = tmp_path / "cell.py"
    path.write_text(code, encoding="utf-8")
    assert vx.scan_notebook(path).empty


def test_the_line_of_an_error_shows_no_key_without_a_prefix():
    for call in (
        f'ws = vx.connect("{BARE}", url="ftp://x")',
        f"vx.verify_signature(body, header, '{BARE}')",
        f'api_key = "{BARE}"',
    ):
        assert BARE not in _without_secrets(call)
        assert "…" in _without_secrets(call)
    assert _without_secrets('posts = load("a_long_name_of_a_file")') == 'posts = load("a_long_name_of_a_file")'
