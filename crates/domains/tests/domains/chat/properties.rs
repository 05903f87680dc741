//! Whatever is done in whatever order: conversations are what the model says, and inboxes what
//! conversations say once all is quiet.

use super::{
    House,
    model::{Said, Talk},
    put, said,
};
use evenkeel_domains::chat::{Action, InboxView, Reaction, Refusal, Reply, Role};
use evenkeel_engine::Time;
use proptest::prelude::*;
use std::collections::BTreeMap;

const TALKS: [&str; 2] = ["a", "b"];
const USERS: [&str; 4] = ["ada", "bob", "eve", "dan"];
const HOUR_MS: u64 = 3_600_000;

#[derive(Debug, Clone)]
enum Step {
    Put { talk: usize, user: usize },
    PutMember { talk: usize, user: usize, role: Role },
    Remove { talk: usize, user: usize },
    Send { talk: usize, user: usize, client: u8, body: u8 },
    Edit { talk: usize, user: usize, nth: usize, body: u8 },
    Delete { talk: usize, user: usize, nth: usize },
    React { talk: usize, user: usize, nth: usize, kind: bool, add: bool },
    Read { talk: usize, user: usize, back: u64 },
    Pass { ms: u64 },
    Quiet,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let talk = || 0..TALKS.len();
    let user = || 0..USERS.len();
    let role = prop_oneof![Just(Role::Reader), Just(Role::Writer), Just(Role::Moderator)];
    let step = prop_oneof![
        2 => (talk(), user()).prop_map(|(talk, user)| Step::Put { talk, user }),
        2 => (talk(), user(), role)
            .prop_map(|(talk, user, role)| Step::PutMember { talk, user, role }),
        1 => (talk(), user()).prop_map(|(talk, user)| Step::Remove { talk, user }),
        8 => (talk(), user(), 0..12_u8, 0..3_u8)
            .prop_map(|(talk, user, client, body)| Step::Send { talk, user, client, body }),
        2 => (talk(), user(), 0..8_usize, 0..3_u8)
            .prop_map(|(talk, user, nth, body)| Step::Edit { talk, user, nth, body }),
        3 => (talk(), user(), 0..8_usize)
            .prop_map(|(talk, user, nth)| Step::Delete { talk, user, nth }),
        2 => (talk(), user(), 0..8_usize, any::<bool>(), any::<bool>())
            .prop_map(|(talk, user, nth, kind, add)| Step::React { talk, user, nth, kind, add }),
        4 => (talk(), user(), 0..12_u64)
            .prop_map(|(talk, user, back)| Step::Read { talk, user, back }),
        2 => prop_oneof![1..300_u64, Just(HOUR_MS / 13), Just(HOUR_MS)]
            .prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Quiet),
    ];
    prop::collection::vec(step, 1..60)
}

/// A house and what it should be.
struct Both {
    house: House,
    talks: BTreeMap<&'static str, Talk>,
    /// By conversation, sender and client id.
    sent: BTreeMap<(&'static str, &'static str, u8), (u64, u8)>,
}

impl Both {
    fn do_step(&mut self, step: &Step) {
        match *step {
            Step::Put { talk, user } => self.put(TALKS[talk], USERS[user]),
            Step::PutMember { talk, user, role } => self.put_member(TALKS[talk], USERS[user], role),
            Step::Remove { talk, user } => self.remove(TALKS[talk], USERS[user]),
            Step::Send { talk, user, client, body } => {
                self.send(TALKS[talk], USERS[user], client, body);
            }
            Step::Edit { talk, user, nth, body } => self.edit(TALKS[talk], USERS[user], nth, body),
            Step::Delete { talk, user, nth } => self.delete(TALKS[talk], USERS[user], nth),
            Step::React { talk, user, nth, kind, add } => {
                self.react(TALKS[talk], USERS[user], nth, if kind { "x" } else { "y" }, add);
            }
            Step::Read { talk, user, back } => self.read(TALKS[talk], USERS[user], back),
            Step::Pass { ms } => {
                self.house.driver.pass(ms);
                self.house.carry();
            }
            Step::Quiet => self.quiet(),
        }
    }

