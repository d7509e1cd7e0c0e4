"""Requests as Stripe reads them: a form becomes nested parameters, held against Stripe's own request schema."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from tests.stripe_fake.errors import StripeRefusal

Json: TypeAlias = dict[str, Any]

_FILE: Json = json.loads((Path(__file__).parent / "requests.json").read_text("utf-8"))
API_VERSION: str = _FILE["api_version"]

_METADATA_KEYS, _METADATA_NAME_LENGTH, _METADATA_VALUE_LENGTH = 50, 40, 500


class Operation(NamedTuple):
    template: str
    """Method and path, as in `POST /v1/refunds/{refund}`."""
    path: re.Pattern[str]
    schema: Json
    validator: Draft202012Validator


def _closed(schema: Any) -> Any:
    """The schema with every object that names its properties closed to others: Stripe refuses them at any depth."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return {"additionalProperties": False} | closed if isinstance(schema.get("properties"), dict) else closed


def _operation(template: str, schema: Json) -> Operation:
    path = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
    closed = _closed(schema)
    return Operation(template, re.compile(path), closed, Draft202012Validator(closed))


OPERATIONS = [_operation(template, schema) for template, schema in _FILE["operations"].items()]


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation of a request and what its path names; None where Stripe has none."""
    for operation in OPERATIONS:
        if found := operation.path.fullmatch(f"{method} {path}"):
            return operation, found.groupdict()
    return None


def decode(form: str) -> Json:
    """`a[b][0]=c` as {"a": {"b": {"0": "c"}}}; all values are text, `[]` at the end counts on."""
    params: Json = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        first, rest = name.partition("[")[::2]
        keys = [first, *(rest.removesuffix("]").split("][") if rest else ())]
        node = params
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise StripeRefusal(400, f"Invalid object: {node}", param=named(keys[:-1]))
        node[keys[-1] or str(len(node))] = value
    return params


def coerce(schema: Json, raw: Any) -> Any:
    """Text as the type that the schema wants; what cannot be that stays, for the check to refuse."""
    if options := schema.get("anyOf"):
        values = [coerce(option, raw) for option in options]
        fitting = (value for option, value in zip(options, values, strict=True) if _fits(option, value))
        return next(fitting, values[0])
    match schema.get("type"), raw:
        case "object", dict():
            named_ones, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
            return {name: coerce(named_ones.get(name, others), value) for name, value in raw.items()}
        case "array", dict() if all(key.isdecimal() for key in raw):
            return [coerce(schema["items"], raw[key]) for key in sorted(raw, key=int)]
        case "integer", str() if re.fullmatch(r"-?[0-9]{1,18}", raw):
            return int(raw)
        case "number", str() if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", raw):
            return float(raw)
        case "boolean", "true" | "false":
            return raw == "true"
    return raw


def _fits(schema: Json, value: Any) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def read(operation: Operation, raw: Json) -> Json:
    """The parameters of a request, typed; raises the refusal that Stripe answers before anything is done."""
    params = coerce(operation.schema, raw)
    assert isinstance(params, dict)
    if error := best_match(operation.validator.iter_errors(params)):
        raise _refusal(error)
    _check_metadata(params.get("metadata"))
    return params


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict):
        return
    if len(metadata) > _METADATA_KEYS:
        raise StripeRefusal(400, f"Metadata can have up to {_METADATA_KEYS} keys", param="metadata")
    for name, value in metadata.items():
        if len(name) > _METADATA_NAME_LENGTH:
            raise StripeRefusal(
                400, f"Metadata keys can have up to {_METADATA_NAME_LENGTH} characters", param="metadata"
            )
        if len(value) > _METADATA_VALUE_LENGTH:
            told = f"Metadata values can have up to {_METADATA_VALUE_LENGTH} characters"
            raise StripeRefusal(400, told, param=f"metadata[{name}]")


def named(keys: list[str]) -> str:
    """The name of a nested parameter in a form: `a[b][0]`."""
    return keys[0] + "".join(f"[{key}]" for key in keys[1:]) if keys else ""


def _refusal(error: ValidationError) -> StripeRefusal:
    where = [str(key) for key in error.absolute_path]
    value, wanted, schema = (cast(Any, part) for part in (error.instance, error.validator_value, error.schema))
    match error.validator:
        case "additionalProperties":
            param = named([*where, next(name for name in value if name not in schema["properties"])])
            return StripeRefusal(400, f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        case "required":
            param = named([*where, next(name for name in wanted if name not in value)])
            return StripeRefusal(400, f"Missing required param: {param}.", code="parameter_missing", param=param)
    param = named(where)
    if value == "":
        told = f"An empty value unsets a parameter, and '{param}' cannot be unset"
        return StripeRefusal(400, told, code="parameter_invalid_empty", param=param)
    match error.validator:
        case "type":
            code = "parameter_invalid_integer" if wanted == "integer" else None
            return StripeRefusal(400, f"Invalid {wanted}: {value}", code=code, param=param)
        case "enum":
            return StripeRefusal(400, f"Invalid {param}: must be one of {', '.join(wanted)}", param=param)
        case "maxLength":
            return StripeRefusal(400, f"Invalid string: {param} must be at most {wanted} characters", param=param)
    return StripeRefusal(400, f"Invalid {param}", param=param)
