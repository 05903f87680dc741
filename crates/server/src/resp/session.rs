//! Who is on a connection, and how they are answered. A key is looked up again whenever `meta` has
//! changed since, so that a revoked one is refused from the next command on.

use super::{reply::Protocol, service::Caller, table::Needs};
use crate::{
    auth::{self, ADMIN},
    options::Auth,
};
use bytes::Bytes;
use evenkeel_domains::meta::KeyView;
use evenkeel_node::{MetaView, SessionToken, Tenant};
use std::{net::SocketAddr, sync::Arc};

/// The scope of looking.
pub(super) const READ_SCOPE: &str = "limits:read";
/// The scope of everything that counts or changes.
pub(super) const WRITE_SCOPE: &str = "limits:write";
/// Bytes of what a connection calls itself or its library.
const LABEL_BYTES_MAX: usize = 128;

/// One connection's state beside its bytes.
#[derive(Debug)]
pub(super) struct Session {
    /// The connection's number, from 1.
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    /// How its caller wants to be answered.
    pub(super) protocol: Protocol,
    pub(super) label: Label,
    pub(super) library: Label,
    pub(super) library_version: Label,
    auth: Auth,
    /// Who asks, if we know.
    known: Option<Known>,
    /// The place in `meta` as of which we know.
    as_of: Option<SessionToken>,
}

#[derive(Debug)]
struct Known {
    caller: Caller,
    /// Of the key's secret: one that was made anew under the same id is another.
    secret_hash: [u8; 32],
    reads: bool,
    writes: bool,
}

impl Known {
    fn by_key(id: Arc<str>, tenant: Tenant, key: &KeyView) -> Self {
        let has = |scope| key.scopes.iter().any(|has| has == scope || has == ADMIN);
        Self {
            caller: Caller { tenant, key: Some(id) },
            secret_hash: key.secret_hash,
            reads: has(READ_SCOPE),
            writes: has(WRITE_SCOPE),
        }
    }

    fn anyone(meta: &MetaView) -> Self {
        let tenant = auth::anonymous(meta).tenant;
        let caller = Caller { tenant, key: None };
        Self { caller, secret_hash: [0; 32], reads: true, writes: true }
    }
}

impl Session {
    pub(super) fn new(id: u64, peer: SocketAddr, auth: Auth, meta: &MetaView) -> Self {
        Self {
            id,
            peer,
            protocol: Protocol::default(),
            label: Label::default(),
            library: Label::default(),
            library_version: Label::default(),
            auth,
            known: (auth == Auth::Open).then(|| Known::anyone(meta)),
            as_of: meta.as_of,
        }
    }

    /// As a new connection is.
    pub(super) fn reset(&mut self, meta: &MetaView) {
        *self = Self::new(self.id, self.peer, self.auth, meta);
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Who asks, if we know.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.known.as_ref().map(|known| &known.caller)
    }

    /// The scope that whoever asks lacks for what needs `needs`.
    pub(super) fn lacks(&self, needs: Needs) -> Option<&'static str> {
        let may = |may: fn(&Known) -> bool| self.known.as_ref().is_some_and(may);
        match needs {
            Needs::Nothing | Needs::Key => None,
            Needs::Read => (!may(|known| known.reads)).then_some(READ_SCOPE),
            Needs::Write => (!may(|known| known.writes)).then_some(WRITE_SCOPE),
        }
    }

    /// Looks again who asks, if `meta` has changed.
    pub(super) fn refresh(&mut self, meta: &MetaView) {
        if self.as_of == meta.as_of {
            return;
        }
        self.as_of = meta.as_of;
        self.known = match (self.auth, self.known.take()) {
            (Auth::Open, _) => Some(Known::anyone(meta)),
            (Auth::Keys, None) => None,
            (Auth::Keys, Some(known)) => still(known, meta),
        };
    }

    /// Whether `key` says who asks; without keys everyone may, whatever they say.
    pub(super) fn authenticate(&mut self, key: &[u8], meta: &MetaView) -> bool {
        if self.auth == Auth::Open {
            return true;
        }
        let text = std::str::from_utf8(key).ok();
        let Some((id, secret)) = text.and_then(auth::halves) else { return false };
        let Some((tenant, view)) = auth::known(id, secret, meta) else { return false };
        self.known = Some(Known::by_key(id.into(), tenant, view));
        self.as_of = meta.as_of;
        true
    }
}

/// The same caller as `meta` now has them.
fn still(known: Known, meta: &MetaView) -> Option<Known> {
    let id = known.caller.key?;
    let key = meta.meta.keys.get(&*id).filter(|key| key.secret_hash == known.secret_hash)?;
    let tenant = auth::tenant_of(key, meta)?;
    Some(Known::by_key(id, tenant, key))
}

/// What a connection says of itself: short, printable, without blanks.
#[derive(Debug, Clone, Default)]
pub(super) struct Label(Bytes);

impl Label {
    /// What `bytes` say, if they may be said. They are copied: what was read is not kept for them.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let printable = bytes.iter().all(|byte| (b'!'..=b'~').contains(byte));
        (printable && bytes.len() <= LABEL_BYTES_MAX).then(|| Self(Bytes::copy_from_slice(bytes)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
