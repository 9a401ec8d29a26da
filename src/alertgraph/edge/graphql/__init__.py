"""GraphQL transports of our own: HTTP, websockets and server-sent events over one schema."""

from __future__ import annotations

from alertgraph.edge.graphql.connections import Connections
from alertgraph.edge.graphql.exchange import HttpLimits
from alertgraph.edge.graphql.http import GraphQLHttp
from alertgraph.edge.graphql.operations import (
    GraphQLService,
    Observer,
    OperationInfo,
    OperationReport,
    Operations,
    SilentObserver,
    Validity,
)
from alertgraph.edge.graphql.sse import GraphQLEventStream
from alertgraph.edge.graphql.websocket import GraphQLWebSocket, SocketLimits

__all__ = [
    "Connections",
    "GraphQLEventStream",
    "GraphQLHttp",
    "GraphQLService",
    "GraphQLWebSocket",
    "HttpLimits",
    "Observer",
    "OperationInfo",
    "OperationReport",
    "Operations",
    "SilentObserver",
    "SocketLimits",
    "Validity",
]
