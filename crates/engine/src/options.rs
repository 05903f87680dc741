//! The engine's limits and switches.

/// How a partition makes sure that it still leads before it answers from its own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Nobody else can append: the process holds the directory's lock.
    Free,
    /// By appending a record, empty if there is nothing else to append.
    Append,
}

/// The limits of one partition. All have defaults that suit one machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Drawn at random by every process that may lead: tells its records from another's.
    pub writer: u32,
    /// Records in flight at once.
    pub depth: usize,
    /// The same while commands are answered before they are durable
    /// ([`App::is_buffered`](crate::App::is_buffered)): how far answers may be ahead of the log. No
    /// less than `depth`.
    pub depth_buffered: usize,
    /// How long a record may wait for more commands while all of its commands are answered before
    /// they are durable: a record a command would cost more than the command.
    pub linger_ms: u64,
    /// How ownership is confirmed.
    pub barrier: Barrier,
    /// Requests that may wait in the mailbox.
    pub mailbox_max: usize,
    /// Linearizable reads that may wait for a barrier; without one ([`Barrier::Free`]) none waits.
    pub reads_max: usize,
    /// Commands a batch.
    pub batch_commands_max: usize,
    /// Effects a batch, in bytes: gathering stops at this, so that with one more command of the
    /// largest size the record still fits.
    pub batch_bytes_max: usize,
    /// Rows that one command may change.
    pub command_rows_max: usize,
    /// Bytes of effects that one command may have.
    pub command_bytes_max: usize,
    /// Due timers that one batch handles.
    pub timers_max: usize,
    /// Bytes of remembered idempotency keys and replies, a tenant in this partition, over all of
    /// its paths.
    pub idempotency_bytes_max: u64,
    /// Above this much unflushed state, new commands are `unavailable`.
    pub memtable_bytes_max: usize,
    /// Rows that may wait in the outbox for one destination: a command that would add to more has no
    /// effect and is [`Overloaded`](crate::Failure::Overloaded). Timers and deliveries may add to more, and at twice as
    /// many every command is refused so.
    pub outbox_rows_max: u64,
    /// The same, in bytes of items.
    pub outbox_bytes_max: u64,
    /// Rows of the outbox that are delivered at once.
    pub delivery_rows_max: usize,
    /// Bytes of items that are; at least one item is, whatever its size.
    pub delivery_bytes_max: usize,
    /// Items that one batch takes from deliveries.
    pub batch_items_max: usize,
    /// Rows that one delivered item may change.
    pub item_rows_max: usize,
    /// Bytes of effects that it may have.
    pub item_bytes_max: usize,
    /// Guarantees switched off. Only a simulation sets these.
    pub switches: Switches,
}

impl Options {
    /// Records in flight at once while commands are answered before they are durable, unless set
    /// otherwise.
    pub const DEPTH_BUFFERED: usize = 4;
    /// How long a record waits while nobody waits for it, unless set otherwise.
    pub const LINGER_MS: u64 = 2;
    /// Commands a batch, unless set otherwise.
    pub const BATCH_COMMANDS_MAX: usize = 1_024;
    /// Rows that one command may change, unless set otherwise.
    pub const COMMAND_ROWS_MAX: usize = 1_024;
    /// Bytes of effects that one command may have, unless set otherwise.
    pub const COMMAND_BYTES_MAX: usize = 256 * 1_024;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writer: 0,
            depth: 1,
            depth_buffered: Self::DEPTH_BUFFERED,
            linger_ms: Self::LINGER_MS,
            barrier: Barrier::Free,
            mailbox_max: 8_192,
            reads_max: 8_192,
            batch_commands_max: Self::BATCH_COMMANDS_MAX,
            batch_bytes_max: 384 * 1_024,
            command_rows_max: Self::COMMAND_ROWS_MAX,
            command_bytes_max: Self::COMMAND_BYTES_MAX,
            timers_max: 64,
            idempotency_bytes_max: 1 << 30,
            memtable_bytes_max: 512 << 20,
            outbox_rows_max: 16_384,
            outbox_bytes_max: 16 << 20,
            delivery_rows_max: 256,
            delivery_bytes_max: 128 * 1_024,
            batch_items_max: 512,
            item_rows_max: 256,
            item_bytes_max: 256 * 1_024,
            switches: Switches::default(),
        }
    }
}

/// Guarantees that a simulation takes away to show what each is for. `serve` cannot reach these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one named, independent breakage")]
pub struct Switches {
    /// Answer as soon as a batch is decided.
    pub ack_before_append: bool,
    /// Do not remember idempotency keys.
    pub no_idempotency_row: bool,
    /// Answer refusals and reads without asking whether this is still the owner.
    pub unfenced_refusal: bool,
    /// Take an append that is not there *now* for one that will never be.
    pub absent_means_not_appended: bool,
    /// Do again what is delivered again.
    pub no_outbox_dedup: bool,
}
