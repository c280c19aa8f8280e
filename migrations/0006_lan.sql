-- The LAN: nodes on one link with this one.
-- Times are milliseconds since 1970.

-- Where another node on the same link is reached, as it said by mDNS.
CREATE TABLE neighbour (
    node_id  BLOB    NOT NULL CHECK (length(node_id) = 20),
    address  TEXT    NOT NULL,                                -- IP:PORT, for HTTP
    seen_at  INTEGER NOT NULL,                                -- when it last said so
    PRIMARY KEY (node_id, address)
) STRICT, WITHOUT ROWID;
