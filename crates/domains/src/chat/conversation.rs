//! A conversation while a command changes it: the one place where its sequence grows, where segments
//! begin and go, and where what is unread is counted.

use super::{
    Message, Refusal, Told, What,
    tables::{
        Amendments, ClientIds, Conversation, ConversationName, ConversationNames, Conversations,
        Deletion, Deletions, Happening, Happenings, Member, Members, Messages, Place, Reactions,
        Round, Segment,
    },
};
use crate::view_of;
use evenkeel_engine::{Context, Entity, Stop, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};

/// Segments that the retention's span is made of: history goes in such pieces, and lasts longer by
/// up to one of them.
const SEGMENTS: u64 = 12;
/// Segments that go in one step.
const DROPPED_MAX: usize = 16;

/// A conversation, to be changed; [`Subject::save`] writes it back.
pub(super) struct Subject<'s, 'c, 't> {
    pub(super) ctx: &'s mut Context<'c, 't>,
    pub(super) key: (TenantId, String),
    pub(super) row: Conversation,
    /// Whether there is anything to write back: a repeat changes nothing and costs no append.
    pub(super) changed: bool,
}

/// A new conversation's row.
pub(super) fn begin(id: u64, now: Time, retention_ms: u64) -> Conversation {
    Conversation {
        id,
        created_at: now,
        retention_ms,
        next: 1,
        segments: Vec::new(),
        timer: None,
        last_at: now,
        sent: 0,
        last_message: 0,
        last_message_at: Time(0),
        members: 0,
        deletions: 0,
        folded: 0,
        forgotten: 0,
        fold: None,
        generation: 0,
        generation_since: now,
        round: Round::default(),
    }
}

impl Conversation {
    /// What the engine knows it by.
    pub(super) fn entity(&self) -> Entity {
        Entity { domain: super::DOMAIN, id: self.id }
    }

    /// The first sequence that is kept; the next one if nothing is.
    pub(super) fn first(&self) -> u64 {
        self.segments.first().map_or(self.next, |segment| segment.first)
    }

    /// The segment that `seq` is in, if that is kept.
    pub(super) fn segment_of(&self, seq: u64) -> Option<u32> {
        if seq >= self.next {
            return None;
        }
        let after = self.segments.partition_point(|segment| segment.first <= seq);
        after.checked_sub(1).map(|at| self.segments[at].number)
    }

    /// Whether each member's inbox is told what is unread.
    pub(super) fn is_counted(&self) -> bool {
        self.members <= super::COUNTED_MEMBERS_MAX
    }

    /// How long a message may be kept, with what its segment has of later ones.
    pub(super) fn kept_ms(&self) -> u64 {
        self.retention_ms + self.span_ms()
    }

    /// How long one segment takes in what happens.
    fn span_ms(&self) -> u64 {
        self.retention_ms / SEGMENTS
    }

    /// When the oldest segment may go: when all that is in it is old enough.
    fn due(&self) -> Option<Time> {
        let end = match self.segments.as_slice() {
            [] => return None,
            [_] => self.last_at,
            [_, next, ..] => next.at,
        };
        Some(end.plus_ms(self.retention_ms))
    }
}

impl<'s, 'c, 't> Subject<'s, 'c, 't> {
    /// The conversation of this name.
    pub(super) fn find(
        ctx: &'s mut Context<'c, 't>,
        key: (TenantId, String),
    ) -> Result<Option<Self>, StateError> {
        let row = ctx.tx.get::<Conversations>(&key)?;
        Ok(row.map(|row| Self { ctx, key, row, changed: false }))
    }

    /// The conversation of this number.
    pub(super) fn of_id(ctx: &'s mut Context<'c, 't>, id: u64) -> Result<Option<Self>, StateError> {
        match ctx.tx.get::<ConversationNames>(&id)? {
            Some(ConversationName { tenant, name }) => Self::find(ctx, (tenant, name)),
            None => Ok(None),
        }
    }
}

