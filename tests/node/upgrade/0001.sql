-- What a node of this schema had an hour ago: one file under two addresses, one fetch
-- that was under way when it was killed, and what was counted.
INSERT INTO node VALUES (1, x'00112233445566778899aabbccddeeff00112233', 'a boot long ago', unixepoch() * 1000 - 3600000);
INSERT INTO file VALUES (1, x'16c9ef87c75119452b3d5bc45c0439c9f361228e13aa89dbd1b8a26a171be41a', 38, unixepoch() * 1000 - 3600000, unixepoch() * 1000 - 3600000, 0);
INSERT INTO url (id, url, file_id, etag, last_modified, content_type, checked_at) VALUES
    (1, 'http://127.0.0.1:9/debian/pool/main/h/hello/hello_1.0_all.deb', 1, '"a"', 1700000000, 'application/vnd.debian.binary-package', unixepoch() * 1000 - 3600000),
    (2, 'http://127.0.0.1:9/other/hello.deb', 1, '"b"', 1700000000, NULL, unixepoch() * 1000 - 3600000);
INSERT INTO download (id, url, origin, state, not_before, lease, lease_until, created_at, temp, size, etag, last_modified)
VALUES (1, 'http://127.0.0.1:9/debian/pool/main/h/hello/hello_2.0_all.deb', 'http://127.0.0.1:9', 'running', 0, 7, unixepoch() * 1000 - 3540000, unixepoch() * 1000 - 3600000, 'gone', 10, '"c"', 1700000000);
INSERT INTO mirror VALUES ('http://10.0.0.1', 3, unixepoch() * 1000 - 3300000, 'refused', unixepoch() * 1000 - 3600000);
INSERT INTO traffic VALUES (472222, 'from_mirrors', 38), (472222, 'to_clients', 76), (472222, 'misses', 1), (472222, 'hits', 1);
