"""The list as a file, in each form."""

import csv
import io
import unicodedata

import httpx
import msgspec

from tests.conftest import eventually
from tests.integration.gateway.kit import RUN, Orchestrator, status_of


async def test_downloads_hold_the_list_in_order(client: httpx.AsyncClient, orchestrator: Orchestrator) -> None:
    await orchestrator.write()
    await eventually(lambda: status_of(client))
    path = f"/api/runs/{RUN}/attributes"
    assert (await client.get(f"{path}?format=json")).json() == []
    assert (await client.get(f"{path}?format=txt")).text == ""

    texts = [f"item {number}" for number in range(700)] + ["<script>alert(1)</script>", 'say "hé" 漢字 \u2028', "two\nlines"]
    for first in range(0, len(texts), 200):
        await orchestrator.accept(*texts[first : first + 200])
    rows = (await client.get(path)).json()
    assert [row["text"] for row in rows] == texts
    assert [row["ordinal"] for row in rows] == list(range(1, len(texts) + 1))
    assert set(rows[0]) == {"ordinal", "text", "provider", "model", "producer", "facet", "at"}
    text = await client.get(f"{path}?format=txt")
    assert text.headers["content-disposition"] == f'attachment; filename="{RUN}.txt"'
    assert text.content.decode().split("\n")[:700] == texts[:700]
    assert text.content.decode().count("\n") == len(texts)
    assert (await client.get(f"{path}?format=pdf")).status_code == 422


async def test_downloads_have_four_forms_and_begin_and_end_where_asked(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write()
    await eventually(lambda: status_of(client))
    texts = [f"item {number}" for number in range(600)] + ["=cmd|'/c calc'!A0", 'say "hé", twice', "two\nlines", "-40 degrees"]
    for first in range(0, len(texts), 200):
        await orchestrator.accept(*texts[first : first + 200])
    path = f"/api/runs/{RUN}/attributes"
    lines = (await client.get(f"{path}?format=jsonl")).text.splitlines()
    assert [msgspec.json.decode(line)["text"] for line in lines] == texts
    rows = (await client.get(f"{path}?format=csv")).text.split("\r\n")
    assert rows[0] == "ordinal,text,provider,model,producer,facet,at"
    assert rows[1].startswith("1,item 0,random,vocabulary,producer-random-1,,")
    assert rows[601].startswith("601,'=cmd|'/c calc'!A0,random")
    assert rows[602].startswith('602,"say ""hé"", twice",random')
    for after, limit, expected in [
        (0, 2, [1, 2]),
        (598, 4, [599, 600, 601, 602]),
        (603, 10, [604]),
        (604, 1, []),
        (9999, 1, []),
    ]:
        got = (await client.get(path, params={"after": after, "limit": limit})).json()
        assert [row["ordinal"] for row in got] == expected
    for query in ["after=-1", "limit=0", "limit=x", "after=99999999999999999999", "after=1.5", "after="]:
        assert (await client.get(f"{path}?{query}")).status_code == 422, query


async def test_no_cell_begins_a_formula_whatever_a_program_separates_by(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write()
    await eventually(lambda: status_of(client))
    texts = [
        "x;=SUM(A1)|calc",
        'x; "=SUM(A1)',
        "x\t=SUM(A1)",
        "x\r+1",
        "x\n@a",
        " -1",
        "\uff1dSUM(A1)",
        ";;=1",
        "nul\x00 esc\x1b",
        "a-b; c=d",
    ]
    await orchestrator.accept(*texts)
    text = (await client.get(f"/api/runs/{RUN}/attributes?format=csv")).text
    assert not any(unicodedata.category(letter) == "Cc" for letter in text.replace("\r\n", ""))
    assert [row["text"] for row in csv.DictReader(io.StringIO(text))] == [
        "x;'=SUM(A1)|calc",
        "x;' \"=SUM(A1)",
        "x\\u0009=SUM(A1)",
        "x\\u000d+1",
        "x\\u000a@a",
        "' -1",
        "'\uff1dSUM(A1)",
        ";;'=1",
        "nul\\u0000 esc\\u001b",
        "a-b; c=d",
    ]
    for separator in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row]
        assert not [cell for cell in cells if cell.strip(" \"'")[:1] in tuple("=+-@\uff1d") and not cell.startswith("'")]
