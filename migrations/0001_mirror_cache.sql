-- The ground floor: what is cached, under which addresses, what is being
-- fetched, which origins answer, and how much it all came to.
-- Times are milliseconds since 1970; hashes are raw bytes.

-- One row: who this node is.
CREATE TABLE node (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    node_id  BLOB    NOT NULL CHECK (length(node_id) = 20),   -- name of this node, random, for life
    boot_id  TEXT    NOT NULL,                                -- the kernel's boot id at the last start: the same one means that written bytes survived in the page cache
    since    INTEGER NOT NULL                                 -- when this database was made
) STRICT;

-- A body in the store: whole, and its bytes have this hash. No other kind of row here.
CREATE TABLE file (
    id        INTEGER PRIMARY KEY,
    sha256    BLOB    NOT NULL UNIQUE CHECK (length(sha256) = 32),
    size      INTEGER NOT NULL CHECK (size >= 0),             -- bytes
    added_at  INTEGER NOT NULL,
    last_use  INTEGER NOT NULL,                               -- written in batches, seconds late
    pinned    INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)) -- never evicted
) STRICT;
CREATE INDEX file_by_last_use ON file (last_use) WHERE pinned = 0;

-- An address and the file that answers for it.
CREATE TABLE url (
    id                     INTEGER PRIMARY KEY,
    url                    TEXT    NOT NULL UNIQUE,           -- canonical spelling
    file_id                INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    etag                   TEXT    NOT NULL,                  -- what clients are told: the origin's, or one of ours
    last_modified          INTEGER NOT NULL,                  -- what clients are told, whole seconds
    content_type           TEXT,
    upstream_etag          TEXT,                              -- what the origin is asked with, as it sent it
    upstream_last_modified TEXT,                              -- likewise
    checked_at             INTEGER NOT NULL,                  -- when the origin last said that this is current
    changed_at             INTEGER                            -- when another body last took the place of an earlier one
) STRICT;
CREATE INDEX url_by_file ON url (file_id);
CREATE INDEX url_changed ON url (url, changed_at) WHERE changed_at IS NOT NULL;

-- Work: an address to be fetched or asked again. See README.md for the states.
CREATE TABLE download (
    id                     INTEGER PRIMARY KEY,
    url                    TEXT    NOT NULL UNIQUE,
    origin                 TEXT    NOT NULL,                  -- scheme://host[:port], for a fair share of the slots
    state                  TEXT    NOT NULL CHECK (state IN ('wanted', 'running')),
    not_before             INTEGER NOT NULL,                  -- backoff: not claimed earlier
    lease                  INTEGER,                           -- token of the worker that runs it; finishing needs it
    lease_until            INTEGER,
    attempts               INTEGER NOT NULL DEFAULT 0,
    last_error             TEXT,
    created_at             INTEGER NOT NULL,
    -- The answer under way, written before its last byte goes out, so that a
    -- body that a client got whole is known after a kill -9.
    temp                   TEXT,                              -- file name below temp/
    size                   INTEGER,                           -- bytes, as the origin announced
    etag                   TEXT,
    last_modified          INTEGER,
    content_type           TEXT,
    upstream_etag          TEXT,
    upstream_last_modified TEXT,
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL))
) STRICT;
CREATE INDEX download_wanted ON download (not_before) WHERE state = 'wanted';

-- An origin that failed lately: it is spared until not_before.
CREATE TABLE mirror (
    origin        TEXT    PRIMARY KEY,                        -- scheme://host[:port]
    failures      INTEGER NOT NULL,                           -- in a row
    not_before    INTEGER NOT NULL,
    last_error    TEXT    NOT NULL,
    failing_since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sums per hour, in bytes of bodies, and counts of requests for hits and misses.
CREATE TABLE traffic (
    hour    INTEGER NOT NULL,                                 -- hours since 1970
    kind    TEXT    NOT NULL CHECK (kind IN ('from_mirrors', 'from_peers', 'to_clients', 'to_peers', 'hits', 'misses')),
    amount  INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (hour, kind)
) STRICT, WITHOUT ROWID;
