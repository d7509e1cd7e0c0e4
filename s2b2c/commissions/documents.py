"""Plans as documents: YAML or JSON in, YAML out. Whatever is wrong is named by its path in the document."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from s2b2c.commissions.reading import Path, Places, Problem, read, refuse, shown
from s2b2c.config import SHANGHAI
from s2b2c.models.commissions import MAX_DEPTH, MAX_LEVEL_AMOUNT

NUMBERS: Mapping[str, tuple[str, ...]] = {
    "levels": ("base", "level_bps"),
    "fixed": ("level_amounts",),
    "differential": ("base", "tier_bps", "same_tier_bps", "depth"),
    "spread": ("depth",),
}
"""What a rule of each scheme says beside its scope, its scheme and `compress`."""


class Scope(NamedTuple):
    """What a rule is for; nothing of it: everything."""

    category: str | None = None
    brand: str | None = None
    product_code: str | None = None
    sku: str | None = None

    def __str__(self) -> str:
        named = [f"{name} {shown(value)}" for name, value in self._asdict().items() if value is not None]
        return ", ".join(named) or "everything"


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """A rule as its plan's document says it. What its scheme does not use is empty; lists have no zero at the end."""

    scope: Scope
    scheme: str
    depth: int
    base: str = "paid"
    level_bps: list[int] = field(default_factory=list)
    level_amounts: list[int] = field(default_factory=list)
    tier_bps: dict[str, int] = field(default_factory=dict)
    same_tier_bps: int = 0
    compress: bool = False

    def says(self) -> dict[str, Any]:
        """What it pays, by the keys of the document; a tier without a rate is left out, like what is the default."""
        numbers = {name: getattr(self, name) for name in NUMBERS[self.scheme]}
        if "tier_bps" in numbers:
            numbers["tier_bps"] = {tier: bps for tier, bps in self.tier_bps.items() if bps}
        if not numbers.get("same_tier_bps"):
            numbers.pop("same_tier_bps", None)
        return {"scheme": self.scheme, **numbers, **({"compress": True} if self.compress else {})}


@dataclass(frozen=True)
class PlanDocument:
    """A plan as it is written: names instead of keys."""

    code: str
    start: datetime | None
    """None only for a plan in force since ever, which no document says."""
    end: datetime | None
    margin_floor_bps: int
    rules: list[RuleDocument]
    places: Places = field(default_factory=Places, compare=False, repr=False)

    def refuse(self, problems: Iterable[Problem]) -> None:
        """Raises Refused(InvalidPlan) with all problems in the order of the document, when there is one."""
        refuse(self.places, problems)


def parse(text: str) -> PlanDocument:
    """The plan that a YAML or (from `{` on) a JSON text says. Raises Refused(InvalidPlan) with every problem."""
    raw, places, problems = read(text)
    try:
        plan = _Plan.model_validate(raw)
    except ValidationError as error:
        problems += [_told(one) for one in error.errors(include_url=False, include_input=False)]
    problems += _mixed_scopes(raw.get("rules"))
    refuse(places, problems)
    return PlanDocument(plan.plan, plan.start, plan.end, plan.margin_floor_bps, list(map(_rule, plan.rules)), places)


def write(plan: PlanDocument) -> str:
    """The document of a plan as YAML. Read again it says the same."""
    header = {"plan": plan.code} | {
        name: written(value)
        for name, value in (("from", plan.start), ("to", plan.end), ("margin_floor_bps", plan.margin_floor_bps))
        if value
    }
    lines = [f"{name}: {_flow(value) if name == 'plan' else value}" for name, value in header.items()]
    lines.append("rules:" if plan.rules else "rules: []")
    for rule in plan.rules:
        scope = {name: value for name, value in rule.scope._asdict().items() if value is not None}
        for number, (name, value) in enumerate({**scope, **rule.says()}.items()):
            lines.append(f"  {' ' if number else '-'} {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def written(value: object) -> str:
    """A value as a document has it: a day of Shanghai where a time is its beginning."""
    if not isinstance(value, datetime):
        return _flow(value)
    local = value.astimezone(SHANGHAI)
    return local.date().isoformat() if not any((*local.timetuple()[3:6], local.microsecond)) else local.isoformat()


def _flow(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flow(key)}: {_flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if isinstance(value, int) or (_BARE.fullmatch(text) and text.lower() not in _WORDS):
        return text
    letters = (
        f"\\{letter}" if letter in '"\\' else letter if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in text
    )
    return f'"{"".join(letters)}"'


_BARE = re.compile(r"[^\W\d_][\w-]*")
_WORDS = {"true", "false", "null", "y", "n", "yes", "no", "on", "off"}


# What a plan may say.


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("plan", "{message}", {"message": message})


def _whole(least: int, most: int) -> PlainValidator:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise _wrong(f"must be a whole number from {least} to {most}")
        return value

    return PlainValidator(read)


_UNWANTED = re.compile("[\x00-\x1f\x7f]")


def _text(most: int) -> PlainValidator:
    def read(value: object) -> str:
        if isinstance(value, int | float):
            raise _wrong("must be text: put it in quotes")
        if not isinstance(value, str) or not 1 <= len(value) <= most or value.isspace() or _UNWANTED.search(value):
            raise _wrong(f"must be text of 1 to {most} characters on one line")
        return value

    return PlainValidator(read)


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise _wrong("must be true or false")
    return value


def _base(value: object) -> str:
    if value not in ("paid", "margin"):
        raise _wrong("must be paid or margin")
    return str(value)


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(_DAY.pattern + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:[0-9]{2})")


def _moment(value: object) -> datetime:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value) and 2000 <= int(value[:4]) < 3000:
            day = date.fromisoformat(value)
            return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
        if isinstance(value, str) and _TIME.fullmatch(value) and 2000 <= int(value[:4]) < 3000:
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise _wrong(
        "must be a day like 2026-12-01 (in Shanghai) or a time with its zone like 2026-12-01T08:00:00+08:00, "
        "from the year 2000 to 2999"
    )


def _listed(what: str, most: int) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, list) or len(value) > most:
            raise _wrong(f"must be a list of at most {most} {what}")
        return value

    return read


