//! What is posted, and taken back.

use super::{
    POSTS_MAX, Refusal, Reply,
    commands::PostedView,
    copies, reactions, spread,
    subject::Subject,
    tables::{Arrival, Post, PostId, PostIds, Posts},
};
use crate::hash::{fingerprint_of, hash_of};
use evenkeel_engine::{Stop, Time};
use evenkeel_state::{Order, Read, StateError};

type Decided = Result<Reply, Stop<Refusal>>;

/// When the post of this number was decided.
#[must_use]
pub fn at(post: u64) -> Time {
    Time(post / 1_000)
}

/// Posts something, unless the user has posted it before.
pub(super) fn post(subject: &mut Subject<'_, '_, '_>, client_id: &str, body: &str) -> Decided {
    let key = (subject.row.id, hash_of(&[client_id]));
    let fingerprint = fingerprint_of(&[body]);
    if let Some(known) = subject.ctx.tx.get::<PostIds>(&key)? {
        let post = known.post;
        if known.fingerprint != fingerprint {
            return Err(Stop::Refused(Refusal::ClientIdTaken { post }));
        }
        return Ok(Reply::Posted(PostedView { post, at: at(post), duplicate: true }));
    }
    let post = (subject.row.newest + 1).max(subject.ctx.now().0 * 1_000);
    let row = Post { client_id: client_id.into(), body: body.into(), is_deleted: false };
    subject.ctx.tx.put::<Posts>(&(subject.row.id, post), &row);
    subject.ctx.tx.put::<PostIds>(&key, &PostId { post, fingerprint });
    if subject.row.kept == 0 {
        subject.row.oldest = post;
    }
    subject.row.newest = post;
    subject.row.kept += 1;
    subject.row.posts += 1;
    subject.changed = true;
    if subject.row.kept > POSTS_MAX {
        drop_oldest(subject)?;
    }
    tell(subject, post, false)?;
    Ok(Reply::Posted(PostedView { post, at: at(post), duplicate: false }))
}

/// Takes a post back.
pub(super) fn delete(subject: &mut Subject<'_, '_, '_>, post: u64) -> Decided {
    let key = (subject.row.id, post);
    let row = subject.ctx.tx.get::<Posts>(&key)?;
    let mut row = row.ok_or(Stop::Refused(Refusal::NoPost))?;
    if row.is_deleted {
        return Ok(Reply::Deleted(false));
    }
    row.body.clear();
    row.is_deleted = true;
    subject.ctx.tx.put::<Posts>(&key, &row);
    reactions::forget(subject.ctx, key)?;
    subject.row.posts -= 1;
    subject.changed = true;
    tell(subject, post, true)?;
    Ok(Reply::Deleted(true))
}

/// The post of this number, if it is there.
pub(super) fn get(read: &impl Read, user: u64, post: u64) -> Result<Post, Stop<Refusal>> {
    let row = read.get::<Posts>(&(user, post))?.filter(|row| !row.is_deleted);
    row.ok_or(Stop::Refused(Refusal::NoPost))
}

/// Has the author's own timeline and those of all followers know how a post stands.
fn tell(subject: &mut Subject<'_, '_, '_>, post: u64, is_gone: bool) -> Result<(), StateError> {
    let (tenant, author) = subject.key.clone();
    copies::arrive(subject.ctx, &Arrival { tenant, author, post, is_gone, is_own: true })?;
    spread::begin(subject, post)
}

/// One post more is kept than may be.
fn drop_oldest(subject: &mut Subject<'_, '_, '_>) -> Result<(), StateError> {
    let id = subject.row.id;
    let from = (id, subject.row.oldest)..(id + 1, 0);
    let rows = subject.ctx.tx.scan::<Posts>(from, Order::Ascending, 2)?;
    let [(key, oldest), ((_, next), _)] = rows.as_slice() else { return Ok(()) };
    subject.ctx.tx.delete::<Posts>(key);
    subject.ctx.tx.delete::<PostIds>(&(id, hash_of(&[&oldest.client_id])));
    reactions::forget(subject.ctx, *key)?;
    subject.row.oldest = *next;
    subject.row.kept -= 1;
    subject.row.posts -= u64::from(!oldest.is_deleted);
    Ok(())
}
