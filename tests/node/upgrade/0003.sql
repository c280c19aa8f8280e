-- A place in the DHT, and the file announced there.
INSERT INTO dht_node VALUES (4, randomblob(20), '10.0.0.3:9977', 1, 0, unixepoch() * 1000 - 3600000, unixepoch() * 1000 - 3600000);
INSERT INTO dht_value VALUES (randomblob(20), CAST('d1:c6:abcdefe' AS BLOB), '10.0.0.3', unixepoch() * 1000 - 3600000);
INSERT INTO dht_secret VALUES (randomblob(20), unixepoch() * 1000 - 3600000);
INSERT INTO torrent VALUES (x'00112233445566778899aabbccddeeff00112233', x'16c9ef87c75119452b3d5bc45c0439c9f361228e13aa89dbd1b8a26a171be41a', 38, CAST('de' AS BLOB));
INSERT INTO announcement (file_id, torrent, contact, stored_at, nodes, state, not_before, lease, lease_until)
VALUES (1, NULL, '10.0.0.4:9977', unixepoch() * 1000 - 3600000, 3, 'running', 0, 10, unixepoch() * 1000 - 3540000);
