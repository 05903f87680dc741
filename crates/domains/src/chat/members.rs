//! Who is in a conversation, and as what.

use super::{
    MEMBERS_MAX, Refusal, Reply, Role, What,
    commands::MemberView,
    conversation::{Subject, Unfolded},
    inbox::Words,
    tables::{Member, Members},
};
use crate::Domains;
use evenkeel_engine::Stop;
use evenkeel_state::StateError;
use std::collections::BTreeMap;

type Decided = Result<Reply, Stop<Refusal>>;

/// Refuses `by` unless they are a member in a role that may do this. The back end may do everything.
pub(super) fn check(
    subject: &Subject<'_, '_, '_>,
    by: Option<&str>,
    needs: Role,
) -> Result<(), Stop<Refusal>> {
    match by {
        Some(user) => require(subject, user, needs).map(|_| ()),
        None => Ok(()),
    }
}

/// The row of `user`, who must be a member in a role that may do this.
pub(super) fn require(
    subject: &Subject<'_, '_, '_>,
    user: &str,
    needs: Role,
) -> Result<Member, Stop<Refusal>> {
    let member = subject.member(user)?;
    let member = member.ok_or(Stop::Refused(Refusal::NotAMember { user: user.to_owned() }))?;
    if member.role < needs {
        return Err(Stop::Refused(Refusal::RoleTooLow { needs }));
    }
    Ok(member)
}

/// Has `users` be members; those who are already keep what they are.
pub(super) fn add_missing(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    by: Option<&str>,
    users: &BTreeMap<String, Role>,
) -> Result<(), Stop<Refusal>> {
    let mut added = Vec::new();
    for (user, role) in users {
        if subject.member(user)?.is_none() {
            enter(subject, user, *role)?;
            added.push((user, *role));
        }
    }
    for (user, role) in &added {
        let what = What::MemberAdded { user: (*user).clone(), role: *role };
        subject.happen(by, what);
    }
    tell_new(subject, domains, added.iter().map(|(user, _)| user.as_str()))?;
    Ok(())
}

/// Gives a new member a row. What was said before they came is not unread to them.
pub(super) fn enter(
    subject: &mut Subject<'_, '_, '_>,
    user: &str,
    role: Role,
) -> Result<Member, Stop<Refusal>> {
    if subject.row.members >= MEMBERS_MAX {
        return Err(Stop::Refused(Refusal::TooManyMembers));
    }
    let member = Member {
        role,
        joined_at: subject.ctx.now(),
        marker: subject.row.next - 1,
        passed: subject.row.sent,
        folded: subject.row.deletions,
    };
    subject.put_member(user, &member);
    subject.row.members += 1;
    subject.changed = true;
    Ok(member)
}

/// Tells the inboxes of new members, and those of all if there are now too many to tell each time.
pub(super) fn tell_new<'u>(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    users: impl Iterator<Item = &'u str>,
) -> Result<(), StateError> {
    let (mut words, mut new) = (Words::default(), 0);
    let unfolded = Unfolded::of(&*subject.ctx.tx, &subject.row)?;
    for user in users {
        if let Some(member) = subject.member(user)? {
            let told = unfolded.told(&subject.row, user, &member);
            words.add(domains, &subject.key, user.to_owned(), Some((member.role, told)));
            new += 1;
        }
    }
    words.send(subject.ctx)?;
    let before = subject.row.members - new;
    if before <= super::COUNTED_MEMBERS_MAX && !subject.row.is_counted() {
        subject.tell_all()?;
    }
    Ok(())
}

/// Has `user` be a member in `role`.
pub(super) fn put(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    by: Option<&str>,
    (user, role): (&str, Role),
) -> Decided {
    check(subject, by, Role::Moderator)?;
    let Some(mut member) = subject.member(user)? else {
        let member = enter(subject, user, role)?;
        subject.happen(by, What::MemberAdded { user: user.to_owned(), role });
        tell_new(subject, domains, [user].into_iter())?;
        return Ok(Reply::Member(view(subject, user, &member)?, true));
    };
    if member.role != role {
        member.role = role;
        subject.put_member(user, &member);
        subject.happen(by, What::MemberChanged { user: user.to_owned(), role });
        tell(subject, domains, user, &member)?;
    }
    Ok(Reply::Member(view(subject, user, &member)?, false))
}

/// Has `user` be no member. Whoever is none is told the same.
pub(super) fn remove(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    by: Option<&str>,
    user: &str,
) -> Decided {
    if by != Some(user) {
        check(subject, by, Role::Moderator)?;
    }
    if subject.member(user)?.is_none() {
        return Ok(Reply::Removed);
    }
    let was_counted = subject.row.is_counted();
    subject.ctx.tx.delete::<Members>(&(subject.row.id, user.to_owned()));
    subject.row.members -= 1;
    subject.happen(by, What::MemberRemoved { user: user.to_owned() });
    let mut words = Words::default();
    words.add(domains, &subject.key, user.to_owned(), None);
    words.send(subject.ctx)?;
    if subject.row.is_counted() && !was_counted {
        subject.tell_all()?;
    }
    Ok(Reply::Removed)
}

/// Tells a member's inbox how the conversation stands for them.
pub(super) fn tell(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    user: &str,
    member: &Member,
) -> Result<(), StateError> {
    let told = Unfolded::of(&*subject.ctx.tx, &subject.row)?.told(&subject.row, user, member);
    let mut words = Words::default();
    words.add(domains, &subject.key, user.to_owned(), Some((member.role, told)));
    words.send(subject.ctx)
}

fn view(
    subject: &Subject<'_, '_, '_>,
    user: &str,
    member: &Member,
) -> Result<MemberView, StateError> {
    let unfolded = Unfolded::of(&*subject.ctx.tx, &subject.row)?;
    let unread = unfolded.unread(&subject.row, user, member);
    Ok(describe(user, member, unread))
}

/// A member as answered.
pub(super) fn describe(user: &str, member: &Member, unread: u64) -> MemberView {
    MemberView {
        user: user.to_owned(),
        role: member.role,
        joined_at: member.joined_at,
        read: member.marker,
        unread,
    }
}
