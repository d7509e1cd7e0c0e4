"""What a distributor finds in the sample's catalogue: the queries were written before there was a search."""

import csv
from collections import Counter

from s2b2c.config import CHECKOUT
from tests.api.client import Api

QUERIES = CHECKOUT / "tests" / "search_queries.csv"


async def test_what_is_looked_for_is_among_the_first_ten(sample: Api) -> None:
    token = await sample.token("distributor", distributor="ZJ-HZ")
    with (CHECKOUT / "seed" / "sample" / "catalogue.csv").open(encoding="utf-8-sig", newline="") as file:
        titles = {row["product_code"]: row["title"] for row in csv.DictReader(file)}
    with QUERIES.open(encoding="utf-8", newline="") as file:
        queries = list(csv.DictReader(file))
    found: Counter[str] = Counter()
    missed = []
    for query in queries:
        answer = await sample.run("partner/Catalogue", token, search=query["query"], first=10)
        shown = [edge["node"]["title"] for edge in answer["data"]["partner"]["catalogue"]["edges"]]
        if titles[query["product_code"]] in shown:
            found[query["kind"]] += 1
        else:
            missed.append((query["query"], shown))
    assert len(queries) == 60
    assert missed == []
    assert found == {"words": 24, "typing error": 14, "mixed Latin": 8, "one character": 8, "tag": 6}
