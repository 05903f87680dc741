//! A user, in a transaction: found, changed, saved.

use super::tables::{FeedCounter, Number, User, UserName, UserNames, Users};
use crate::view_of;
use evenkeel_engine::{Context, TenantId};
use evenkeel_state::{Read, StateError};

/// A user in a transaction.
pub(super) struct Subject<'s, 'c, 't> {
    pub(super) ctx: &'s mut Context<'c, 't>,
    pub(super) key: (TenantId, String),
    pub(super) row: User,
    /// Whether anything about them is: a repeat that finds all as it was costs no append.
    pub(super) changed: bool,
}

/// The next number of this partition.
pub(super) fn next_number(ctx: &mut Context<'_, '_>) -> Result<u64, StateError> {
    let Number(last) = ctx.tx.get::<FeedCounter>(&())?.unwrap_or_default();
    ctx.tx.put::<FeedCounter>(&(), &Number(last + 1));
    Ok(last + 1)
}

impl<'s, 'c, 't> Subject<'s, 'c, 't> {
    /// The user of this name, if there is anything about them.
    pub(super) fn find(
        ctx: &'s mut Context<'c, 't>,
        key: (TenantId, String),
    ) -> Result<Option<Self>, StateError> {
        let row = ctx.tx.get::<Users>(&key)?;
        Ok(row.map(|row| Self { ctx, key, row, changed: false }))
    }

    /// The user of this name.
    pub(super) fn of_name(
        ctx: &'s mut Context<'c, 't>,
        key: (TenantId, String),
    ) -> Result<Self, StateError> {
        if let Some(row) = ctx.tx.get::<Users>(&key)? {
            return Ok(Self { ctx, key, row, changed: false });
        }
        let id = next_number(ctx)?;
        let row = User { id, ..User::default() };
        let name = UserName { tenant: key.0, name: key.1.clone() };
        ctx.tx.put::<UserNames>(&id, &name);
        Ok(Self { ctx, key, row, changed: true })
    }

    /// The user of this number.
    pub(super) fn of_id(ctx: &'s mut Context<'c, 't>, id: u64) -> Result<Option<Self>, StateError> {
        match ctx.tx.get::<UserNames>(&id)? {
            Some(UserName { tenant, name }) => Self::find(ctx, (tenant, name)),
            None => Ok(None),
        }
    }
}

impl Subject<'_, '_, '_> {
    pub(super) fn save(self) {
        if !self.changed {
            return;
        }
        self.ctx.touch(view_of(super::DOMAIN, self.key.0, &self.key.1));
        if self.row == (User { id: self.row.id, ..User::default() }) {
            // There is nothing about them any more.
            self.ctx.tx.delete::<Users>(&self.key);
            self.ctx.tx.delete::<UserNames>(&self.row.id);
        } else {
            self.ctx.tx.put::<Users>(&self.key, &self.row);
        }
    }
}
