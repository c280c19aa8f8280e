-- The swarm: what is known of peers, and who was asked for which piece.
-- Times are milliseconds since 1970; hashes are raw bytes.

-- Another node that was asked for files.
CREATE TABLE peer (
    id               INTEGER PRIMARY KEY,
    address          TEXT    NOT NULL UNIQUE,                  -- IP:PORT, for HTTP
    speed            INTEGER CHECK (speed > 0),                -- bytes a second, smoothed; NULL: never measured
    lag              INTEGER CHECK (lag >= 0),                 -- ms from request to first byte, smoothed; NULL: never measured
    connected_until  INTEGER NOT NULL DEFAULT 0,               -- a kept-alive connection is presumably open until then; 0: none
    bytes            INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- received from it, and verified
    last_error       TEXT,                                     -- one sentence; an answer does not remove it
    last_used        INTEGER NOT NULL                          -- when it last answered or failed
) STRICT;

-- A peer's bytes were shown to be wrong. How many in the last 24 hours is a
-- question to these rows.
CREATE TABLE hash_error (
    id       INTEGER PRIMARY KEY,
    peer_id  INTEGER NOT NULL REFERENCES peer (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    file     BLOB    NOT NULL CHECK (length(file) = 32),       -- SHA-256 of the file that was wanted
    piece    INTEGER CHECK (piece >= 0)                        -- NULL: the whole file, or its torrent string
) STRICT;
CREATE INDEX hash_error_by_peer ON hash_error (peer_id, at);

-- A piece of a download's body was asked of somebody.
CREATE TABLE piece (
    download_id  INTEGER NOT NULL REFERENCES download (id) ON DELETE CASCADE,
    round        INTEGER NOT NULL CHECK (round >= 0),          -- 0, and one more each time that the whole file came out wrong
    piece        INTEGER NOT NULL CHECK (piece >= 0),          -- place in the file, from 0
    peer         TEXT    NOT NULL,                             -- IP:PORT, for HTTP; '': the mirror
    state        TEXT    NOT NULL CHECK (state IN ('running', 'verified', 'wrong', 'failed', 'unproved')),
    sha1         BLOB    CHECK (length(sha1) = 20),            -- of the bytes that came
    at           INTEGER NOT NULL,                             -- when it came to this state
    PRIMARY KEY (download_id, round, piece, peer)
) STRICT, WITHOUT ROWID;

-- Pieces lie in the temp file of their download: without it they are nothing.
CREATE TRIGGER piece_without_temp AFTER UPDATE OF temp ON download WHEN NEW.temp IS NULL
BEGIN
    DELETE FROM piece WHERE download_id = NEW.id;
END;

-- A file's torrent string is asked for by the file when it is announced.
CREATE INDEX torrent_by_file ON torrent (file);
