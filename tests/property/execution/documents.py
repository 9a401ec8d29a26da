"""Random documents for a schema, each from a number, so that one that fails can be made again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from graphql import (
    GraphQLArgument,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_list_type,
)


@dataclass
class RandomDocument:
    """A document with the variables to run it with."""

    seed: int
    text: str
    variables: dict[str, object]


@dataclass
class _Parts:
    variables: dict[str, str] = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)


class Documents:
    """Makes documents for one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def make(self, seed: int) -> RandomDocument:
        """Return the document of this number."""
        rng = random.Random(seed)
        parts = _Parts()
        kind = rng.choice(["query"] * 10 + ["mutation"] * 2 + ["subscription"])
        depth = rng.randint(1, 4)
        if kind == "subscription":
            assert self._schema.subscription_type is not None
            # It has one field at its root, whose events are objects.
            [(name, event)] = self._schema.subscription_type.fields.items()
            body = f"{name} {{ {self._selection(rng, get_named_type(event.type), depth, parts)} }}"
        else:
            root = self._schema.query_type if kind == "query" else self._schema.mutation_type
            assert root is not None
            body = self._selection(rng, root, depth, parts)
        declared = ", ".join(f"${name}: {type_}" for name, type_ in parts.variables.items())
        text = f"{kind} Q{f'({declared})' if declared else ''} {{ {body} }} {' '.join(parts.fragments)}"
        given: dict[str, object] = {
            "i": rng.randint(0, 40),
            "s": rng.choice(["q", None]),
            "l": rng.choice([["a"], [], None, "lone"]),
            "f": rng.choice([{"low": 1, "high": 4}, {}, None]),
            "yes": rng.random() < 0.5,
            "no": rng.random() < 0.5,
        }
        # What has a default may be left out.
        variables = {
            name: given[name]
            for name, type_ in parts.variables.items()
            if not ("=" in type_ and rng.random() < 0.5) and not (name in "slf" and rng.random() < 0.3)
        }
        return RandomDocument(seed, text, variables)

    def _selection(self, rng: random.Random, type_: object, depth: int, parts: _Parts) -> str:
        selections: list[str] = []
        fields = {} if isinstance(type_, GraphQLUnionType) else type_.fields  # type: ignore[attr-defined]
        names = list(fields)
        rng.shuffle(names)
        for name in names[: rng.randint(1, 8)]:
            definition = fields[name]
            named = get_named_type(definition.type)
            is_composite = is_composite_type(named)
            if is_composite and depth <= 0:
                continue
            arguments = [
                f"{argument}: {self._argument(rng, what, parts)}"
                for argument, what in definition.args.items()
                if (isinstance(what.type, GraphQLNonNull) and what.default_value is None)
                or rng.random() < 0.6
                or (isinstance(what.type, GraphQLNonNull) and not isinstance(what.default_value, int | str))
            ]
            alias = rng.choice(["", "", f"al{rng.randint(0, 9)}_{name}: "])
            if arguments:
                alias = f"k{rng.randint(0, 10**6)}: "
            below = f" {{ {self._selection(rng, named, depth - 1, parts)} }}" if is_composite else ""
            given = f"({', '.join(arguments)})" if arguments else ""
            selections.append(f"{alias}{name}{given}{self._condition(rng, parts)}{below}")
            if is_composite and not arguments and rng.random() < 0.15:
                # The same response key once more, to be merged.
                selections.append(f"{alias}{name} {{ {self._selection(rng, named, depth - 1, parts)} }}")
        if rng.random() < 0.3:
            selections.append(f"{rng.choice(['', 't: '])}__typename")
        selections += self._fragments(rng, type_, depth, parts)
        rng.shuffle(selections)
        return " ".join(selections or ["__typename"])

    def _fragments(self, rng: random.Random, type_: object, depth: int, parts: _Parts) -> list[str]:
        is_object = isinstance(type_, GraphQLObjectType)
        if is_object and rng.random() > 0.2:
            return []
        possible = [type_] if is_object else self._schema.get_possible_types(type_)  # type: ignore[arg-type]
        made: list[str] = []
        for each in possible:
            if rng.random() > 0.7:
                continue
            assert isinstance(each, GraphQLObjectType)
            body = self._selection(rng, each, depth - 1, parts) if depth > 0 else "__typename"
            if rng.random() < 0.5:
                condition = rng.choice(
                    [f" on {each.name}", f" on {each.name}", "" if is_object else f" on {each.name}"]
                )
                made.append(f"...{condition}{self._condition(rng, parts)} {{ {body} }}")
            else:
                name = f"F{len(parts.fragments)}"
                parts.fragments.append("")
                parts.fragments[int(name[1:])] = f"fragment {name} on {each.name} {{ {body} }}"
                made.append(f"...{name}{self._condition(rng, parts)}")
        return made

    def _argument(self, rng: random.Random, argument: GraphQLArgument, parts: _Parts) -> str:
        name = get_named_type(argument.type).name
        is_variable = rng.random() < 0.3
        if name == "Int":
            if is_variable:
                parts.variables["i"] = "Int!"
                return "$i"
            return str(rng.randint(0, 40))
        plain = argument.type.of_type if isinstance(argument.type, GraphQLNonNull) else argument.type
        if is_list_type(plain):
            if is_variable and plain is argument.type:
                parts.variables["l"] = "[String!]"
                return "$l"
            return '["a", "b"]'
        if name == "String":
            if is_variable and plain is argument.type:
                parts.variables["s"] = rng.choice(["String", 'String = "d"'])
                return "$s"
            return '"q"'
        if is_variable and plain is argument.type:
            parts.variables["f"] = "Filter"
            return "$f"
        return f"{{low: {rng.randint(0, 3)}}}"

    def _condition(self, rng: random.Random, parts: _Parts) -> str:
        chosen = rng.choice(
            [""] * 12 + [" @include(if: $yes)", " @skip(if: $no)", " @skip(if: false)", " @include(if: true)"]
            + [" @skip(if: $yes) @include(if: $no)"]
        )  # fmt: skip
        if "$yes" in chosen:
            parts.variables["yes"] = "Boolean!"
        if "$no" in chosen:
            parts.variables.setdefault("no", rng.choice(["Boolean!", "Boolean! = true"]))
        return chosen
