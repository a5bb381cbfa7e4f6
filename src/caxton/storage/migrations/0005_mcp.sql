-- What a workspace offers as tools to MCP clients.

CREATE TABLE mcp_exposed (
    workspace TEXT PRIMARY KEY,
    names     TEXT NOT NULL      -- JSON: ["agent:NAME", "capability:NAME", …]
) WITHOUT ROWID;
