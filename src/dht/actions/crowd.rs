//! The nodes that an action asks, by distance, and how far it is with each.

use crate::dht::contact::Contact;
use crate::dht::id::{Distance, NodeId};
use crate::dht::krpc::Token;
use crate::dht::routing::Neighbourhood;

/// Nodes that one action keeps in mind.
const MEMBERS: usize = 160;

/// Members of one id, and of one address: a liar who pairs them wrongly does
/// not keep the right pair out.
const PAIRS: usize = 2;

/// Members of one neighbourhood, of which somebody may own all addresses.
const NEIGHBOURS: usize = 4;

/// Queries of one action: a lookup among liars ends, too.
const QUERIES: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    /// Slower than others: its query stays open, and nobody waits for it.
    Stalled,
    Answered,
    Failed,
}

/// A node of a crowd.
#[derive(Debug, Clone)]
struct Member {
    contact: Contact,
    distance: Distance,
    neighbourhood: Option<Neighbourhood>,
    state: State,
    token: Option<Token>,
}

/// Which members count: the `wide` closest of each address family that neither
/// stalled nor failed. Only they are asked, only they take a place in flight,
/// and the action is over when all of them have answered. So a query to a node
/// that is no longer among the closest, and one that stalls, give their places
/// away (leap-frogging).
#[derive(Debug, Clone)]
pub struct Crowd {
    target: NodeId,
    wide: usize,
    in_flight: usize,
    /// By distance and address.
    members: Vec<Member>,
    queries: usize,
}

impl Crowd {
    /// A crowd around `target`: the `wide` closest of a family count, at most
    /// `in_flight` of them are asked at a time.
    #[must_use]
    pub const fn new(target: NodeId, wide: usize, in_flight: usize) -> Self {
        Self {
            target,
            wide,
            in_flight,
            members: Vec::new(),
            queries: 0,
        }
    }

    /// What the members are sorted by.
    #[must_use]
    pub const fn target(&self) -> &NodeId {
        &self.target
    }

    /// How many count of a family.
    #[must_use]
    pub const fn wide(&self) -> usize {
        self.wide
    }

    /// Takes a node in, unless it is known already, or too many like it are.
    pub fn add(&mut self, contact: Contact, token: Option<Token>) {
        let distance = contact.id.distance(&self.target);
        let Err(at) = self.place(&contact) else {
            return;
        };
        let neighbourhood = Neighbourhood::of(&contact.addr);
        let (mut of_id, mut of_addr, mut near) = (0, 0, 0);
        for member in &self.members {
            let is_of_family = member.contact.family() == contact.family();
            of_id += usize::from(member.distance == distance && is_of_family);
            of_addr += usize::from(member.contact.addr == contact.addr);
            near += usize::from(neighbourhood.is_some() && member.neighbourhood == neighbourhood);
        }
        if at >= MEMBERS || of_id >= PAIRS || of_addr >= PAIRS || near >= NEIGHBOURS {
            return;
        }
        self.members.insert(
            at,
            Member {
                contact,
                distance,
                neighbourhood,
                state: State::New,
                token,
            },
        );
        if self.members.len() > MEMBERS {
            self.members.pop();
        }
    }

    /// Indexes of the members that count.
    fn counting(&self) -> impl Iterator<Item = usize> {
        let mut room = [self.wide; 2];
        self.members
            .iter()
            .enumerate()
            .filter(move |(_, member)| {
                if matches!(member.state, State::Stalled | State::Failed) {
                    return false;
                }
                let room = &mut room[member.contact.family() as usize];
                let counts = *room > 0;
                *room = room.saturating_sub(1);
                counts
            })
            .map(|(index, _)| index)
    }

    /// Who is to be asked now, with the token that it gave; they count as asked.
    pub fn take_next(&mut self) -> Vec<(Contact, Option<Token>)> {
        let (mut open, mut new) = (0, Vec::new());
        for index in self.counting() {
            match self.members[index].state {
                State::Asked => open += 1,
                State::New => new.push(index),
                _ => {}
            }
        }
        let places = self
            .in_flight
            .saturating_sub(open)
            .min(QUERIES.saturating_sub(self.queries));
        new.truncate(places);
        self.queries += new.len();
        new.into_iter()
            .map(|index| {
                let member = &mut self.members[index];
                member.state = State::Asked;
                (member.contact, member.token.clone())
            })
            .collect()
    }

    /// Where that member is, or would be.
    fn place(&self, contact: &Contact) -> Result<usize, usize> {
        let sought = (contact.id.distance(&self.target), contact.addr);
        self.members
            .binary_search_by_key(&sought, |it| (it.distance, it.contact.addr))
    }

    fn member(&mut self, contact: &Contact) -> Option<&mut Member> {
        let at = self.place(contact).ok()?;
        self.members.get_mut(at)
    }

    /// It answered, perhaps with a token.
    pub fn answered(&mut self, contact: &Contact, token: Option<Token>) {
        if let Some(member) = self.member(contact) {
            member.state = State::Answered;
            member.token = token;
        }
    }

    /// It is slower than others.
    pub fn stalled(&mut self, contact: &Contact) {
        if let Some(member) = self.member(contact)
            && member.state == State::Asked
        {
            member.state = State::Stalled;
        }
    }

    /// It did not answer, or wrongly.
    pub fn failed(&mut self, contact: &Contact) {
        if let Some(member) = self.member(contact)
            && member.state != State::Answered
        {
            member.state = State::Failed;
        }
    }

    /// Whether nothing more is to be waited for: all who count have answered.
    /// Only where nobody has, those that stalled are waited for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let mut nobody = true;
        for index in self.counting() {
            match self.members[index].state {
                State::Answered => nobody = false,
                State::Asked => return false,
                State::New if self.queries < QUERIES => return false,
                _ => {}
            }
        }
        let is_open = |member: &Member| member.state == State::Stalled;
        !(nobody && self.members.iter().any(is_open))
    }

    /// Those who answered, the closest first, with their tokens.
    pub fn those_who_answered(&self) -> impl Iterator<Item = (&Contact, Option<&Token>)> {
        self.members
            .iter()
            .filter(|member| member.state == State::Answered)
            .map(|member| (&member.contact, member.token.as_ref()))
    }

    /// Queries sent.
    #[must_use]
    pub const fn queries(&self) -> usize {
        self.queries
    }
}