impl Subject<'_, '_, '_> {
    pub(super) fn save(self) {
        if self.changed {
            self.ctx.touch(view_of(super::DOMAIN, self.key.0, &self.key.1));
            self.ctx.tx.put::<Conversations>(&self.key, &self.row);
        }
    }

    /// Takes the next sequence, in a segment that is young enough.
    fn take_seq(&mut self) -> Place {
        let now = self.ctx.now();
        let seq = self.row.next;
        let newest = self.row.segments.last().copied();
        let segment = match newest {
            Some(newest) if now < newest.at.plus_ms(self.row.span_ms()) => newest,
            _ => {
                let number = newest.map_or(0, |newest| newest.number + 1);
                let segment = Segment { number, first: seq, at: now };
                self.row.segments.push(segment);
                segment
            }
        };
        self.row.next += 1;
        self.row.last_at = now;
        self.changed = true;
        self.ctx.touch(self.row.entity());
        if self.row.timer.is_none() {
            self.aim();
        }
        (self.row.id, segment.number, seq)
    }

    /// Sets the timer for the oldest segment, whatever it was set for.
    pub(super) fn aim(&mut self) {
        if let Some(set) = self.row.timer {
            self.ctx.clear_timer(set, super::DOMAIN, self.row.id);
        }
        self.row.timer = self.row.due();
        if let Some(due) = self.row.timer {
            self.ctx.set_timer(due, super::DOMAIN, self.row.id);
        }
    }

    /// Appends what happened; answers its sequence.
    pub(super) fn happen(&mut self, by: Option<&str>, what: What) -> u64 {
        let key = self.take_seq();
        let by = by.map(str::to_owned);
        self.ctx.tx.put::<Happenings>(&key, &Happening { at: self.ctx.now(), by, what });
        key.2
    }

    /// Appends a message; answers its sequence.
    pub(super) fn say(&mut self, message: &Message) -> u64 {
        let key = self.take_seq();
        self.ctx.tx.put::<Messages>(&key, message);
        self.row.sent += 1;
        self.row.last_message = key.2;
        self.row.last_message_at = message.at;
        key.2
    }

    /// The message of this sequence, and its key.
    pub(super) fn message(&self, seq: u64) -> Result<(Place, Message), Stop<Refusal>> {
        let none = Stop::Refused(Refusal::NoMessage);
        let Some(segment) = self.row.segment_of(seq) else { return Err(none) };
        let key = (self.row.id, segment, seq);
        match self.ctx.tx.get::<Messages>(&key)? {
            Some(message) => Ok((key, message)),
            None => Err(none),
        }
    }

    /// A member's row.
    pub(super) fn member(&self, user: &str) -> Result<Option<Member>, StateError> {
        self.ctx.tx.get::<Members>(&(self.row.id, user.to_owned()))
    }

    pub(super) fn put_member(&mut self, user: &str, member: &Member) {
        self.ctx.tx.put::<Members>(&(self.row.id, user.to_owned()), member);
    }

    /// Its timer is due: lets segments go that are old enough.
    pub(super) fn settle(&mut self) {
        let now = self.ctx.now();
        for _ in 0..DROPPED_MAX {
            if self.row.due().is_none_or(|due| due > now) {
                break;
            }
            let segment = self.row.segments.remove(0);
            let prefix = (self.row.id, segment.number);
            self.ctx.tx.drop_prefix::<Messages>(&prefix);
            self.ctx.tx.drop_prefix::<Happenings>(&prefix);
            self.ctx.tx.drop_prefix::<Amendments>(&prefix);
            self.ctx.tx.drop_prefix::<Reactions>(&prefix);
        }
        if self.row.segments.is_empty() {
            self.ctx.tx.drop_prefix::<ClientIds>(&(self.row.id,));
        } else if let Some(old) = self.row.generation.checked_sub(2) {
            self.ctx.tx.drop_prefix::<ClientIds>(&(self.row.id, old));
        }
        self.changed = true;
        self.row.timer = None;
        self.aim();
    }
}

/// Deletions that not all members' counts have taken in.
pub(super) struct Unfolded(Vec<(u64, Deletion)>);

impl Unfolded {
    pub(super) fn of(read: &impl Read, row: &Conversation) -> Result<Self, StateError> {
        if row.folded == row.deletions {
            return Ok(Self(Vec::new()));
        }
        let rows = (row.id, row.folded + 1)..=(row.id, row.deletions);
        let rows = read.scan::<Deletions>(rows, Order::Ascending, usize::MAX)?;
        Ok(Self(rows.into_iter().map(|((_, number), gone)| (number, gone)).collect()))
    }

    /// Those up to `through` that a member's count does not take in yet.
    pub(super) fn for_member(&self, user: &str, member: &Member, through: u64) -> u64 {
        let counts = self.0.iter().filter(|(number, gone)| {
            let is_new = *number > member.folded && *number <= through;
            is_new && gone.message > member.marker && gone.sender != user
        });
        counts.count() as u64
    }

    /// Messages that `user` has not read, did not send and nobody deleted.
    pub(super) fn unread(&self, row: &Conversation, user: &str, member: &Member) -> u64 {
        let deleted = self.for_member(user, member, row.deletions);
        row.sent.saturating_sub(member.passed).saturating_sub(deleted)
    }

    /// How a conversation stands for one of its members.
    pub(super) fn summary(&self, row: &Conversation, user: &str, member: &Member) -> Told {
        Told {
            unread: self.unread(row, user, member),
            read: member.marker,
            last: row.next - 1,
            active_at: row.last_message_at.max(member.joined_at),
        }
    }

    /// What a member's inbox is told; none if there are too many members to tell them.
    pub(super) fn told(&self, row: &Conversation, user: &str, member: &Member) -> Option<Told> {
        row.is_counted().then(|| self.summary(row, user, member))
    }
}
