"""The words of products and of those who look for them: what is kept to be searched by, and what a search asks for.

Of Chinese every character is kept with its place: 枕 finds 记忆枕, and nothing is lost that no dictionary knows.
What is typed is cut into words by a dictionary (rjieba), whose characters must follow each other in a title. Names and
numbers in other letters are kept whole, and asked for by how they begin. PostgreSQL's own trigrams say nothing about
words of two or three characters; a typing error is found by leaving out one character or word, or three trigrams of a
long word that follow each other.
"""

import re
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import accumulate, groupby, islice
from typing import NamedTuple

import rjieba

MAX_SEARCH_LENGTH = 100
MARGIN_STEP_BPS = 500

PRICE_TIERS = (("entry", 0), ("value", 5_000), ("middle", 10_000), ("premium", 30_000), ("luxury", 100_000))
"""Each price tier (价格带) and the suggested price, in fen, that it begins at."""

_PRICE_STEPS = tuple(accumulate(range(110), lambda price, _: price + price // 8, initial=100))
"""Where the steps begin, in fen, that products are sorted into by price; each an eighth above the one before."""

_HAN = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PIECE = re.compile(rf"([{_HAN}]+)|((?:(?![{_HAN}])[^\W_])+(?:\.\d(?:(?![{_HAN}])[^\W_])*)*)")
_LETTERS = re.compile(r"[^\W\d_]{4,}")
_TITLE = "A"


def _pieces(text: str) -> list[tuple[str, str]]:
    """A text cut where its letters change: either a run of Chinese, or a word or number in other letters."""
    return _PIECE.findall(unicodedata.normalize("NFKC", text).lower())


def price_tier(suggested_price: int) -> str:
    """`suggested_price` in fen."""
    return next(name for name, begins in reversed(PRICE_TIERS) if suggested_price >= begins)


class Described(NamedTuple):
    """What a product is found by. `costs` are the highest of each tier, by rank from 1 on; money in fen."""

    title: str
    rest: str
    brand_id: int
    category: str
    tags: Sequence[str]
    suggested_price: int
    costs: Sequence[int | None]
    listed_on: date


def terms(product: Described) -> str:
    """The words and marks of a product, as the text of a tsvector; those of its title stand out, with their places."""
    title: dict[str, list[str]] = defaultdict(list)
    for place, word in _placed(product.title):
        title[word].append(f"{place}{_TITLE}")
    others = {word for _, word in _placed(product.rest)} | {*_parts(product.title, product.rest), *_marks(product)}
    return " ".join(
        [
            *(f"{_quoted(word)}:{','.join(places)}" for word, places in sorted(title.items())),
            *map(_quoted, sorted(others - title.keys())),
        ]
    )


def _placed(text: str) -> Iterator[tuple[int, str]]:
    """Characters, and words in other letters, with their places; a run of characters has a gap before and behind it."""
    place = 0
    for han, other in _pieces(text):
        for word in han or [other]:
            place += 1
            yield place, word
        place += 1


def _parts(*texts: str) -> Iterator[str]:
    for text in texts:
        for _, other in _pieces(text):
            yield from map(_part, _trigrams(other))


def _marks(product: Described) -> Iterator[str]:
    yield brand_mark(product.brand_id)
    yield category_mark(product.category)
    yield from map(tag_mark, product.tags)
    yield price_tier_mark(price_tier(product.suggested_price))
    yield _price_mark(bisect_right(_PRICE_STEPS, product.suggested_price))
    yield _week_mark(_week(product.listed_on))
    for rank, cost in enumerate(product.costs, start=1):
        if cost is not None and product.suggested_price > 0:
            step = max(0, (product.suggested_price - cost) * 10000 // product.suggested_price) // MARGIN_STEP_BPS
            yield f"margin{rank}={step}"


# No word holds "=".


def brand_mark(brand_id: int) -> str:
    return f"brand={brand_id}"


def category_mark(category: str) -> str:
    return f"category={category}"


def tag_mark(tag: str) -> str:
    return f"tag={tag}"


def price_tier_mark(name: str) -> str:
    return f"price={name}"


def _price_mark(step: int) -> str:
    return f"step={step}"


def price_marks(price_from: int | None, price_to: int | None) -> list[str]:
    """Of all products suggested at these prices, in fen, and of a few close to them; the cheapest first."""
    first = bisect_right(_PRICE_STEPS, price_from or 0)
    last = len(_PRICE_STEPS) if price_to is None else bisect_right(_PRICE_STEPS, price_to)
    return list(map(_price_mark, range(first, last + 1)))


def _week_mark(week: int) -> str:
    return f"week={week}"


def _week(day: date) -> int:
    return day.toordinal() // 7


def margin_steps(from_bps: int) -> list[int]:
    """Of the marks `margin<rank>=<step>` of all products of which a distributor keeps so much, or a little less."""
    return list(range(from_bps // MARGIN_STEP_BPS, 10000 // MARGIN_STEP_BPS + 1))


def week_marks(since: date, until: date) -> list[str]:
    """Of all products listed on these days, and a few more."""
    return [_week_mark(week) for week in range(_week(since), _week(until) + 1)]


class Search(NamedTuple):
    """What a search asks for, as texts of tsqueries."""

    titled: str
    """All words are in the title, in any order."""
    anywhere: str
    """All characters, and words in other letters, are somewhere."""
    near: str | None
    """All but one character or word are: what may be meant where nothing matches."""


def search(text: str) -> Search | None:
    """None where the text holds no word that could be found."""
    pieces = _pieces(text)
    if not pieces:
        return None
    cut = [*dict.fromkeys(word for han, _ in pieces for word in _cut(han))]
    others = [*dict.fromkeys(other for _, other in pieces if other)]
    in_title = [*map(_in_a_row, cut), *(_beginning(word, _TITLE) for word in others)]
    characters = [*dict.fromkeys(character for han, _ in pieces for character in han)]
    anywhere = [*map(_quoted, characters), *map(_beginning, others)]
    near = [
        *_with_one_left_out(characters, others),
        *_with_one_left_out(cut, others),
        *_with_one_misspelt(characters, others),
    ]
    return Search(" & ".join(in_title), " & ".join(anywhere), " | ".join(near) or None)


def _cut(run: str) -> list[str]:
    """The words of a run of characters; those that stand alone beside each other are a word that is not known."""
    alone = groupby(rjieba.cut(run), key=lambda word: len(word) == 1)
    return [word for is_alone, words in alone for word in (["".join(words)] if is_alone else words)]


def _in_a_row(word: str) -> str:
    """The characters of a word, one right behind the other in a title."""
    return f"({' <-> '.join(f'{_quoted(character)}:{_TITLE}' for character in word)})"


def _with_one_left_out(parts: list[str], others: list[str]) -> Iterator[str]:
    """Without one character, or one word, of three or more."""
    if len(parts) >= 3:
        for number in range(len(parts)):
            rest = dict.fromkeys("".join([*parts[:number], *parts[number + 1 :]]))
            yield _all([*map(_quoted, rest), *map(_beginning, others)])


def _with_one_misspelt(characters: list[str], words: list[str]) -> Iterator[str]:
    """One letter that is wrong, missing or too many spoils at most three trigrams, which follow each other."""
    for number, word in enumerate(words):
        parts = [_quoted(_part(three)) for three in _trigrams(word)]
        rest = [*map(_quoted, characters), *map(_beginning, [*words[:number], *words[number + 1 :]])]
        for spoilt in range(len(parts) - 2 if len(parts) > 3 else 0):
            yield _all([*parts[:spoilt], *parts[spoilt + 3 :], *rest])


def all_of(queries: Iterable[str]) -> str | None:
    """The text of a tsquery for what all of these ask for; None for nothing."""
    return " & ".join(f"({query})" for query in queries) or None


def any_of(marks: Iterable[str]) -> str:
    """The text of a tsquery for what has one of these marks."""
    return " | ".join(map(_quoted, marks))


def _all(queries: Sequence[str]) -> str:
    return f"({' & '.join(queries)})"


def _trigrams(word: str) -> list[str]:
    if not _LETTERS.fullmatch(word):
        return []
    whole = f"^{word}$"
    return ["".join(three) for three in zip(whole, islice(whole, 1, None), islice(whole, 2, None), strict=False)]


def _part(trigram: str) -> str:
    return f"part={trigram}"


def _beginning(word: str, weight: str = "") -> str:
    """A number is meant as it stands, all else may go on."""
    flags = weight if len(word) == 1 or word.isdecimal() else f"{weight}*"
    return f"{_quoted(word)}:{flags}" if flags else _quoted(word)


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
