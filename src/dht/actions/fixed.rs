//! `get_value` and `store_value`: over a set of nodes that the answers do not
//! change.

use super::{Ask, Crowd};
use crate::dht::krpc::Query;

/// What is asked of each.
#[derive(Debug, Clone)]
pub enum Job {
    /// Its values for the key.
    Get,
    /// To keep this value for the key.
    Store(Vec<u8>),
}

/// Getting or storing.
#[derive(Debug, Clone)]
pub struct Static {
    job: Job,
    crowd: Crowd,
}

impl Static {
    /// Does `job` with the members of `crowd`; what that is around is the key.
    #[must_use]
    pub const fn new(job: Job, crowd: Crowd) -> Self {
        Self { job, crowd }
    }

    /// What is sent now.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        let key = *self.crowd.target();
        let asked = self.crowd.take_next().into_iter();
        asked
            .map(|(contact, token)| Ask {
                to: contact.addr,
                id: Some(contact.id),
                query: match &self.job {
                    Job::Get => Query::GetValue { key, num: 0 },
                    Job::Store(value) => Query::StoreValue {
                        key,
                        value: value.clone(),
                        token: token.unwrap_or_default(),
                    },
                },
            })
            .collect()
    }

    /// Who is asked.
    #[must_use]
    pub const fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Who is asked.
    pub const fn crowd_mut(&mut self) -> &mut Crowd {
        &mut self.crowd
    }
}
