-- The DHT: whom we know, what we keep for others, and what we publish.
-- Times are milliseconds since 1970; ids, keys and hashes are raw bytes.

-- The routing table as it was seconds ago: with it a node that starts again
-- needs nobody to introduce it.
CREATE TABLE dht_node (
    family       INTEGER NOT NULL CHECK (family IN (4, 6)),  -- version of IP that it is reached by
    node_id      BLOB    NOT NULL CHECK (length(node_id) = 20),
    address      TEXT    NOT NULL,                           -- IP:PORT, for UDP
    confirmed    INTEGER NOT NULL CHECK (confirmed IN (0, 1)), -- it answered, and no hole in a NAT explains that
    failures     INTEGER NOT NULL CHECK (failures >= 0),     -- in a row
    last_answer  INTEGER NOT NULL,                           -- up to ten minutes behind
    last_try     INTEGER NOT NULL,                           -- likewise
    PRIMARY KEY (family, node_id)
) STRICT, WITHOUT ROWID;

-- What others stored here.
CREATE TABLE dht_value (
    key         BLOB    NOT NULL CHECK (length(key) = 20),
    value       BLOB    NOT NULL,
    publisher   TEXT    NOT NULL,                            -- IP address whose share of the room it takes: the /64 of IPv6
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (key, value)
) STRICT, WITHOUT ROWID;

-- What the tokens that we gave are made from: values are stored with them.
CREATE TABLE dht_secret (
    secret   BLOB    PRIMARY KEY CHECK (length(secret) = 20),
    made_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Hashes of the pieces of a file, as they are published: a bencoded dictionary.
CREATE TABLE torrent (
    sha1  BLOB    PRIMARY KEY CHECK (length(sha1) = 20),     -- of body
    file  BLOB    NOT NULL CHECK (length(file) = 32),        -- SHA-256 of the file
    size  INTEGER NOT NULL CHECK (size >= 0),                -- of the file, in bytes
    body  BLOB    NOT NULL
) STRICT;

-- A file that others are told of. Also work: to tell them again.
CREATE TABLE announcement (
    file_id      INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,
    torrent      BLOB    CHECK (length(torrent) = 20),       -- SHA-1 of its torrent string, once that is computed
    contact      TEXT,                                       -- IP:PORT that others were told; NULL: none yet
    stored_at    INTEGER,                                    -- when they last were
    nodes        INTEGER NOT NULL DEFAULT 0 CHECK (nodes >= 0), -- how many took it then
    state        TEXT    NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'running')),
    not_before   INTEGER NOT NULL,                           -- not claimed earlier: when to tell again, or backoff
    lease        INTEGER,                                    -- token of the worker that runs it; finishing needs it
    lease_until  INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,                 -- failures in a row
    last_error   TEXT,
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL)),
    CHECK ((stored_at IS NULL) = (contact IS NULL))
) STRICT;
CREATE INDEX announcement_wanted ON announcement (not_before) WHERE state = 'wanted';
