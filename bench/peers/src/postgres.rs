//! PostgreSQL as a careful team would use it: each hold is one transaction in one round trip
//! of one prepared statement, and the unique idempotency key is the hold's only index.
//!
//! The hot hold has two forms, a statement and a function of one hold that locks the row
//! last; which is faster depends on the machine, so both are rows and the faster one counts.
//! A pipelined or a plain `begin … commit` was measured beside them and was slower than the
//! better of the two, the plain one by half.

use evenkeel_drill::load::{Done, KeyMint, Outcome, Scatter, Workload, WorkloadError};
use tokio_postgres::{Client, Error, NoTls, Statement};

/// Seats in one resource, as in the spread workload over HTTP.
const SEATS_PER_RESOURCE: u32 = 200;
/// Holds that the function takes in one call.
const HOLDS_PER_CALL: u32 = 64;

const SCHEMA: &str = "
drop table if exists hold, resource, seat;
create table resource (id bigint primary key, remaining bigint not null) with (fillfactor = 10);
create table hold (
    key text primary key,
    resource bigint not null,
    seat bigint,
    holder text not null,
    quantity bigint not null,
    expires_at timestamptz not null
);
insert into resource values (1, 1000000000000);";

const HOLD_STATEMENT: &str = "
with taken as (
    update resource set remaining = remaining - $2
    where id = $1 and remaining >= $2 returning id
)
insert into hold (key, resource, holder, quantity, expires_at)
select $3, id, 'u1', $2, now() + interval '300 seconds' from taken";

const HOLD_SEAT: &str = "
with taken as (
    update seat set key = $3
    where resource = $1 and seat = $2 and key is null returning resource, seat
)
insert into hold (key, resource, seat, holder, quantity, expires_at)
select $3, resource, seat, 'u1', 1, now() + interval '300 seconds' from taken";

const FUNCTIONS: &str = "
create or replace function hold_one(wanted bigint, count bigint, key text) returns bigint
language plpgsql as $$
begin
    insert into hold (key, resource, holder, quantity, expires_at)
    values (key, wanted, 'u1', count, now() + interval '300 seconds');
    update resource set remaining = remaining - count where id = wanted and remaining >= count;
    if not found then raise exception 'sold out'; end if;
    return 1;
end $$;
create or replace function hold_many(wanted bigint, keys text[]) returns bigint
language plpgsql as $$
begin
    insert into hold (key, resource, holder, quantity, expires_at)
    select unnest(keys), wanted, 'u1', 1, now() + interval '300 seconds';
    update resource set remaining = remaining - cardinality(keys)
    where id = wanted and remaining >= cardinality(keys);
    if not found then raise exception 'sold out'; end if;
    return cardinality(keys);
end $$;";

/// One connection with its prepared statement.
pub(crate) struct Connection {
    client: Client,
    statement: Statement,
    keys: KeyMint,
}

async fn open(target: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(target, NoTls).await?;
    // Ends by itself when its client is dropped; a failure shows in the client's calls.
    tokio::spawn(connection);
    Ok(client)
}

async fn connect(target: &str, statement: &str) -> Result<Connection, WorkloadError> {
    let client = open(target).await.map_err(failed)?;
    let statement = client.prepare(statement).await.map_err(failed)?;
    Ok(Connection {
        client,
        statement,
        keys: KeyMint::new(),
    })
}

async fn execute(target: &str, statements: &str) -> Result<(), WorkloadError> {
    let client = open(target).await.map_err(failed)?;
    client.batch_execute(statements).await.map_err(failed)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err asks for"
)]
fn failed(error: Error) -> WorkloadError {
    WorkloadError(describe(&error))
}

fn describe(error: &Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn done(result: Result<u64, Error>) -> Done {
    let outcome = match result {
        Ok(0) => Outcome::Refused,
        Ok(_) => Outcome::Ok,
        Err(error) => Outcome::Error(describe(&error).into()),
    };
    Done { kind: 0, outcome }
}

/// How a hot hold is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One statement that updates and inserts.
    Statement,
    /// A function of one hold, which locks the row last.
    Function,
}