    fn put(&mut self, talk: &'static str, user: &str) {
        let now = self.house.driver.now;
        let mut action = put(&[user]);
        if let Action::Put { retention_ms, .. } = &mut action {
            *retention_ms = Some(HOUR_MS);
        }
        self.house.ask(talk, action).unwrap();
        let is_new = !self.talks.contains_key(talk);
        let known = self.talks.entry(talk).or_default();
        if is_new {
            known.enter(user, Role::Writer, now);
            known.happen("created");
        } else if !known.members.contains_key(user) {
            known.enter(user, Role::Writer, now);
            known.happen("added");
        }
    }

    fn put_member(&mut self, talk: &'static str, user: &str, role: Role) {
        let now = self.house.driver.now;
        let action = Action::PutMember { user: user.to_owned(), role };
        let answer = self.house.ask(talk, action);
        let Some(known) = self.talks.get_mut(talk) else {
            assert_eq!(answer, Err(Refusal::NoConversation));
            return;
        };
        answer.unwrap();
        match known.members.get_mut(user) {
            None => {
                known.enter(user, role, now);
                known.happen("added");
            }
            Some(member) if member.role != role => {
                member.role = role;
                known.happen("changed");
            }
            Some(_) => {}
        }
    }

    fn remove(&mut self, talk: &'static str, user: &str) {
        let answer = self.house.ask(talk, Action::RemoveMember { user: user.to_owned() });
        let Some(known) = self.talks.get_mut(talk) else { return };
        assert_eq!(answer, Ok(Reply::Removed));
        if known.members.remove(user).is_some() {
            known.happen("removed");
        }
    }

    fn send(&mut self, talk: &'static str, user: &'static str, client: u8, body: u8) {
        let text = format!("\"{body}\"");
        let action = said(user, &client.to_string(), &text);
        let answer = self.house.ask_by(talk, Some(user), action);
        let Some(known) = self.talks.get_mut(talk) else { return };
        let Some(member) = known.members.get(user) else {
            assert_eq!(answer, Err(Refusal::NotAMember { user: user.to_owned() }));
            return;
        };
        if member.role < Role::Writer {
            assert_eq!(answer, Err(Refusal::RoleTooLow { needs: Role::Writer }));
            return;
        }
        if let Some((seq, said)) = self.sent.get(&(talk, user, client)) {
            match answer {
                Ok(Reply::Sent(sent)) if sent.duplicate => {
                    assert_eq!((sent.seq, body), (*seq, *said), "the same message");
                    return;
                }
                Err(refusal) if *said != body => {
                    assert_eq!(refusal, Refusal::ClientIdTaken { seq: *seq });
                    return;
                }
                // Long after its message went, a client id is forgotten.
                Ok(Reply::Sent(_)) => {
                    let oldest = self.house.all_events(talk, 100);
                    assert!(oldest.is_empty() || super::seq(&oldest[0]) > *seq, "not before");
                }
                other => panic!("{other:?}"),
            }
        }
        let seq = known.happen("message");
        self.sent.insert((talk, user, client), (seq, body));
        known.last_message_at = self.house.driver.now;
        known.said.push(Said {
            seq,
            sender: user.to_owned(),
            body: text,
            deleted: false,
            reactions: Default::default(),
        });
    }

    /// The `nth` newest message, if it is kept.
    fn nth(&self, talk: &str, nth: usize) -> Option<u64> {
        let said = &self.talks.get(talk)?.said;
        let seq = said.iter().rev().nth(nth)?.seq;
        let events = self.house.all_events(talk, 100);
        (super::seq(events.first()?) <= seq).then_some(seq)
    }

    fn may(&self, talk: &str, user: &str) -> bool {
        let member = self.talks[talk].members.get(user);
        member.is_some_and(|member| member.role >= Role::Writer)
    }

    fn edit(&mut self, talk: &'static str, user: &str, nth: usize, body: u8) {
        let Some(seq) = self.nth(talk, nth) else { return };
        let body = format!("\"{body}\"");
        let action = Action::Edit { seq, body: body.clone() };
        let answer = self.house.ask_by(talk, Some(user), action);
        let may = self.may(talk, user);
        let known = self.talks.get_mut(talk).unwrap();
        let message = known.message(seq).unwrap();
        if !may || message.deleted || message.sender != user {
            answer.unwrap_err();
        } else if message.body == body {
            assert_eq!(answer, Ok(Reply::Changed { message: seq, seq: None }));
        } else {
            message.body = body;
            let edit = known.happen("edited");
            assert_eq!(answer, Ok(Reply::Changed { message: seq, seq: Some(edit) }));
        }
    }

