-- Who asked.
INSERT INTO visitor VALUES ('apt', '10.0.0.2', 1, 1, 76, unixepoch() * 1000 - 3600000), ('peer', '10.0.0.3', 1, 0, 38, unixepoch() * 1000 - 3600000);
