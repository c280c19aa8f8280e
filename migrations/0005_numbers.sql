-- The numbers: where clients' bytes came from, and who asked.
-- Times are milliseconds since 1970.

-- Sums per hour, in bytes of bodies, and counts of requests for hits and
-- misses. What clients got is told apart by where it came from.
CREATE TABLE traffic_by_source (
    hour    INTEGER NOT NULL,                                 -- hours since 1970
    kind    TEXT    NOT NULL CHECK (kind IN ('from_mirrors', 'from_peers', 'to_peers', 'clients_from_cache', 'clients_from_peers', 'clients_from_mirrors', 'hits', 'misses')),
    amount  INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (hour, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO traffic_by_source (hour, kind, amount)
SELECT hour, kind, amount FROM traffic WHERE kind <> 'to_clients';

-- What was not told apart: nearly all that came in went out to clients in the
-- same hour, and the rest of what they got was here.
WITH sums AS (
    SELECT hour,
           sum(iif(kind = 'to_clients', amount, 0)) AS clients,
           sum(iif(kind = 'from_mirrors', amount, 0)) AS mirrors,
           sum(iif(kind = 'from_peers', amount, 0)) AS peers
    FROM traffic GROUP BY hour
), split AS (
    SELECT hour, clients, min(clients, mirrors) AS mirrors,
           min(clients - min(clients, mirrors), peers) AS peers
    FROM sums
)
INSERT INTO traffic_by_source (hour, kind, amount)
SELECT hour, 'clients_from_mirrors', mirrors FROM split WHERE mirrors > 0
UNION ALL
SELECT hour, 'clients_from_peers', peers FROM split WHERE peers > 0
UNION ALL
SELECT hour, 'clients_from_cache', clients - mirrors - peers FROM split WHERE clients > mirrors + peers;

DROP TABLE traffic;
ALTER TABLE traffic_by_source RENAME TO traffic;

-- Who asked for files, since the database was made.
CREATE TABLE visitor (
    face       TEXT    NOT NULL CHECK (face IN ('apt', 'peer')),
    address    TEXT    NOT NULL,                              -- IP address; of the peer face, the first of an IPv6 network
    hits       INTEGER NOT NULL DEFAULT 0 CHECK (hits >= 0),  -- requests answered from the cache; of the peer face: answered
    misses     INTEGER NOT NULL DEFAULT 0 CHECK (misses >= 0), -- requests that somebody else had to answer
    bytes      INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- of bodies sent to it
    last_seen  INTEGER NOT NULL,                              -- written in batches, seconds late
    PRIMARY KEY (face, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX visitor_by_last_seen ON visitor (face, last_seen);

-- Patches by which its lists were brought up to date.
ALTER TABLE suite ADD COLUMN patches_applied INTEGER NOT NULL DEFAULT 0 CHECK (patches_applied >= 0);

-- The status page lists the largest files, and counts all of them.
CREATE INDEX file_by_size ON file (size);
