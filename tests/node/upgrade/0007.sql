-- A home router that forwarded its ports.
UPDATE node SET pcp_nonce = randomblob(12);
INSERT INTO router VALUES (1, 'mapped', '192.168.1.1', 'pcp', '203.0.113.1', NULL, unixepoch() * 1000 - 3600000);
INSERT INTO port_mapping VALUES ('tcp', 9977, 19977, unixepoch() * 1000 - 1800000), ('udp', 9977, 9977, NULL);
