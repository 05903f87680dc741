//! What is said, and what becomes of it.

use super::{
    EDITS_MAX, Message, Outgoing, REACTION_KINDS_MAX, Reaction, Refusal, Reply, Role, What,
    commands::SentView,
    conversation::{Subject, Unfolded},
    members::{check, require},
    tables::{
        Amendment, Amendments, ClientId, ClientIds, Deletion, Deletions, Happenings, Messages,
        Place, ReactionKey, Reactions,
    },
};
use crate::{
    Domains,
    hash::{fingerprint_of, hash_of},
};
use evenkeel_engine::Stop;
use evenkeel_state::{Order, Read, StateError};

type Decided = Result<Reply, Stop<Refusal>>;

/// Says something, unless the sender has said it before.
pub(super) fn send(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    by: Option<&str>,
    outgoing: &Outgoing,
) -> Decided {
    let Outgoing { client_id, sender, body, reply_to } = outgoing;
    if by.is_some_and(|by| by != sender) {
        return Err(Stop::Refused(Refusal::NotYours));
    }
    let mut member = require(subject, sender, Role::Writer)?;
    let (hash, fingerprint) = (hash_of(&[sender, client_id]), fingerprint(outgoing));
    let known = remembered(subject, hash)?;
    if let Some(known) = known.filter(|_| !domains.switches.no_client_id_dedup) {
        if known.fingerprint != fingerprint {
            return Err(Stop::Refused(Refusal::ClientIdTaken { seq: known.seq }));
        }
        let ClientId { seq, at, .. } = known;
        return Ok(Reply::Sent(SentView { seq, at, duplicate: true }));
    }
    if let Some(seq) = reply_to {
        subject.message(*seq)?;
    }
    let at = subject.ctx.now();
    let seq = subject.say(&Message {
        at,
        sender: sender.clone(),
        client_id: client_id.clone(),
        reply_to: *reply_to,
        body: body.clone(),
        deletion: 0,
    });
    let key = (subject.row.id, subject.row.generation, hash);
    subject.ctx.tx.put::<ClientIds>(&key, &ClientId { seq, at, fingerprint });
    member.passed += 1;
    subject.put_member(sender, &member);
    if subject.row.is_counted() {
        subject.tell_all()?;
    }
    Ok(Reply::Sent(SentView { seq, at, duplicate: false }))
}