/// One counted resource that everyone wants.
pub(crate) struct Hot {
    target: String,
    form: Form,
}

impl Hot {
    pub(crate) fn new(target: &str, form: Form) -> Self {
        Self {
            target: target.to_owned(),
            form,
        }
    }
}

impl Workload for Hot {
    type Conn = Connection;

    fn name(&self) -> String {
        format!("postgres hot ({:?})", self.form)
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        execute(&self.target, &format!("{SCHEMA}{FUNCTIONS}")).await
    }

    async fn connect(&self, _: usize) -> Result<Connection, WorkloadError> {
        let statement = match self.form {
            Form::Statement => HOLD_STATEMENT,
            Form::Function => "select hold_one($1, $2, $3)",
        };
        connect(&self.target, statement).await
    }

    async fn call(&self, conn: &mut Connection, _: u64) -> Done {
        let key = conn.keys.mint();
        let result = conn
            .client
            .execute(&conn.statement, &[&1_i64, &1_i64, &key])
            .await;
        done(result)
    }
}

/// Each hold takes one free seat of many.
pub(crate) struct Spread {
    target: String,
    places: u32,
    scatter: Scatter,
}

impl Spread {
    pub(crate) fn new(target: &str, places: u32) -> Self {
        Self {
            target: target.to_owned(),
            places,
            scatter: Scatter::new(places, fastrand::u64(..)),
        }
    }
}

impl Workload for Spread {
    type Conn = Connection;

    fn name(&self) -> String {
        format!("postgres spread ({} seats)", self.places)
    }

    fn calls_max(&self) -> Option<u64> {
        Some(u64::from(self.places))
    }

    /// Half of each page is left free, so that taking a seat touches no index.
    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        let last = self.places - 1;
        let seats = format!(
            "{SCHEMA}
            create table seat (
                resource bigint, seat bigint, key text, primary key (resource, seat)
            ) with (fillfactor = 50);
            insert into seat select place / {SEATS_PER_RESOURCE}, place % {SEATS_PER_RESOURCE}
            from generate_series(0, {last}) place;
            analyze seat;"
        );
        execute(&self.target, &seats).await
    }

    async fn connect(&self, _: usize) -> Result<Connection, WorkloadError> {
        connect(&self.target, HOLD_SEAT).await
    }

    async fn call(&self, conn: &mut Connection, call: u64) -> Done {
        let place = self.scatter.place(call);
        let resource = i64::from(place / SEATS_PER_RESOURCE);
        let seat = i64::from(place % SEATS_PER_RESOURCE);
        let key = conn.keys.mint();
        let result = conn
            .client
            .execute(&conn.statement, &[&resource, &seat, &key])
            .await;
        done(result)
    }
}

/// A function that takes many holds a call, as a batcher in front would use it.
pub(crate) struct Batches {
    target: String,
}

impl Batches {
    pub(crate) fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
        }
    }
}

impl Workload for Batches {
    type Conn = Connection;

    fn name(&self) -> String {
        format!("postgres function, {HOLDS_PER_CALL} holds a call")
    }

    fn operations_per_call(&self) -> u64 {
        u64::from(HOLDS_PER_CALL)
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        execute(&self.target, &format!("{SCHEMA}{FUNCTIONS}")).await
    }

    async fn connect(&self, _: usize) -> Result<Connection, WorkloadError> {
        connect(&self.target, "select hold_many($1, $2)").await
    }

    async fn call(&self, conn: &mut Connection, _: u64) -> Done {
        let keys: Vec<String> = (0..HOLDS_PER_CALL)
            .map(|_| conn.keys.mint().to_owned())
            .collect();
        let result = conn.client.execute(&conn.statement, &[&1_i64, &keys]).await;
        done(result)
    }
}
