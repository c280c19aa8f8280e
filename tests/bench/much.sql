-- What a node knows after a year in a large network. `now` is in milliseconds since 1970.
CREATE TEMP TABLE run AS SELECT unixepoch() * 1000 AS now;

CREATE TEMP TABLE number AS
WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 100000)
SELECT n FROM count;

BEGIN IMMEDIATE;

INSERT INTO file (id, sha256, size, added_at, last_use)
SELECT n, randomblob(32), 1000 + abs(random() % 150000), now - n * 300000, now - abs(random() % 30000000000)
FROM number, run;

INSERT INTO url (url, file_id, etag, last_modified, checked_at)
SELECT 'http://deb.example.org/debian/pool/main/p/package' || n || '/package' || n || '_1.0-1_amd64.deb',
       n, '"' || n || '"', now / 1000 * 1000, now
FROM number, run;

INSERT INTO announcement (file_id, torrent, contact, stored_at, nodes, not_before, attempts)
SELECT n, randomblob(20), '203.0.113.1:9977', now, 6, now + 7200000, n % 50 = 0
FROM number, run;

INSERT INTO traffic (hour, kind, amount)
SELECT now / 3600000 - n, kind, abs(random() % 1000000000)
FROM number, run, (SELECT 'from_mirrors' AS kind UNION SELECT 'from_peers' UNION SELECT 'to_peers'
                   UNION SELECT 'clients_from_cache' UNION SELECT 'clients_from_peers'
                   UNION SELECT 'clients_from_mirrors' UNION SELECT 'hits' UNION SELECT 'misses')
WHERE n < 365 * 24;

INSERT INTO visitor (face, address, hits, misses, bytes, last_seen)
SELECT face, '10.0.0.' || n, n * 100, n * 10, n * 100000000, now - n * 60000
FROM number, run, (SELECT 'apt' AS face UNION SELECT 'peer')
WHERE n <= 100;

INSERT INTO peer (id, address, speed, lag, connected_until, bytes, last_error, last_used)
SELECT n, '198.51.100.' || n || ':9977', 100000 * n, n, (n % 3 = 0) * (now + 600000), n * 1000000,
       iif(n % 4 = 0, 'the connection was refused', NULL), now - n * 60000
FROM number, run WHERE n <= 200;

INSERT INTO hash_error (peer_id, at, file, piece)
SELECT n % 40 + 1, now - n * 60000, randomblob(32), n FROM number, run WHERE n <= 100;

INSERT INTO suite (id, folder, root, taken_up_at, asked_at)
SELECT n, 'http://deb.example.org/debian/dists/suite' || n || '/', 'http://deb.example.org/debian/', now, now
FROM number, run WHERE n <= 12;

INSERT INTO release (id, suite_id, identity, name, codename, date, by_hash, signed, key, signer, seen_at, taken_up_at, superseded_at)
SELECT n, (n - 1) % 12 + 1, randomblob(32), 'suite', 'codename', now - 86400000, 1, 'good',
       '0123456789ABCDEF0123456789ABCDEF01234567', 'An Archive Key <archive@example.org>', now, now,
       iif(n <= 12, now, NULL)
FROM number, run WHERE n <= 24;

UPDATE suite SET release_id = id + 12;

INSERT INTO index_file (release_id, path, hash, size)
SELECT release.id, 'main/binary-' || n || '/Packages.xz', randomblob(32), 1000000
FROM release, number WHERE n <= 700;

INSERT INTO list (suite_id, path, release_id, content, body, suffix, packages)
SELECT suite.id, 'list' || n || '/Packages', release_id, randomblob(32), randomblob(32), '.xz', 60000
FROM suite, number WHERE n <= 3;

INSERT INTO patch (suite_id, path, hash, size, release_id)
SELECT suite.id, 'main/binary-amd64/Packages.diff/' || n, randomblob(32), 10000, release_id
FROM suite, number WHERE n <= 50;

INSERT INTO refusal (kind, url, origin, reason, first_at, last_at)
SELECT 'mismatch', 'http://deb.example.org/debian/pool/main/w/wrong' || n || '.deb', 'http://deb.example.org',
       'its SHA-256 is another one than that of the index', now, now - n * 60000
FROM number, run WHERE n <= 50;

COMMIT;