/// What was sent under the client id of this hash. Ids live in two generations, each as long as a
/// message may be kept: so one is known at least as long as its message, and is looked up twice at most.
fn remembered(
    subject: &mut Subject<'_, '_, '_>,
    hash: [u8; 16],
) -> Result<Option<ClientId>, StateError> {
    let now = subject.ctx.now();
    let row = &mut subject.row;
    if now >= row.generation_since.plus_ms(row.kept_ms()) {
        // What is older goes with the timer, which finds it by its generation.
        row.generation += 1;
        row.generation_since = now;
    }
    let current = (row.id, row.generation, hash);
    let previous = row.generation.checked_sub(1).map(|before| (row.id, before, hash));
    for key in [Some(current), previous].into_iter().flatten() {
        if let Some(known) = subject.ctx.tx.get::<ClientIds>(&key)? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// What tells one message from another under the same client id.
fn fingerprint(outgoing: &Outgoing) -> u64 {
    let reply_to = outgoing.reply_to.map(|seq| seq.to_string()).unwrap_or_default();
    fingerprint_of(&[&outgoing.body, &reply_to])
}

/// Has a message say something else.
pub(super) fn edit(
    subject: &mut Subject<'_, '_, '_>,
    by: Option<&str>,
    seq: u64,
    body: &str,
) -> Decided {
    check(subject, by, Role::Writer)?;
    let (key, message) = subject.message(seq)?;
    if message.is_deleted() {
        return Err(Stop::Refused(Refusal::MessageDeleted));
    }
    if by.is_some_and(|by| by != message.sender) {
        return Err(Stop::Refused(Refusal::NotYours));
    }
    let mut amendment = subject.ctx.tx.get::<Amendments>(&key)?.unwrap_or_default();
    if current_body(&*subject.ctx.tx, subject, &message, &amendment)? == body {
        return Ok(Reply::Changed { message: seq, seq: None });
    }
    if amendment.edits.len() >= EDITS_MAX {
        return Err(Stop::Refused(Refusal::TooManyEdits));
    }
    let edit = subject.happen(by, What::Edited { message: seq, body: body.to_owned() });
    amendment.edits.push(edit);
    amendment.edited_at = Some(subject.ctx.now());
    subject.ctx.tx.put::<Amendments>(&key, &amendment);
    Ok(Reply::Changed { message: seq, seq: Some(edit) })
}

/// What a message says now.
fn current_body(
    read: &impl Read,
    subject: &Subject<'_, '_, '_>,
    message: &Message,
    amendment: &Amendment,
) -> Result<String, StateError> {
    if let Some(last) = amendment.edits.last()
        && let Some(segment) = subject.row.segment_of(*last)
        && let Some(edit) = read.get::<Happenings>(&(subject.row.id, segment, *last))?
        && let What::Edited { body, .. } = edit.what
    {
        return Ok(body);
    }
    Ok(message.body.clone())
}

/// Takes a message back: what it said, and ever said, is kept nowhere.
pub(super) fn delete(subject: &mut Subject<'_, '_, '_>, by: Option<&str>, seq: u64) -> Decided {
    check(subject, by, Role::Writer)?;
    let (key, mut message) = subject.message(seq)?;
    if by.is_some_and(|by| by != message.sender) {
        check(subject, by, Role::Moderator)?;
    }
    if message.is_deleted() {
        return Ok(Reply::Changed { message: seq, seq: None });
    }
    let mut amendment = subject.ctx.tx.get::<Amendments>(&key)?.unwrap_or_default();
    for edit in &amendment.edits {
        let segment = subject.row.segment_of(*edit);
        let segment = segment.expect("an edit is kept as long as what it edits, which is older");
        let key = (subject.row.id, segment, *edit);
        if let Some(mut happening) = subject.ctx.tx.get::<Happenings>(&key)? {
            happening.what = What::Edited { message: seq, body: String::new() };
            subject.ctx.tx.put::<Happenings>(&key, &happening);
        }
    }
    subject.row.deletions += 1;
    message.deletion = subject.row.deletions;
    message.body.clear();
    subject.ctx.tx.put::<Messages>(&key, &message);
    let deletion = Deletion { message: seq, sender: message.sender };
    subject.ctx.tx.put::<Deletions>(&(subject.row.id, subject.row.deletions), &deletion);
    amendment.deleted_at = Some(subject.ctx.now());
    subject.ctx.tx.put::<Amendments>(&key, &amendment);
    let gone = subject.happen(by, What::Deleted { message: seq });
    if subject.row.is_counted() {
        subject.tell_all()?;
    }
    subject.fold_some()?;
    Ok(Reply::Changed { message: seq, seq: Some(gone) })
}

/// Has somebody's reaction be there.
pub(super) fn react(
    subject: &mut Subject<'_, '_, '_>,
    by: Option<&str>,
    reaction: &Reaction,
) -> Decided {
    let (key, row) = reacted(subject, by, reaction)?;
    let Reaction { seq, kind, by: user } = reaction;
    if subject.ctx.tx.contains::<Reactions>(&row)? {
        return Ok(Reply::Changed { message: *seq, seq: None });
    }
    let mut amendment = subject.ctx.tx.get::<Amendments>(&key)?.unwrap_or_default();
    match amendment.reactions.binary_search_by(|(has, _)| has.as_str().cmp(kind)) {
        Ok(at) => amendment.reactions[at].1 += 1,
        Err(_) if amendment.reactions.len() >= REACTION_KINDS_MAX => {
            return Err(Stop::Refused(Refusal::TooManyReactions));
        }
        Err(at) => amendment.reactions.insert(at, (kind.clone(), 1)),
    }
    subject.ctx.tx.put::<Amendments>(&key, &amendment);
    subject.ctx.tx.put::<Reactions>(&row, &());
    let what = What::Reacted { message: *seq, kind: kind.clone(), user: user.clone() };
    Ok(Reply::Changed { message: *seq, seq: Some(subject.happen(by, what)) })
}

/// Has somebody's reaction not be there.
pub(super) fn unreact(
    subject: &mut Subject<'_, '_, '_>,
    by: Option<&str>,
    reaction: &Reaction,
) -> Decided {
    let (key, row) = reacted(subject, by, reaction)?;
    let Reaction { seq, kind, by: user } = reaction;
    if !subject.ctx.tx.contains::<Reactions>(&row)? {
        return Ok(Reply::Changed { message: *seq, seq: None });
    }
    let mut amendment = subject.ctx.tx.get::<Amendments>(&key)?.unwrap_or_default();
    if let Ok(at) = amendment.reactions.binary_search_by(|(has, _)| has.as_str().cmp(kind)) {
        amendment.reactions[at].1 -= 1;
        if amendment.reactions[at].1 == 0 {
            amendment.reactions.remove(at);
        }
    }
    subject.ctx.tx.put::<Amendments>(&key, &amendment);
    subject.ctx.tx.delete::<Reactions>(&row);
    let what = What::Unreacted { message: *seq, kind: kind.clone(), user: user.clone() };
    Ok(Reply::Changed { message: *seq, seq: Some(subject.happen(by, what)) })
}

/// The keys of the message that somebody who may reacts to, and of their reaction.
fn reacted(
    subject: &Subject<'_, '_, '_>,
    by: Option<&str>,
    reaction: &Reaction,
) -> Result<(Place, ReactionKey), Stop<Refusal>> {
    if by.is_some_and(|by| by != reaction.by) {
        return Err(Stop::Refused(Refusal::NotYours));
    }
    require(subject, &reaction.by, Role::Writer)?;
    let (key, message) = subject.message(reaction.seq)?;
    if message.is_deleted() {
        return Err(Stop::Refused(Refusal::MessageDeleted));
    }
    Ok((key, (key.0, key.1, key.2, reaction.kind.clone(), reaction.by.clone())))
}

/// Moves a member's marker forwards. Whoever comes with less has read more already.
pub(super) fn read(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    by: Option<&str>,
    (user, seq): (&str, u64),
) -> Decided {
    if by.is_some_and(|by| by != user) {
        return Err(Stop::Refused(Refusal::NotYours));
    }
    let mut member = require(subject, user, Role::Reader)?;
    // What comes after the last message is never unread: a marker does not follow its own events.
    let seq = seq.min(subject.row.last_message);
    if seq > member.marker {
        // Whoever reads on does not stop in what is gone.
        let seq = seq.max(subject.row.first() - 1);
        member.passed = passed(subject, user, &member, seq)?;
        member.marker = seq;
        subject.put_member(user, &member);
        subject.happen(by, What::Read { user: user.to_owned(), message: seq });
        if subject.row.is_counted() {
            super::members::tell(subject, domains, user, &member)?;
        }
    }
    let unfolded = Unfolded::of(&*subject.ctx.tx, &subject.row)?;
    let unread = unfolded.unread(&subject.row, user, &member);
    Ok(Reply::Read { seq: member.marker, unread })
}

/// What a member's `passed` is once their marker is at `to`, beyond where it is: counted over what
/// lies between, or over what is left after it, whichever is less.
fn passed(
    subject: &Subject<'_, '_, '_>,
    user: &str,
    member: &super::tables::Member,
    to: u64,
) -> Result<u64, Stop<Refusal>> {
    let row = &subject.row;
    if to >= row.last_message {
        return Ok(row.sent);
    }
    // What retention let go before the marker passed it cannot be counted from there.
    let is_whole = member.marker + 1 >= row.first();
    let is_near = is_whole && to - member.marker <= row.next - to;
    let (from, through) = if is_near { (member.marker + 1, to) } else { (to + 1, row.next - 1) };
    let counted = match (row.segment_of(from), row.segment_of(through)) {
        (Some(first), Some(last)) => {
            let range = ((row.id, first, from), (row.id, last, through));
            count_unread(subject, user, member.folded, range)?
        }
        _ => 0,
    };
    Ok(if is_near { member.passed + counted } else { row.sent - counted })
}

/// Messages of a range that count as unread to `user`, whose count has taken in deletions up to `folded`.
fn count_unread(
    subject: &Subject<'_, '_, '_>,
    user: &str,
    folded: u64,
    (mut from, through): (Place, Place),
) -> Result<u64, Stop<Refusal>> {
    /// Rows that are read at once: they may be large.
    const CHUNK: usize = 64;
    let folded = folded.max(subject.row.folded);
    let (mut counted, mut seen) = (0, 0);
    while from <= through {
        let rows = subject.ctx.tx.scan::<Messages>(from..=through, Order::Ascending, CHUNK)?;
        for (_, message) in &rows {
            let is_folded = message.is_deleted() && message.deletion <= folded;
            counted += u64::from(message.sender != user && !is_folded);
        }
        seen += rows.len();
        if seen > super::READ_STEP_MAX {
            return Err(Stop::Refused(Refusal::ReadTooFar));
        }
        match rows.last() {
            Some((last, _)) if rows.len() == CHUNK => from = (last.0, last.1, last.2 + 1),
            _ => break,
        }
    }
    Ok(counted)
}
