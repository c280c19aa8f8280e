-- Index truth: what signed indexes say of every file, generation by generation.
-- Times are milliseconds since 1970; hashes are raw bytes, whose length tells
-- the algorithm (16 MD5, 20 SHA-1, 32 SHA-256, 64 SHA-512); paths are in
-- canonical spelling, without a slash in front.

-- What an address was verified against, where that was not SHA-256.
ALTER TABLE url ADD COLUMN proof BLOB CHECK (length(proof) IN (20, 64));

-- A folder with a Release: a suite below dists/, or a flat repository. Also
-- work: to ask its origins whether there is a new generation.
CREATE TABLE suite (
    id            INTEGER PRIMARY KEY,
    folder        TEXT    NOT NULL UNIQUE,                   -- canonical address, with a slash at the end
    root          TEXT    NOT NULL,                          -- where the paths in its Packages and Sources start, likewise
    release_id    INTEGER REFERENCES release (id) ON DELETE SET NULL, -- the generation in use; NULL: none was ever taken up
    taken_up_at   INTEGER,                                   -- when that came into use
    pair_asked_at INTEGER NOT NULL DEFAULT 0,                -- when a client last asked for Release or Release.gpg
    older_since   INTEGER,                                   -- since when its origins have sent an older Release than the one in use
    stuck_since   INTEGER,                                   -- since when there is a newer one that can't be taken up
    asked_at      INTEGER NOT NULL,                          -- when a client last asked for its Release
    state         TEXT    NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'wanted', 'running')),
    not_before    INTEGER NOT NULL DEFAULT 0,                -- backoff: not claimed earlier
    lease         INTEGER,                                   -- token of the worker that runs it; finishing needs it
    lease_until   INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,                -- failures in a row
    last_error    TEXT,
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL))
) STRICT;
CREATE INDEX suite_wanted ON suite (not_before) WHERE state = 'wanted';
CREATE INDEX suite_by_root ON suite (root);

-- One generation of a suite, from when its Release was first seen.
CREATE TABLE release (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,       -- never given again: package.since and .until are of these
    suite_id        INTEGER NOT NULL REFERENCES suite (id) ON DELETE CASCADE,
    identity        BLOB    NOT NULL CHECK (length(identity) = 32), -- of the signed text: InRelease and Release of one generation have the same
    inrelease       BLOB    CHECK (length(inrelease) = 32),  -- SHA-256 of the files that carry it, where the origin has them
    release         BLOB    CHECK (length(release) = 32),
    signature       BLOB    CHECK (length(signature) = 32),  -- of Release.gpg
    name            TEXT,                                    -- the Suite field
    codename        TEXT,
    date            INTEGER,
    valid_until     INTEGER,
    by_hash         INTEGER NOT NULL CHECK (by_hash IN (0, 1)), -- Acquire-By-Hash: yes
    signed          TEXT    NOT NULL CHECK (signed IN ('good', 'unknown', 'unsigned', 'unchecked')),
    key             TEXT,                                    -- fingerprint of the key that vouches for it
    signer          TEXT,                                    -- that key's user id
    seen_at         INTEGER NOT NULL,
    taken_up_at     INTEGER,                                 -- NULL: never yet in use
    superseded_at   INTEGER,                                 -- NULL: in use, or never yet
    UNIQUE (suite_id, identity),
    CHECK ((signed = 'good') = (key IS NOT NULL))
) STRICT;

CREATE INDEX release_by_inrelease ON release (inrelease);
CREATE INDEX release_by_release ON release (release);
CREATE INDEX release_by_signature ON release (signature);

