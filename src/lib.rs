//! aptmesh sits between apt and the world: an apt proxy and LAN mirror that
//! keeps what it fetches.
//!
//! # The house
//!
//! Everything the node knows is rows in `SQLite` (`migrations/README.md` draws
//! them), workers act on the rows, and an axum and hyper server serves apt and
//! a status page. Parts use only what stands below them; `tests/house.rs`
//! keeps it so.
//!
//! | floor | modules | what |
//! | --- | --- | --- |
//! | 4 | [`cli`], [`node`] | commands; one [`node::Node`] put together |
//! | 3 | [`http`], [`worker`] | they never call each other: they meet in rows and wake-ups |
//! | 2½ | [`core`], [`truth`], [`upkeep`] | steps that need rows and bytes together, in the order that a crash allows |
//! | 2 | [`db`], [`store`], [`upstream`], [`overlay`], [`discovery`], [`portmap`], [`signature`], [`lifecycle`] | SQL; bytes; origins and peers; the DHT's socket; mDNS; the home router; signatures; signals. None uses another |
//! | 1 | [`debian`], [`dht`], [`swarm`], [`router`], [`bencode`], [`mirrors`], [`health`], [`skew`], [`validators`], [`meter`], [`visitors`], [`config`], [`clock`], [`human`] | without IO (but for reading the configuration), without a clock of their own |
//!
//! # One .deb's journey
//!
//! apt asks for `http://ftp.debian.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb`.
//! [`http`] reads the request line into a canonical [`debian::url::RepoUrl`].
//!
//! *It is known.* [`store::hot`] has the entry in memory, or one row of `url`
//! joined with `file` makes one. A small body goes out as it lies in memory, a
//! large one as slices of a mapping ([`store::mapped`]); that it was used, and
//! what went out to whom ([`meter`], [`visitors`]), is noted and written in a
//! batch ([`worker::flush`]).
//!
//! *It is not.* The request joins the flight for that address
//! ([`store::flight`]), and the first to join commits a row of `download` and
//! rings. [`worker::dispatcher`] claims the row with a lease,
//! [`worker::fetch_file`] asks the origins in order, and
//! the answer's bytes go to a temp file that all clients of the flight follow
//! ([`store::growing`]) while one blocking task writes and hashes
//! ([`store::incoming`]). Before the last byte goes out, the row says which
//! temp file holds what, so that a kill -9 forgets nothing that a client got.
//! At the end the body is synced, renamed to its hash, and one transaction
//! writes `file` and `url` and removes the `download` ([`core::Core::place`]).
//!
//! *Its hash is known, and other nodes may have it.* [`worker::swarm`] asks the
//! DHT who has it, and the peers' own words for the hashes of its pieces
//! ([`swarm::references`]). Pieces are asked of the best of them at once
//! ([`swarm::schedule`], [`swarm::score`]), proved as they come and written
//! where they belong; clients follow the same growing body. The origin sends
//! what comes first, where that helps ([`swarm::help`]). Should the whole turn
//! out wrong although every piece matched, clients are cut off before its last
//! byte, the file is made anew ([`swarm::rounds`]), and once its hash is right
//! everybody whose bytes were not is named ([`swarm::blame`]).
//!
//! *It may be out of date* (a name that no index in use vouches for). The same
//! flight, with the origin's validators as conditions. If the origin does not
//! answer within a moment, the stored copy goes out and the row stays wanted,
//! with a growing pause.
//!
//! *It is `InRelease`.* The client waits for its suite ([`truth::SuiteState`]):
//! [`worker::revalidate`] fetches it by such a flight, judges it, fetches what
//! clients use of the new generation and takes that up. The client gets what is
//! in use then, and from then on its indexes from that generation
//! ([`truth::views`]). Lists that came are read by [`worker::ingest`], and what
//! they say of `hello_2.10-3_amd64.deb` is what its bytes have to be.
//!
//! *Other nodes are on the same link.* [`discovery`] hears of them by mDNS, and
//! they are asked themselves, in parallel with the DHT. Who wants the same file
//! at the same moment hears of it ([`store::coming`]), and one of them goes to
//! the mirror for all ([`swarm::lead`]).
//!
//! # A file that others learn of
//!
//! [`worker::announce`] gives each cached file that an index vouches for a row
//! of `announcement`, computes its torrent string ([`swarm::torrent`]) and
//! stores both in the DHT, again before others forget it. The DHT is a state
//! machine without IO ([`dht::engine`]): packets and the time go in, packets
//! and events come out. [`overlay`] gives it a UDP socket, and
//! [`worker::dht_rows`] writes what it learns to rows, from which the next
//! start makes it again. Nobody else knows that there is a working set.
//!
//! Behind a home router [`worker::map_ports`] asks that one to let others in
//! ([`router`] says for what and when, [`portmap`] how), and tells the DHT by
//! which port they come.
//!
//! Others get it at [`http::peer_face`], by its hash and in pieces; what is not
//! in `announcement`, and did not just come, is not there for them.

pub mod bencode;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod db;
pub mod debian;
pub mod dht;
pub mod discovery;
pub mod health;
pub mod http;
pub mod human;
pub mod lifecycle;
pub mod meter;
pub mod mirrors;
pub mod node;
pub mod overlay;
pub mod portmap;
pub mod router;
pub mod signature;
pub mod skew;
pub mod store;
pub mod swarm;
pub mod truth;
pub mod upkeep;
pub mod upstream;
pub mod validators;
pub mod visitors;
pub mod worker;
