"""Writes docs/reference/: the API from schema.graphql, settings, figures and command line from the code.

python tools/reference.py            writes the pages
python tools/reference.py --check    says which are not what they should be, and ends with 1
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    ast_from_value,
    build_schema,
    get_named_type,
    print_ast,
)

from alertgraph.core.errors import ErrorCode
from alertgraph.edge.bodies import status_of
from alertgraph.edge.cli import app
from alertgraph.settings import PREFIX, Settings

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "reference"
SOURCE: Final = ROOT / "src" / "alertgraph"
# Guides are found before these.
MARK: Final = (
    "---\nsearch:\n  boost: 0.5\n---\n\n<!-- Written by tools/reference.py (`make schema`); do not edit. -->\n"
)
FIGURE: Final = re.compile(r"alertgraph_[a-z_]+")
# The page of each sort of type, and its title.
SORTS: Final = (
    ("objects", "Objects", (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)),
    ("inputs", "Inputs", (GraphQLInputObjectType,)),
    ("enums", "Enums", (GraphQLEnumType,)),
    ("scalars", "Scalars", (GraphQLScalarType,)),
)
ROOTS: Final = (("queries", "Queries"), ("mutations", "Mutations"), ("subscriptions", "Subscriptions"))
# What a caller does about an error; what it means stands in the schema.
REACTIONS: Final = {
    ErrorCode.INVALID_INPUT: "Change the value at `path`.",
    ErrorCode.NOT_FOUND: "Look for it again; it may be gone, or another tenant's.",
    ErrorCode.CONFLICT: "Read its state, then decide.",
    ErrorCode.VERSION_CONFLICT: "Read it again, and send your change with `currentVersion`.",
    ErrorCode.IN_USE: "Remove what uses it first.",
    ErrorCode.IDEMPOTENCY_KEY_REUSED: "Take a new key for a new request.",
    ErrorCode.LIMIT_REACHED: "Remove something, or ask the operator.",
    ErrorCode.UNAUTHENTICATED: "Send a key that is valid.",
    ErrorCode.FORBIDDEN: "Use a key with the role that is named.",
    ErrorCode.RATE_LIMITED: "Wait for `retryAfter` (the header `Retry-After` over REST), then send it again.",
    ErrorCode.COST_EXCEEDED: "Ask for less: fewer fields, shorter pages.",
    ErrorCode.PARSE_FAILED: "Mend the document.",
    ErrorCode.VALIDATION_FAILED: "Mend the document; after an upgrade compare it with the schema.",
    ErrorCode.BAD_REQUEST: "Mend the request.",
    ErrorCode.DOCUMENT_NOT_FOUND: "Send the text, or have the document registered.",
    ErrorCode.CURSOR_EXPIRED: "Load the list again, and follow from its `asOf`.",
    ErrorCode.SLOW_CONSUMER: "Follow again from the last cursor, and read faster or ask for less.",
    ErrorCode.UNAVAILABLE: "Send it again, with the same idempotency key.",
    ErrorCode.INTERNAL: "Tell the operator the request id; the log has the rest.",
}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or compare them; return the exit status."""
    wanted = dict(pages())
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    if "--check" not in arguments:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in present.keys() - wanted.keys():
            (FOLDER / name).unlink()
        for name, text in wanted.items():
            if present.get(name) != text:
                (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    for name in stale:
        before, after = present.get(name, ""), wanted.get(name, "")
        sys.stdout.writelines(
            line + "\n"
            for line in difflib.unified_diff(before.split("\n"), after.split("\n"), name, name, lineterm="", n=1)
        )
    if stale:
        sys.stderr.write("docs/reference is not what the code says: run make schema\n")
    return 1 if stale else 0


def pages() -> Iterator[tuple[str, str]]:
    """Yield each page's name and text."""
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    types = (schema.query_type, schema.mutation_type, schema.subscription_type)
    roots = {name: root for (name, _), root in zip(ROOTS, types, strict=True)}
    yield "index.md", page("Reference", index_parts(schema))
    for name, title in ROOTS:
        root = roots[name]
        assert root is not None, name
        lead = [str(root.description)]
        yield f"{name}.md", page(title, [*lead, *(field_part(*named) for named in sorted(root.fields.items()))])
    own = set(roots.values())
    for name, title, kinds in SORTS:
        parts = [
            type_part(schema, each)
            for each in sorted_types(schema)
            if isinstance(each, kinds) and each not in own and not each.name.startswith("__")
        ]
        yield f"{name}.md", page(title, parts)
    yield "errors.md", page("Errors", error_parts(schema))
    yield "settings.md", page("Settings", setting_parts())
    yield "figures.md", page("Figures on /metrics", figure_parts())
    yield "command-line.md", page("Command line", command_parts())


def page(title: str, parts: Iterable[str]) -> str:
    """Return a page of parts, each of which is a paragraph or more."""
    return f"{MARK}\n# {title}\n\n" + "\n\n".join(part.strip() for part in parts) + "\n"


# ------------------------------------------------------------------------------------------- schema


def sorted_types(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    """Return the types by name."""
    return [schema.type_map[name] for name in sorted(schema.type_map)]


def index_parts(schema: GraphQLSchema) -> Iterator[str]:
    """Yield the rules that hold everywhere, as the schema says them, and where the rest is."""
    yield (
        "The API as `schema.graphql` publishes it, and what an operator sets and sees. These pages are made from "
        "the code."
    )
    yield "\n".join(
        f"- [{title}]({name}.md)"
        for name, title in (
            *ROOTS,
            *((name, title) for name, title, _ in SORTS),
            ("errors", "Errors"),
            ("settings", "Settings"),
            ("figures", "Figures on /metrics"),
            ("command-line", "Command line"),
        )
    )
    rules = str(schema.description)
    lead, *paragraphs = rules.split("\n\n")
    yield "## Rules"
    yield lead
    for paragraph in paragraphs:
        name, _, text = " ".join(paragraph.split()).partition(": ")
        yield f"**{name.capitalize()}.** {cell(text)}"


def field_part(name: str, field: GraphQLField) -> str:
    """Return a root field: what it is, its arguments and what it answers with."""
    parts = [f"## {name}", described(field.description), f"Answers {linked(field.type)}."]
    if field.deprecation_reason is not None:
        parts.append(f"*Deprecated*: {field.deprecation_reason}")
    if field.args:
        parts.append(table(("argument", "type", ""), (value_row(*named) for named in field.args.items())))
    return "\n\n".join(parts)


def type_part(schema: GraphQLSchema, each: GraphQLNamedType) -> str:
    """Return a type: what it is, and its fields, values or members."""
    parts = [f"## {each.name}", described(each.description)]
    match each:
        case GraphQLObjectType() | GraphQLInterfaceType():
            if isinstance(each, GraphQLInterfaceType):
                known = sorted(each.name for each in schema.get_possible_types(each))
                parts.append("Implemented by " + ", ".join(f"[{name}](#{name.lower()})" for name in known) + ".")
            elif each.interfaces:
                parts.append("Implements " + ", ".join(linked(one) for one in each.interfaces) + ".")
            parts.append(table(("field", "type", ""), field_rows(each.fields.items())))
        case GraphQLUnionType():
            parts.append("One of " + ", ".join(linked(one) for one in each.types) + ".")
        case GraphQLInputObjectType():
            if each.is_one_of:
                parts.append("Exactly one field is given.")
            parts.append(table(("field", "type", ""), (value_row(*named) for named in each.fields.items())))
        case GraphQLEnumType():
            parts.append(
                table(
                    ("value", ""),
                    ((f"`{name}`", cell(value.description)) for name, value in each.values.items()),
                )
            )
        case GraphQLScalarType() if each.specified_by_url is not None:
            parts.append(f"Specified by <{each.specified_by_url}>.")
    return "\n\n".join(part for part in parts if part)


def field_rows(fields: Iterable[tuple[str, GraphQLField]]) -> Iterator[tuple[str, ...]]:
    """Yield a field's row, and a row for each of its arguments."""
    for name, field in fields:
        yield f"`{name}`", linked(field.type), cell(field.description)
        for argument, value in field.args.items():
            _, kind, text = value_row(argument, value)
            yield f"`{name}({argument}:)`", kind, text


def value_row(name: str, value: GraphQLArgument | GraphQLInputField) -> tuple[str, str, str]:
    """Return the row of something that is given."""
    text = cell(value.description)
    if value.default_value is not Undefined:
        default = ast_from_value(value.default_value, value.type)
        assert default is not None, name
        text = f"{text} Default `{print_ast(default)}`."
    return f"`{name}`", linked(value.type), text.strip()


def linked(kind: Any) -> str:
    """Return a type as the schema writes it, with a link to its part."""
    named = get_named_type(kind)
    text = str(kind).replace("[", "\\[").replace("]", "\\]")
    place = next((name for name, _, kinds in SORTS if isinstance(named, kinds)), None)
    if place is None or named.name in ("Int", "Float", "String", "Boolean", "ID"):
        return text
    return f"[{text}]({place}.md#{named.name.lower()})"


def error_parts(schema: GraphQLSchema) -> Iterator[str]:
    """Yield the codes of errors: what they mean, where they stand, and what to do."""
    codes = schema.type_map["ErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    yield (
        "An error has a code that stays, and a sentence for a person that may change. What the caller can mend "
        "stands in the `errors` of a payload, with the `path` to the value at fault. Everything else is a GraphQL "
        "error with `extensions.code` and `extensions.requestId`. REST answers with a problem document (RFC 9457) "
        "that has the same codes, and with the HTTP status of the table."
    )
    rows = []
    for index, (name, value) in enumerate(codes.values.items()):
        code = ErrorCode(name)
        where = "payload" if index < 7 else "error"
        rows.append((f"`{name}`", where, str(status_of(code).value), cell(value.description), REACTIONS[code]))
    yield table(("code", "stands in", "REST", "meaning", "what to do"), rows)


# ---------------------------------------------------------------------------------- settings, figures


def setting_parts() -> Iterator[str]:
    """Yield the table of what an operator sets."""
    yield (
        "Each is an environment variable. A misspelt one is refused at the start, with the name that was probably "
        "meant. An empty one counts as not set. Secrets show in no log and no error."
    )
    rows = []
    for name, field in Settings.model_fields.items():
        assert field.description is not None, f"{name} has no description in settings.py"
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default or "")
        rows.append((f"`{PREFIX}{name.upper()}`", default and f"`{default}`", cell(field.description)))
    yield table(("variable", "default", ""), rows)


def figure_parts() -> Iterator[str]:
    """Yield the table of what /metrics shows, from where the code makes each figure."""
    yield (
        "`/metrics` is in Prometheus' text format and needs no key: let only your own machines reach it. Figures "
        "are of one process since its start; histograms have `_bucket`, `_sum` and `_count`. Besides there are "
        "`process_…` and `python_info`. What the learning process counts stands on the page of the service that "
        "runs it."
    )
    found: dict[str, tuple[str, str, str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            figure = figure_of(node)
            if figure is not None:
                name, *rest = figure
                found[name] = (rest[0], rest[1], rest[2])
    rows = [(f"`{name}`", *told) for name, told in sorted(found.items())]
    yield table(("figure", "kind", "labels", ""), rows)


def figure_of(node: ast.AST) -> tuple[str, str, str, str] | None:
    """Return name, kind, labels and text of a figure that this node makes; None where it makes none."""
    if isinstance(node, ast.Call):
        parts, maker = list(node.args), getattr(node.func, "id", getattr(node.func, "attr", ""))
        labels = next((each.value for each in node.keywords if each.arg == "labels"), None)
    elif isinstance(node, ast.Tuple):
        parts, maker, labels = list(node.elts), "", None
    else:
        return None
    texts = [each.value for each in parts[:2] if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if len(texts) < 2:
        return None
    name, text = texts
    if FIGURE.fullmatch(name) is None or " " not in text:
        return None
    if labels is None and len(parts) > 2 and isinstance(parts[2], ast.Tuple | ast.List):
        labels = parts[2]
    named = [str(ast.literal_eval(each)) for each in getattr(labels, "elts", ())]
    kind = "histogram" if maker == "Histogram" else "counter" if name.endswith("_total") else "gauge"
    return name, kind, ", ".join(f"`{each}`" for each in named), cell(text)


# ------------------------------------------------------------------------------------- command line


def command_parts() -> Iterator[str]:
    """Yield each command with its arguments and options."""
    yield (
        "`alertgraph COMMAND --help` says the same. Errors are one sentence on standard error; the exit status is "
        "0 where all is well."
    )
    root = typer.main.get_command(app)
    yield from commands_below("alertgraph", root)


def commands_below(path: str, command: Any) -> Iterator[str]:
    """Yield the commands of a group, each with its parameters."""
    children = getattr(command, "commands", None)
    if children is not None:
        for name, child in sorted(children.items()):
            if not child.hidden:
                yield from commands_below(f"{path} {name}", child)
        return
    parts = [f"## {path}", " ".join((command.help or "").split())]
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        is_argument = parameter.param_type_name == "argument"
        options = ", ".join((*parameter.opts, *parameter.secondary_opts))
        shown = (parameter.name or "").upper() if is_argument else options
        variable = f" (`{parameter.envvar}`)" if parameter.envvar else ""
        rows.append((f"`{shown}`", cell(getattr(parameter, "help", None)) + variable))
    if rows:
        parts.append(table(("", ""), rows))
    yield "\n\n".join(parts)


# ---------------------------------------------------------------------------------------------- text


def described(text: str | None) -> str:
    """Return a description as paragraphs."""
    return "\n\n".join(cell(part) for part in (text or "").split("\n\n"))


def cell(text: str | None) -> str:
    """Return text on one line, as it stands in a table and is read as what it says."""
    line = " ".join((text or "").split())
    kept = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else escaped(part) for part in kept)


def escaped(text: str) -> str:
    """Return text none of whose characters are marks."""
    return re.sub(r"([|*_\[\]])", r"\\\1", text).replace("<", "&lt;").replace(">", "&gt;")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [f"| {' | '.join(part.replace(chr(10), ' ') for part in row)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
