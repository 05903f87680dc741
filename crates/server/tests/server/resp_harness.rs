//! A RESP server on a free port over limits in memory, and a client that sends and reads bytes.

use bytes::Bytes;
use evenkeel_contract::Registry;
use evenkeel_domains::{
    limits::{Algorithm, CheckResult, LeaseId, Policy},
    meta::{KeyView, Meta},
};
use evenkeel_engine::{TenantId, Time};
use evenkeel_log::{Incarnation, Offset, PartitionId};
use evenkeel_node::{MetaView, SessionToken};
use evenkeel_server::{
    Auth,
    resp::{
        Batch, Caller, Check, Failure, Limits, Manage, Managed, Name, Outcome, Request,
        RespOptions, Subject, Verdict, serve,
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

/// A test that waits longer than this for a byte has hung.
const HANG: Duration = Duration::from_secs(30);
/// 2023-11-14T22:13:20.123Z.
pub(crate) const NOW_MS: u64 = 1_700_000_000_123;

/// Limits that count up to their quantity and know no time: nothing comes back but by refunds.
pub(crate) struct Memory {
    meta: Mutex<Arc<MetaView>>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    policies: BTreeMap<Name, Policy>,
    used: HashMap<(String, Option<Name>, Bytes), u64>,
    leases: HashSet<LeaseId>,
    last_lease: u64,
    once: HashSet<Bytes>,
    callers: Vec<(String, Option<String>)>,
}

impl Memory {
    fn new() -> Self {
        Self { meta: Mutex::new(Arc::new(view(Meta::default(), 1))), counts: Mutex::default() }
    }

    /// Changes keys and tenants, as `meta` would.
    pub(crate) fn change_meta(&self, change: impl FnOnce(&mut Meta)) {
        let mut current = self.meta.lock().unwrap();
        let mut meta = current.meta.clone();
        change(&mut meta);
        let offset = current.as_of.unwrap().offset.0 + 1;
        *current = Arc::new(view(meta, offset));
    }

    /// A key of `tenant` with these scopes, as its holder sends it.
    pub(crate) fn add_key(&self, id: &str, tenant: &str, scopes: &[&str]) -> String {
        let secret = format!("secret-of-{id}");
        let key = KeyView {
            secret_hash: *blake3::hash(secret.as_bytes()).as_bytes(),
            tenant: tenant.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            label: String::new(),
            created_at: Time(0),
        };
        self.change_meta(|meta| {
            meta.tenants.entry(tenant.to_owned()).or_insert(TenantId(7));
            meta.keys.insert(id.to_owned(), key);
        });
        format!("ek_{id}_{secret}")
    }

    /// Tenant and key of whoever asked, a batch each.
    pub(crate) fn callers(&self) -> Vec<(String, Option<String>)> {
        self.counts.lock().unwrap().callers.clone()
    }
}

fn view(meta: Meta, offset: u64) -> MetaView {
    let registry = Registry::new(evenkeel_domains::paths()).unwrap();
    let as_of = SessionToken {
        partition: PartitionId(0),
        incarnation: Incarnation(1),
        offset: Offset(offset),
    };
    MetaView { meta, registry, as_of: Some(as_of) }
}

impl Limits for Memory {
    async fn decide(&self, caller: &Caller, batch: &mut Batch) {
        let mut counts = self.counts.lock().unwrap();
        let key = caller.key.as_deref().map(str::to_owned);
        counts.callers.push((caller.tenant.name.to_string(), key));
        for request in batch.requests.drain(..) {
            batch.outcomes.push(counts.decide(request));
        }
    }

    async fn manage(&self, _: &Caller, request: Manage) -> Managed {
        let policies = &mut self.counts.lock().unwrap().policies;
        match request {
            Manage::Put { limit, policy } => {
                policies.insert(limit, policy);
                Managed::Done
            }
            Manage::Get { limit } => Managed::Found(policies.get(&limit).copied()),
            Manage::Delete { limit } => Managed::Deleted(policies.remove(&limit).is_some()),
            Manage::List { after, count } => {
                let later = policies.iter().filter(|(name, _)| Some(*name) > after.as_ref());
                let page = later.take(count).map(|(name, policy)| (name.clone(), *policy));
                Managed::Listed(page.collect())
            }
        }
    }

    fn meta(&self) -> Arc<MetaView> {
        Arc::clone(&self.meta.lock().unwrap())
    }

    fn now(&self) -> Time {
        Time(NOW_MS)
    }
}

impl Counts {
    fn decide(&mut self, request: Request) -> Outcome {
        match request {
            Request::Throttle(throttle) => {
                let place = (String::new(), None, throttle.key);
                let quantity = u64::try_from(throttle.max_burst).unwrap().saturating_add(1);
                let cost = u64::try_from(throttle.quantity).unwrap();
                let result = result(self.used.get(&place), quantity, cost);
                let allowed = result.allowed;
                if allowed {
                    *self.used.entry(place).or_default() += cost;
                }
                let remaining = result.remaining - if allowed { cost } else { 0 };
                let verdict = verdict(CheckResult { remaining, ..result });
                Outcome::Checked {
                    allowed,
                    counted_at: None,
                    verdicts: [verdict].into_iter().collect(),
                }
            }
            Request::Check(check) => self.check(&check),
            Request::Refund { check, .. } => self.refund(&check),
            Request::Reset(check) => self.reset(&check),
            Request::Release(lease) => Outcome::Released(self.leases.remove(&lease)),
            Request::Renew { lease, ttl_ms } => {
                let lives = self.leases.contains(&lease);
                Outcome::Renewed(lives.then_some(Time(NOW_MS + ttl_ms)))
            }
        }
    }

    fn quantity(&self, subject: &Subject) -> Result<u64, Failure> {
        let limit = &subject.limit;
        self.policies.get(limit).map(|policy| policy.quantity).ok_or_else(|| {
            let detail = format!("there is no limit {}", limit.as_str()).into();
            Failure { code: "not_found", detail }
        })
    }

    fn check(&mut self, check: &Check) -> Outcome {
        let mut verdicts = Vec::new();
        for cost in &check.costs {
            match self.quantity(&cost.subject) {
                Ok(quantity) => {
                    let used = self.used.get(&place(&cost.subject));
                    verdicts.push(verdict(result(used, quantity, cost.cost)));
                }
                Err(failure) => return Outcome::Failed(failure),
            }
        }
        let allowed = verdicts.iter().all(|verdict| verdict.result.allowed);
        if allowed && !check.peek {
            for (cost, verdict) in check.costs.iter().zip(&mut verdicts) {
                *self.used.entry(place(&cost.subject)).or_default() += cost.cost;
                verdict.result.remaining -= cost.cost;
                let policy = &self.policies[&cost.subject.limit];
                if policy.algorithm == Algorithm::Concurrency {
                    self.last_lease += 1;
                    let lease = LeaseId { partition: 3, key: [0xab; 16], number: self.last_lease };
                    self.leases.insert(lease);
                    verdict.lease = Some(lease);
                }
            }
        }
        let verdicts = verdicts.into_iter().collect();
        let counted_at = (allowed && !check.peek).then_some(Time(NOW_MS));
        Outcome::Checked { allowed, counted_at, verdicts }
    }

    fn reset(&mut self, check: &Check) -> Outcome {
        for cost in &check.costs {
            self.used.remove(&place(&cost.subject));
        }
        self.look(check)
    }

    fn refund(&mut self, check: &Check) -> Outcome {
        let first = check.once.clone().is_none_or(|id| self.once.insert(id));
        for cost in check.costs.iter().filter(|_| first) {
            let used = self.used.entry(place(&cost.subject)).or_default();
            *used = used.saturating_sub(cost.cost);
        }
        self.look(check)
    }

    /// What is left of each.
    fn look(&mut self, check: &Check) -> Outcome {
        let mut looks = check.clone();
        looks.peek = true;
        looks.costs.iter_mut().for_each(|cost| cost.cost = 0);
        self.check(&looks)
    }
}

fn place(subject: &Subject) -> (String, Option<Name>, Bytes) {
    (subject.limit.as_str().to_owned(), subject.scope.clone(), subject.key.clone())
}

fn verdict(result: CheckResult) -> Verdict {
    Verdict { result, lease: None, degraded: false }
}

fn result(used: Option<&u64>, quantity: u64, cost: u64) -> CheckResult {
    let remaining = quantity - used.copied().unwrap_or(0);
    let allowed = cost <= remaining;
    let retry_after_ns = (!allowed && cost <= quantity).then_some(1_500_000_000);
    CheckResult {
        allowed,
        quantity,
        remaining,
        retry_after_ns,
        reset_after_ns: 2_000_000_000,
        lease: None,
        shadow_refused: false,
    }
}

pub(crate) struct RespServer {
    pub(crate) limits: Arc<Memory>,
    address: SocketAddr,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl RespServer {
    /// A server that asks for no keys.
    pub(crate) fn open() -> Self {
        Self::start(RespOptions::new(Auth::Open))
    }

    pub(crate) fn keyed() -> Self {
        Self::start(RespOptions::new(Auth::Keys))
    }

    pub(crate) fn start(options: RespOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let limits = Arc::new(Memory::new());
        let served = runtime.spawn(serve(listener, options, Arc::clone(&limits), shutdown));
        Self { limits, address, runtime, stop, served }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    /// Stops it gracefully.
    pub(crate) fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.served).unwrap();
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads exactly `expected`.
    #[track_caller]
    pub(crate) fn hear(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut heard = vec![0; expected.len()];
        let mut length = 0;
        while length < expected.len() && expected.starts_with(&heard[..length]) {
            match self.stream.read(&mut heard[length..]) {
                Ok(0) | Err(_) => break,
                Ok(bytes) => length += bytes,
            }
        }
        let show = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(show(&heard[..length]), show(expected));
    }

    /// Sends `line` as it is typed, and reads exactly `expected`, whose lines are there apart.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str, expected: &str) {
        self.send(format!("{line}\r\n"));
        self.hear(format!("{}\r\n", expected.replace('\n', "\r\n")));
    }

    /// Changes to version 3 of the protocol.
    pub(crate) fn speak_3(&mut self) {
        self.send("HELLO 3\r\n");
        let mut heard = Vec::new();
        while !heard.ends_with(b"modules\r\n*0\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
    }

    /// Reads until the server closes; what came.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is a closed connection too; one that is left open is not.
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            let hung = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
            assert!(!hung.contains(&error.kind()), "it was not closed");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything that is said to `text`, up to the end of a conversation.
    pub(crate) fn whole(mut self, text: &str) -> String {
        self.send(format!("{text}QUIT\r\n"));
        let said = self.rest();
        said.strip_suffix("+OK\r\n").unwrap_or_else(|| panic!("no goodbye in {said:?}")).to_owned()
    }
}

/// A command as clients send it.
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
