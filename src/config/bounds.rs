//! Numbers and durations with bounds, and those that bound each other.

use std::time::Duration;

use humantime::format_duration;

use super::{
    Config, Dht,
    setting::{Refusal, Setting},
    value::Value,
};

/// A whole number from one to another.
macro_rules! number {
    ($(#[$what:meta])* $name:ident($type:ty), $from:literal to $to:literal, such as $example:literal) => {
        $(#[$what])*
        pub(super) struct $name(pub(super) $type);

        impl Setting for $name {
            const WANTED: &'static str =
                concat!("a whole number from ", $from, " to ", $to, ", such as ", $example);

            fn read(value: &Value) -> Result<Self, Refusal> {
                let number = value.integer().and_then(|n| <$type>::try_from(n).ok());
                number
                    .filter(|n| ($from..=$to).contains(n))
                    .map(Self)
                    .ok_or(Refusal::Kind)
            }
        }
    };
}

/// A duration from one to another, as text and in milliseconds.
macro_rules! duration {
    ($(#[$what:meta])* $name:ident, $from:literal = $least:literal to $to:literal = $most:literal, such as $example:literal) => {
        $(#[$what])*
        pub(super) struct $name(pub(super) Duration);

        impl Setting for $name {
            const WANTED: &'static str = concat!(
                "a duration from \"", $from, "\" to \"", $to, "\", such as \"", $example, "\""
            );

            fn read(value: &Value) -> Result<Self, Refusal> {
                let duration = Duration::read(value)?;
                if duration < Duration::from_millis($least) {
                    return Err(Refusal::because("too short"));
                }
                if duration > Duration::from_millis($most) {
                    return Err(Refusal::because("too long"));
                }
                Ok(Self(duration))
            }
        }
    };
}

number!(
    /// `dht.k`: with more, an answer would not fit into a packet.
    K(usize), 1 to 19, such as 8
);
number!(
    /// `dht.concurrent_requests`
    ConcurrentRequests(usize), 1 to 64, such as 8
);
number!(
    /// `dht.store_redundancy`
    StoreRedundancy(usize), 1 to 19, such as 6
);
number!(
    /// `dht.max_failures`
    MaxFailures(u32), 1 to 100, such as 3
);
duration!(
    /// `dht.krpc_timeout` and `dht.krpc_initial_delay`
    Answering, "100ms" = 100 to "1m" = 60_000, such as "9s"
);
duration!(
    /// `dht.min_ping_interval`
    PingInterval, "100ms" = 100 to "30days" = 2_592_000_000, such as "15m"
);
duration!(
    /// How long rows of the DHT hold.
    Holding, "1s" = 1000 to "30days" = 2_592_000_000, such as "2h 30m"
);

/// Two keys of which the first must not reach or exceed the second.
pub(super) struct Pair {
    pub(super) low: &'static str,
    pub(super) high: &'static str,
    /// Whether they may be the same.
    may_equal: bool,
    compared: fn(&Dht) -> Compared,
}

/// The two values, as text, and whether they are in order.
struct Compared {
    low: String,
    high: String,
    in_order: bool,
}

fn numbers(low: usize, high: usize) -> Compared {
    Compared {
        low: low.to_string(),
        high: high.to_string(),
        in_order: low <= high,
    }
}

fn durations(low: Duration, high: Duration) -> Compared {
    Compared {
        low: format!("\"{}\"", format_duration(low)),
        high: format!("\"{}\"", format_duration(high)),
        in_order: low < high,
    }
}

pub(super) const PAIRS: [Pair; 3] = [
    Pair {
        low: "dht.store_redundancy",
        high: "dht.k",
        may_equal: true,
        compared: |dht| numbers(dht.store_redundancy, dht.k),
    },
    Pair {
        low: "dht.key_refresh",
        high: "dht.key_expire",
        may_equal: false,
        compared: |dht| durations(dht.key_refresh, dht.key_expire),
    },
    Pair {
        low: "dht.krpc_initial_delay",
        high: "dht.krpc_timeout",
        may_equal: false,
        compared: |dht| durations(dht.krpc_initial_delay, dht.krpc_timeout),
    },
];

impl Pair {
    /// What to tell at the first key and at the second, where they are not in order.
    pub(super) fn disorder(&self, config: &Config) -> Option<(String, String)> {
        let Compared {
            low,
            high,
            in_order,
        } = (self.compared)(&config.dht);
        let (below, above) = if self.may_equal {
            ("no more than", "no less than")
        } else {
            ("less than", "more than")
        };
        (!in_order).then(|| {
            (
                format!("found {low}; wanted {below} {}, which is {high}", self.high),
                format!("found {high}; wanted {above} {}, which is {low}", self.low),
            )
        })
    }
}
