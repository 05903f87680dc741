//! Who reacted to a post, exactly; and how many, which timelines elsewhere are told in batches.

use super::{
    REACTION_KINDS_MAX, Refusal, Reply, posts, spread,
    subject::Subject,
    tables::{CountsDue, PostCounts, PostReactions},
    ties,
};
use crate::view_of;
use evenkeel_engine::{Context, Stop};
use evenkeel_state::{Read, StateError};

/// Has a reaction be there, or not.
pub(super) fn react(
    subject: &mut Subject<'_, '_, '_>,
    post: u64,
    (kind, reactor): (&str, &str),
    on: bool,
) -> Result<Reply, Stop<Refusal>> {
    let id = subject.row.id;
    posts::get(&*subject.ctx.tx, id, post)?;
    if on && ties::are_apart(&*subject.ctx.tx, id, reactor)? {
        return Err(Stop::Refused(Refusal::Blocked));
    }
    let key = (id, post, kind.to_owned(), reactor.to_owned());
    if subject.ctx.tx.contains::<PostReactions>(&key)? == on {
        return Ok(Reply::Set(false));
    }
    let mut counts = subject.ctx.tx.get::<PostCounts>(&(id, post))?.unwrap_or_default();
    let at = counts.kinds.binary_search_by(|(known, _)| known.as_str().cmp(kind));
    if on {
        match at {
            Ok(at) => counts.kinds[at].1 += 1,
            Err(_) if counts.kinds.len() >= REACTION_KINDS_MAX => {
                return Err(Stop::Refused(Refusal::TooManyReactions));
            }
            Err(at) => counts.kinds.insert(at, (kind.to_owned(), 1)),
        }
        subject.ctx.tx.put::<PostReactions>(&key, &());
    } else {
        let at = at.expect("a reaction that is there is counted");
        counts.kinds[at].1 -= 1;
        if counts.kinds[at].1 == 0 {
            counts.kinds.remove(at);
        }
        subject.ctx.tx.delete::<PostReactions>(&key);
    }
    spread::counted(subject.ctx, (id, post), &mut counts)?;
    subject.ctx.tx.put::<PostCounts>(&(id, post), &counts);
    let view = view_of(super::DOMAIN, subject.key.0, &subject.key.1);
    subject.ctx.touch(view);
    Ok(Reply::Set(true))
}

/// Nothing of a post's reactions is kept any more.
pub(super) fn forget(ctx: &mut Context<'_, '_>, post: (u64, u64)) -> Result<(), StateError> {
    if let Some(counts) = ctx.tx.get::<PostCounts>(&post)? {
        if let Some(due) = counts.due {
            ctx.tx.delete::<CountsDue>(&(due.0, post.0, post.1));
        }
        ctx.tx.delete::<PostCounts>(&post);
        ctx.tx.drop_prefix::<PostReactions>(&post);
    }
    Ok(())
}
