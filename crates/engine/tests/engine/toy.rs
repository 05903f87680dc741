//! A toy application: counters, rows that fall due, timers, and every way to misbehave.

use evenkeel_engine::{App, Context, OUTBOX_ID, Stop, TenantId, Time};
use evenkeel_log::PartitionId;
use evenkeel_state::{Order, Read, StateError, Table, row};
use serde::{Deserialize, Serialize};

/// Rows that one expiry takes.
pub(crate) const EXPIRE_MAX: usize = 256;
/// The entity whose timer panics.
pub(crate) const PANICKING: u64 = 666;
/// The entity whose timer writes much, and sets one that is due already.
pub(crate) const GREEDY: u64 = 777;
/// What it writes.
pub(crate) const GREEDY_BYTES: usize = 4_096;
/// When that is due, and of which entity it is.
pub(crate) const SET_AGAIN: (u64, u64) = (1_005, 778);
const DOMAIN: u8 = 9;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Counts under a key, and answers the count.
    Count(u64),
    /// Counts, then refuses.
    Refuse(u64),
    /// Counts, and is answered before that is durable.
    CountBuffered(u64),
    /// Counts, then panics.
    Panic(u64),
    /// Writes so many rows of so many bytes.
    Write { rows: u64, row_bytes: usize },
    /// Has so many rows fall due.
    Plant { rows: u64, due: u64 },
    /// Refused while anything is due; else answers how many rows fell due ever.
    Harvest,
    /// The same, and always refused.
    HarvestAndRefuse,
    /// Writes a row under a key of `Count` that nobody can read.
    Garble(u64),
    /// The same, of the outbox: the row of the first that was sent there.
    GarbleOutbox { to: u16 },
    /// Sets a timer.
    Timer { due: u64, entity: u64 },
    /// Sends an item elsewhere.
    Send { to: u16, item: Item },
    /// The same, and is refused.
    SendAndRefuse { to: u16, item: Item },
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Item {
    /// Noted, behind what was noted before.
    Note(u64),
    /// Noted, then panics.
    Panic(u64),
    /// Comes upon a row that nobody can read: that of this count.
    Read(u64),
    /// Writes so many rows.
    Write { rows: u64 },
    /// Noted, and sent on.
    Forward { to: u16, note: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct No;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Number(pub(crate) u64);
row!(Number, version = 1);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob(Vec<u8>);
row!(Blob, version = 1);

macro_rules! table {
    ($name:ident, $id:expr, $key:ty, $row:ty) => {
        pub(crate) struct $name;
        impl Table for $name {
            const ID: u8 = $id;
            const NAME: &'static str = stringify!($name);
            type Key = $key;
            type Row = $row;
        }
    };
}
table!(Counts, 0x70, u64, Number);
table!(Blobs, 0x71, u64, Blob);
// What damage would look like: the table of counts, with rows of another kind.
table!(Garbled, 0x70, u64, Blob);
table!(GarbledOutbox, OUTBOX_ID, (u16, u64), Blob);
table!(Due, 0x72, (u64, u64), ());
table!(Harvested, 0x73, (), Number);
table!(Fired, 0x74, u64, Number);
// What was delivered, in order.
table!(Notes, 0x75, u64, Number);
table!(NoteCount, 0x76, (), Number);
// What was sent by commands, in order.
table!(Sent, 0x77, u64, Number);
table!(SentCount, 0x78, (), Number);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Toy;

impl App for Toy {
    type Command = Command;
    type Reply = u64;
    type Refusal = No;
    type Item = Item;

    fn expire(
        &self,
        ctx: &mut Context<'_, '_>,
        _: TenantId,
        command: &Command,
    ) -> Result<bool, StateError> {
        if !matches!(command, Command::Harvest | Command::HarvestAndRefuse) {
            return Ok(false);
        }
        let until = (ctx.now().0 + 1, 0);
        let due = ctx.tx.scan::<Due>(..until, Order::Ascending, EXPIRE_MAX + 1)?;
        for (key, ()) in due.iter().take(EXPIRE_MAX) {
            ctx.tx.delete::<Due>(key);
            add::<Harvested>(ctx, &())?;
        }
        Ok(due.len() > EXPIRE_MAX)
    }

    fn decide(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        command: &Command,
    ) -> Result<u64, Stop<No>> {
        match *command {
            Command::Count(key) | Command::CountBuffered(key) => Ok(add::<Counts>(ctx, &key)?),
            Command::Refuse(key) => {
                add::<Counts>(ctx, &key)?;
                Err(Stop::Refused(No))
            }
            Command::Panic(key) => {
                add::<Counts>(ctx, &key)?;
                panic!("asked to")
            }
            Command::Write { rows, row_bytes } => {
                for key in 0..rows {
                    ctx.tx.put::<Blobs>(&key, &Blob(vec![7; row_bytes]));
                }
                Ok(rows)
            }
            Command::Plant { rows, due } => {
                for key in 0..rows {
                    ctx.tx.put::<Due>(&(due, key), &());
                }
                Ok(rows)
            }
            Command::Harvest => {
                let until = (ctx.now().0 + 1, 0);
                if !ctx.tx.scan::<Due>(..until, Order::Ascending, 1)?.is_empty() {
                    return Err(Stop::Refused(No));
                }
                Ok(ctx.tx.get::<Harvested>(&())?.map_or(0, |row| row.0))
            }
            Command::HarvestAndRefuse => Err(Stop::Refused(No)),
            Command::Garble(key) => {
                ctx.tx.put::<Garbled>(&key, &Blob(vec![0xff; 32]));
                Ok(0)
            }
            Command::GarbleOutbox { to } => {
                ctx.tx.put::<GarbledOutbox>(&(to, 1), &Blob(Vec::new()));
                Ok(0)
            }
            Command::Timer { due, entity } => {
                ctx.set_timer(Time(due), DOMAIN, entity);
                Ok(0)
            }
            Command::Send { to, ref item } => {
                ctx.send(PartitionId(to), tenant, item)?;
                if let Item::Note(note) = *item {
                    let count = add::<SentCount>(ctx, &())?;
                    ctx.tx.put::<Sent>(&count, &Number(note));
                }
                Ok(0)
            }
            Command::SendAndRefuse { to, ref item } => {
                ctx.send(PartitionId(to), tenant, item)?;
                Err(Stop::Refused(No))
            }
        }
    }

    fn is_buffered(&self, command: &Command) -> bool {
        matches!(command, Command::CountBuffered(_))
    }

    fn timer(&self, ctx: &mut Context<'_, '_>, domain: u8, entity: u64) -> Result<(), StateError> {
        assert_eq!(domain, DOMAIN);
        add::<Fired>(ctx, &entity)?;
        assert!(entity != PANICKING, "asked to");
        if entity == GREEDY {
            ctx.tx.put::<Blobs>(&entity, &Blob(vec![7; GREEDY_BYTES]));
            ctx.set_timer(Time(SET_AGAIN.0), DOMAIN, SET_AGAIN.1);
        }
        Ok(())
    }

    fn deliver(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        item: &Item,
    ) -> Result<(), StateError> {
        match *item {
            Item::Note(note) => self::note(ctx, note),
            Item::Panic(note) => {
                self::note(ctx, note)?;
                panic!("asked to")
            }
            Item::Read(key) => add::<Counts>(ctx, &key).map(|_| ()),
            Item::Write { rows } => {
                (0..rows).for_each(|key| ctx.tx.put::<Blobs>(&key, &Blob(vec![7; 8])));
                Ok(())
            }
            Item::Forward { to, note } => {
                self::note(ctx, note)?;
                ctx.send(PartitionId(to), tenant, &Item::Note(note))
            }
        }
    }
}

fn note(ctx: &mut Context<'_, '_>, note: u64) -> Result<(), StateError> {
    let count = add::<NoteCount>(ctx, &())?;
    ctx.tx.put::<Notes>(&count, &Number(note));
    Ok(())
}

fn add<T: Table<Row = Number>>(ctx: &mut Context<'_, '_>, key: &T::Key) -> Result<u64, StateError> {
    let count = ctx.tx.get::<T>(key)?.map_or(0, |row| row.0) + 1;
    ctx.tx.put::<T>(key, &Number(count));
    Ok(count)
}
