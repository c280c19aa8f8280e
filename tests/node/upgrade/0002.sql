-- A suite whose list vouches for the file.
INSERT INTO suite (id, folder, root, asked_at, taken_up_at, state, lease, lease_until)
VALUES (1, 'http://127.0.0.1:9/debian/dists/stable/', 'http://127.0.0.1:9/debian/', unixepoch() * 1000 - 3600000, unixepoch() * 1000 - 3600000, 'running', 8, unixepoch() * 1000 - 3540000);
INSERT INTO release (id, suite_id, identity, name, date, by_hash, signed, seen_at, taken_up_at)
VALUES (1, 1, zeroblob(32), 'stable', unixepoch() * 1000 - 3600000, 1, 'unsigned', unixepoch() * 1000 - 3600000, unixepoch() * 1000 - 3600000);
UPDATE suite SET release_id = 1;
INSERT INTO index_file VALUES (1, 'main/binary-amd64/Packages', randomblob(32), NULL, 100);
INSERT INTO index_use VALUES (1, 'main/binary-amd64/Packages', unixepoch() * 1000 - 3600000);
INSERT INTO list (id, suite_id, path, release_id, content, body, packages, state, lease, lease_until)
VALUES (1, 1, 'main/binary-amd64/Packages', 1, zeroblob(32), zeroblob(32), 1, 'idle', NULL, NULL);
INSERT INTO package VALUES (1, 'pool/main/h/hello/hello_1.0_all.deb', 1, NULL, x'16c9ef87c75119452b3d5bc45c0439c9f361228e13aa89dbd1b8a26a171be41a', 38);
INSERT INTO patch VALUES (1, 'main/binary-amd64/Packages.diff/1.gz', zeroblob(32), 10, 1);
INSERT INTO client_view VALUES ('10.0.0.2', 1, 1, unixepoch() * 1000 - 3600000);
INSERT INTO refusal VALUES ('mismatch', 'http://127.0.0.1:9/debian/pool/x.deb', 'http://127.0.0.1:9', 'other bytes', 1, unixepoch() * 1000 - 3600000, unixepoch() * 1000 - 3600000);
