"""Errors of ToolBox as errors of JSON-RPC: the one place where they leave as MCP."""

from uuid import uuid4

import structlog

from toolbox.errors import FAULT, DatabaseUnavailable, Overloaded, ToolboxError
from toolbox.mcp.messages import INTERNAL_ERROR, MISSING_CAPABILITY, ProtocolError
from toolbox.request_context import explain
from toolbox.tools.client import MissingCapability

logger = structlog.get_logger(__name__)

SERVER_ERRORS = 500


def to_protocol_error(error: Exception) -> ProtocolError:
    """The error that a client reads.

    What is our fault says nothing of our insides: the log has it by its error_id, and with DEBUG `data.detail` too.
    """
    if isinstance(error, ProtocolError):
        return error
    if isinstance(error, MissingCapability):
        return ProtocolError(MISSING_CAPABILITY, error.message, data={"requiredCapabilities": error.required})
    if isinstance(error, ToolboxError) and error.status < SERVER_ERRORS:
        return ProtocolError(error.jsonrpc_code, error.message)
    if isinstance(error, Overloaded):
        return ProtocolError(INTERNAL_ERROR, error.message)
    error_id = uuid4().hex
    data = {"error_id": error_id}
    if isinstance(error, DatabaseUnavailable):
        logger.warning("a request needs the database", reason=error.message, error_id=error_id)
        said = error.for_callers
    else:
        logger.error("a request failed", error_id=error_id, exc_info=error)
        said = FAULT
    if detail := explain(error):
        data["detail"] = detail
    return ProtocolError(INTERNAL_ERROR, said, data=data)