def _adds_up(rates: list[int]) -> list[int]:
    if sum(rates) > 10_000:
        raise _wrong(f"adds up to {sum(rates)}, more than 10000 basis points")
    return rates


def _rates_by_tier(value: object) -> object:
    if not isinstance(value, dict):
        raise _wrong("must be a mapping of tier codes to basis points, like {province: 1500, city: 1200}")
    return value


_Bps = Annotated[int, _whole(0, 10_000)]
_Code = Annotated[str, _text(64)]
_OptionalCode = Annotated[str | None, _text(64)]
_Name = Annotated[str | None, _text(200)]
_Base = Annotated[str, PlainValidator(_base)]
_Depth = Annotated[int, _whole(1, MAX_DEPTH)]
_Moment = Annotated[datetime, PlainValidator(_moment)]
_Amount = Annotated[int, _whole(0, MAX_LEVEL_AMOUNT)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Rule(_Part):
    category: _Name = None
    brand: _Name = None
    product_code: _OptionalCode = None
    sku: _OptionalCode = None
    compress: Annotated[bool, PlainValidator(_flag)] = False


class _Levels(_Rule):
    scheme: Literal["levels"]
    base: _Base = "paid"
    level_bps: Annotated[list[_Bps], BeforeValidator(_listed("basis points", MAX_DEPTH)), AfterValidator(_adds_up)]


class _Fixed(_Rule):
    scheme: Literal["fixed"]
    level_amounts: Annotated[list[_Amount], BeforeValidator(_listed("amounts in fen", MAX_DEPTH))]


class _Differential(_Rule):
    scheme: Literal["differential"]
    base: _Base = "paid"
    tier_bps: Annotated[dict[_Code, _Bps], BeforeValidator(_rates_by_tier)]
    same_tier_bps: _Bps = 0
    depth: _Depth


class _Spread(_Rule):
    scheme: Literal["spread"]
    depth: _Depth


_SCHEMES: Mapping[str, type[_Rule]] = {
    "levels": _Levels,
    "fixed": _Fixed,
    "differential": _Differential,
    "spread": _Spread,
}


class _Plan(_Part):
    plan: _Code
    start: _Moment = Field(alias="from")
    end: Annotated[datetime | None, PlainValidator(_moment)] = Field(None, alias="to")
    margin_floor_bps: _Bps = 0
    rules: Annotated[
        list[Annotated[_Levels | _Fixed | _Differential | _Spread, Field(discriminator="scheme")]],
        BeforeValidator(_listed("rules", 10_000)),
    ]


def _told(error: ErrorDetails) -> Problem:
    """(path, our words) of what the models found. Behind the number of a rule stands its scheme, which is no key."""
    loc = error["loc"]
    scheme = loc[2] if loc[0] == "rules" and len(loc) > 2 else None
    path: Path = tuple(loc) if scheme is None else (*loc[:2], *loc[3:])
    if path[-1] == "[key]":
        path = path[:-1]
    match error["type"]:
        case "missing":
            return path, "is missing"
        case "union_tag_not_found":
            return (*path, "scheme"), f"is missing; it is one of {', '.join(_SCHEMES)}"
        case "union_tag_invalid":
            return (*path, "scheme"), f"must be one of {', '.join(_SCHEMES)}"
        case "extra_forbidden":
            model = _Plan if scheme is None else _SCHEMES[str(scheme)]
            keys = (one.alias or name for name, one in model.model_fields.items())
            owner = "a plan" if scheme is None else f"a rule of the scheme {scheme}"
            return path, f"is no key of {owner}, which has {', '.join(keys)}"
        case "plan":
            return path, error["msg"]
        case _:
            return path, "must be a mapping"


def _mixed_scopes(rules: object) -> Iterator[Problem]:
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        named = {name for name in Scope._fields if isinstance(rule, dict) and name in rule}
        if "category" in named and len(named) > 1:
            yield ("rules", number), "is for a category or for a brand, not for both"
        elif {"product_code", "sku"} <= named:
            yield ("rules", number), "is for a product (product_code) or for a variant (sku), not for both"
        elif named & {"product_code", "sku"} and "brand" not in named:
            yield ("rules", number), "names a product_code or sku but not its brand"


def _rule(rule: _Rule) -> RuleDocument:
    said = rule.model_dump()
    scope = Scope(*(said.pop(name) for name in Scope._fields))
    for name in ("level_bps", "level_amounts"):
        if name in said:
            said[name] = cut(said[name])
            said["depth"] = len(said[name])
    return RuleDocument(scope, **said)


def cut(numbers: list[int]) -> list[int]:
    """Without the zeros at the end."""
    return numbers[: max((place for place, number in enumerate(numbers, start=1) if number), default=0)]
