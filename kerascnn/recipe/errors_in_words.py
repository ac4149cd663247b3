"""What is wrong with a recipe, said in the recipe's own words rather than in pydantic's."""

import json
from typing import get_args

from pydantic import BaseModel, ValidationError

from kerascnn.errors import did_you_mean

# By pydantic's name for a problem; in braces stands what pydantic adds to it.
_REASONS = {
    "dict_type": "must be a table",
    "finite_number": "must be a finite number",
    "float_type": "must be a number, such as 0.05",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must hold only ASCII letters, digits, '.', '_' and '-', "
    "and begin with a letter or digit",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must not be empty",
    "string_type": "must be a string",
    "string_unicode": "must be a string that UTF-8 can hold",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, such as [1, 2]",
}


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem that pydantic found, in one sentence that names the key."""
    problems = error.errors()
    # A misspelt key is missing too; that it is not known says more.
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    place = problem["loc"]
    key = ".".join(part for part in place if isinstance(part, str))
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        nearest = did_you_mean(str(place[-1]), known) or f" Expected one of {', '.join(known)}."
        return f"key '{key}' is not known.{nearest}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing. `kerascnn recipes show adam-lr0.001` shows all keys."
    if place and isinstance(place[-1], int):
        key = f"entry {place[-1] + 1} of {key}"
    return f"{key} = {_shortened(problem['input'])}: {_reason(problem, model)}."


def written(value: object) -> str:
    """A value as a recipe's file has it, in one line; not only what a recipe may hold."""
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError):  # a number of too many digits, lists of too many levels
        text = f"a {type(value).__name__} that is too large to be written"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _reason(problem: dict, model: type[BaseModel]) -> str:
    if problem["type"] == "model_type":
        return f"must be a table with the keys {', '.join(_known_keys(model, problem['loc']))}"
    if problem["type"] in _REASONS:
        return _REASONS[problem["type"]].format(**problem.get("ctx", {}))
    return problem["msg"].removeprefix("Value error, ")


def _shortened(value: object) -> str:
    text = written(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys of the table at a place; a name that is free to choose leads to its value's."""
    for part in place:
        field = model.model_fields.get(str(part))
        inner = (field.annotation, *get_args(field.annotation)) if field else ()
        models = [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]
        model = models[0] if models else model
    return list(model.model_fields)
