-- A peer with a hash error, and a piece of the fetch that was under way.
INSERT INTO peer (id, address, speed, lag, bytes, last_used) VALUES (1, '10.0.0.3:9977', 100000, 20, 1000, unixepoch() * 1000 - 3600000);
INSERT INTO hash_error (peer_id, at, file, piece) VALUES (1, unixepoch() * 1000 - 3600000, zeroblob(32), 0);
INSERT INTO piece VALUES (1, 0, 0, '10.0.0.3:9977', 'verified', zeroblob(20), unixepoch() * 1000 - 3600000);
