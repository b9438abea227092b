"""The tools that assistants call over the Model Context Protocol (MCP): `search` and `fetch`."""