    fn delete(&mut self, talk: &'static str, user: &str, nth: usize) {
        let Some(seq) = self.nth(talk, nth) else { return };
        let answer = self.house.ask_by(talk, Some(user), Action::Delete { seq });
        let role = self.talks[talk].members.get(user).map(|member| member.role);
        let known = self.talks.get_mut(talk).unwrap();
        let message = known.message(seq).unwrap();
        let own = message.sender == user && role >= Some(Role::Writer);
        if !own && role != Some(Role::Moderator) {
            answer.unwrap_err();
        } else if !std::mem::replace(&mut message.deleted, true) {
            let gone = known.happen("deleted");
            assert_eq!(answer, Ok(Reply::Changed { message: seq, seq: Some(gone) }));
        } else {
            assert_eq!(answer, Ok(Reply::Changed { message: seq, seq: None }));
        }
    }

    fn react(&mut self, talk: &'static str, user: &str, nth: usize, kind: &str, add: bool) {
        let Some(seq) = self.nth(talk, nth) else { return };
        let reaction = Reaction { seq, kind: kind.to_owned(), by: user.to_owned() };
        let action = if add { Action::React(reaction) } else { Action::Unreact(reaction) };
        let answer = self.house.ask_by(talk, Some(user), action);
        let may = self.may(talk, user);
        let known = self.talks.get_mut(talk).unwrap();
        let message = known.message(seq).unwrap();
        if !may || message.deleted {
            answer.unwrap_err();
            return;
        }
        let pair = (kind.to_owned(), user.to_owned());
        let changed = match add {
            true => message.reactions.insert(pair),
            false => message.reactions.remove(&pair),
        };
        let event = changed.then(|| known.happen(if add { "reacted" } else { "unreacted" }));
        assert_eq!(answer, Ok(Reply::Changed { message: seq, seq: event }));
    }

    fn read(&mut self, talk: &'static str, user: &str, back: u64) {
        let Some(known) = self.talks.get_mut(talk) else { return };
        let last = known.said.last().map_or(0, |said| said.seq);
        let asked = (known.events.len() as u64).saturating_sub(back);
        let seq = asked.min(last);
        // What is gone is read by whoever reads on.
        let gone = self.house.all_events(talk, 100).first().map(|first| super::seq(first) - 1);
        let gone = gone.unwrap_or(known.events.len() as u64);
        let action = Action::Read { user: user.to_owned(), seq: asked };
        let answer = self.house.ask_by(talk, Some(user), action);
        let Some(member) = known.members.get_mut(user) else {
            answer.unwrap_err();
            return;
        };
        if seq > member.marker {
            member.marker = seq.max(gone);
            known.happen("read");
        }
        let (seq, unread) = (known.members[user].marker, known.unread(user));
        assert_eq!(answer, Ok(Reply::Read { seq, unread }), "it never goes back");
    }

    /// Once all is told, inboxes are what conversations are.
    fn quiet(&mut self) {
        self.house.quiet();
        for user in USERS {
            let mut expected: Vec<(Time, &str, u64, u64)> = Vec::new();
            for (name, talk) in &self.talks {
                if let Some(member) = talk.members.get(user) {
                    let active = talk.last_message_at.max(member.joined_at);
                    expected.push((active, *name, talk.unread(user), member.marker));
                }
            }
            expected.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
            let inbox = self.house.inbox(user);
            let told = inbox.iter().map(|InboxView { conversation, told, .. }| {
                (told.active_at, conversation.as_str(), told.unread, told.read)
            });
            assert_eq!(told.collect::<Vec<_>>(), expected, "the inbox of {user}");
        }
    }

    fn check(&self) {
        for (name, talk) in &self.talks {
            talk.check(name, &self.house);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn conversations_are_what_the_model_says(steps in steps()) {
        let mut both =
            Both { house: House::new(), talks: BTreeMap::new(), sent: BTreeMap::new() };
        for step in &steps {
            both.do_step(step);
            both.check();
        }
        both.quiet();
        both.check();
    }
}
