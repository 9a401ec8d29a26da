"""A plugin of ariadne-codegen: enums of the generated client take values that are newer than it."""

from __future__ import annotations

import ast

from ariadne_codegen.plugins.base import Plugin
from graphql import GraphQLEnumType

# The schema may grow; whatever it says, a client has to read on.
METHOD = '''
@classmethod
def _missing_(cls, value: object) -> "Self | None":
    """Return a member for a text that is newer than this client; it equals that text and no other member."""
    if not isinstance(value, str):
        return None
    unknown = str.__new__(cls, value)
    unknown._name_ = unknown._value_ = value
    return unknown
'''


class OpenEnums(Plugin):
    """Adds the method to each enum."""

    def generate_enum(self, class_def: ast.ClassDef, enum_type: GraphQLEnumType) -> ast.ClassDef:  # noqa: ARG002
        """Return the class with the method behind its members."""
        class_def.body += ast.parse(METHOD).body
        return class_def

    def generate_enums_module(self, module: ast.Module) -> ast.Module:
        """Return the module with the import that the method's annotation needs."""
        module.body.insert(0, ast.parse("from typing import Self").body[0])
        return module
