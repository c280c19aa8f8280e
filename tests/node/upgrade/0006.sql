-- Another node on the link.
INSERT INTO neighbour VALUES (randomblob(20), '10.0.0.5:9977', unixepoch() * 1000 - 3600000);