-- What a Release lists.
CREATE TABLE index_file (
    release_id  INTEGER NOT NULL REFERENCES release (id) ON DELETE CASCADE,
    path        TEXT    NOT NULL,                            -- below the suite's folder
    hash        BLOB    NOT NULL CHECK (length(hash) IN (16, 20, 32, 64)), -- SHA-256 where it is listed, else the strongest
    sha512      BLOB    CHECK (sha512 IS NULL OR length(sha512) = 64), -- listed beside SHA-256, for by-hash names
    size        INTEGER NOT NULL CHECK (size >= 0),
    PRIMARY KEY (release_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX index_file_by_hash ON index_file (hash);
CREATE INDEX index_file_by_sha512 ON index_file (sha512) WHERE sha512 IS NOT NULL;

-- Which of a suite's files clients use: a new generation must have them.
CREATE TABLE index_use (
    suite_id  INTEGER NOT NULL REFERENCES suite (id) ON DELETE CASCADE,
    path      TEXT    NOT NULL,
    used_at   INTEGER NOT NULL,                              -- written in batches, seconds late
    PRIMARY KEY (suite_id, path)
) STRICT, WITHOUT ROWID;

-- A Packages or Sources whose lines stand in `package`. Also work: to read the
-- generation in use. Where release_id is not the suite's, its rows are behind.
CREATE TABLE list (
    id            INTEGER PRIMARY KEY,
    suite_id      INTEGER NOT NULL REFERENCES suite (id) ON DELETE CASCADE,
    path          TEXT    NOT NULL,                          -- below the suite's folder, without the suffix of a compression
    release_id    INTEGER,                                   -- the generation that its rows are of; NULL: none yet
    content       BLOB    CHECK (length(content) = 32),      -- SHA-256 of the text that its rows are of
    body          BLOB    CHECK (length(body) = 32),         -- SHA-256 of the file that has that text, plain or compressed
    suffix        TEXT    NOT NULL DEFAULT '',               -- of that file's compression, such as .xz
    packages      INTEGER NOT NULL DEFAULT 0,                -- rows of that generation
    state         TEXT    NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'wanted', 'running')),
    not_before    INTEGER NOT NULL DEFAULT 0,
    lease         INTEGER,
    lease_until   INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    last_error    TEXT,
    UNIQUE (suite_id, path),
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL))
) STRICT;
CREATE INDEX list_by_body ON list (body);
CREATE INDEX list_wanted ON list (not_before) WHERE state = 'wanted';

-- A file that a list vouches for, in the generations from `since` on up to
-- before `until`: only differences between generations are written.
CREATE TABLE package (
    list_id  INTEGER NOT NULL REFERENCES list (id) ON DELETE CASCADE,
    path     TEXT    NOT NULL,                               -- below the suite's root
    since    INTEGER NOT NULL,                               -- release.id
    until    INTEGER,                                        -- release.id; NULL: still
    hash     BLOB    NOT NULL CHECK (length(hash) IN (16, 20, 32, 64)),
    size     INTEGER NOT NULL CHECK (size >= 0),
    PRIMARY KEY (list_id, path, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_ended ON package (list_id, until) WHERE until IS NOT NULL;

-- A patch as the Index of a pdiff folder lists it for download.
CREATE TABLE patch (
    suite_id    INTEGER NOT NULL REFERENCES suite (id) ON DELETE CASCADE,
    path        TEXT    NOT NULL,                            -- below the suite's folder
    hash        BLOB    NOT NULL CHECK (length(hash) IN (16, 20, 32, 64)),
    size        INTEGER NOT NULL CHECK (size >= 0),
    release_id  INTEGER NOT NULL,                            -- the last generation that lists it
    PRIMARY KEY (suite_id, path)
) STRICT, WITHOUT ROWID;

-- Which generation a client was last given, for those whose connection broke.
CREATE TABLE client_view (
    client      TEXT    NOT NULL,                            -- IP address
    suite_id    INTEGER NOT NULL REFERENCES suite (id) ON DELETE CASCADE,
    release_id  INTEGER NOT NULL REFERENCES release (id) ON DELETE CASCADE,
    given_at    INTEGER NOT NULL,                            -- written in batches, seconds late
    PRIMARY KEY (client, suite_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_view_by_release ON client_view (release_id);

-- What was not believed, and why.
CREATE TABLE refusal (
    kind      TEXT    NOT NULL CHECK (kind IN ('mismatch', 'malformed', 'signature', 'older', 'incomplete')),
    url       TEXT    NOT NULL,
    origin    TEXT    NOT NULL,                              -- who sent it: scheme://host[:port]
    reason    TEXT    NOT NULL,
    times     INTEGER NOT NULL DEFAULT 1,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    PRIMARY KEY (kind, url, origin)
) STRICT, WITHOUT ROWID;
