-- Behind a home router: what it was asked to forward to this node.
-- Times are milliseconds since 1970.

-- Who asks, as PCP (RFC 6887) wants to be told: with another nonce nobody may
-- change what this node asked for, itself included after a restart.
ALTER TABLE node ADD COLUMN pcp_nonce BLOB CHECK (length(pcp_nonce) = 12);

-- How it stands with the router; no row: nothing is asked for. Of this process.
CREATE TABLE router (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    state        TEXT    NOT NULL CHECK (state IN ('searching', 'no_gateway', 'unneeded', 'unanswered', 'refused', 'mapped', 'double_nat')),
    gateway      TEXT,                                        -- its IPv4 address on this machine's link
    means        TEXT    CHECK (means IN ('pcp', 'nat-pmp', 'upnp')), -- how it was asked
    external_ip  TEXT,                                        -- its address outside, where it says that
    error        TEXT,                                        -- why it does not forward, or not everything
    since        INTEGER NOT NULL,                            -- when it came to stand so
    CHECK ((means IS NOT NULL) = (state IN ('mapped', 'double_nat')))
) STRICT;

-- By which port of the router others came last, which is asked for again after
-- a restart. It forwards them now where the row of `router` says so.
CREATE TABLE port_mapping (
    protocol       TEXT    PRIMARY KEY CHECK (protocol IN ('tcp', 'udp')), -- tcp: the peer face; udp: the DHT
    internal_port  INTEGER NOT NULL CHECK (internal_port BETWEEN 1 AND 65535), -- this node's
    external_port  INTEGER NOT NULL CHECK (external_port BETWEEN 1 AND 65535), -- the router's
    expires_at     INTEGER                                    -- when the router ends it, unless it is asked again; NULL: when it is told to
) STRICT, WITHOUT ROWID;
