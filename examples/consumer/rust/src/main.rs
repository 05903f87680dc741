//! A consumer of one queue: each job credits an account, and must do that once.
//!
//! ```text
//! consumer URL QUEUE POSTGRES_PORT safe|broken [before_transaction|after_commit]
//! ```
//!
//! It works on one job and ends. A job may be delivered more than once: its worker died, or was so
//! slow that its lease ended and another one has it. So whether the effect has happened already is
//! asked in the database, and the whole point is when: see [`safe`] and [`broken`].
//!
//! The last argument stops it at a moment until a line comes on stdin, so that `run` can let the
//! worst happen just there.

use postgres::{Client, NoTls, Transaction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{env, error::Error, io};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const LEASE_WAIT_MS: u64 = 20_000;
const CREDITED: &str = "insert into credited (job, fence, amount) values ($1, $2, $3)
     on conflict (job) do nothing";

/// A job as it is leased.
#[derive(Deserialize)]
struct Job {
    job: String,
    attempt: u32,
    lease: String,
    fence: i64,
    payload: Credit,
}

#[derive(Deserialize)]
struct Credit {
    account: String,
    amount: i64,
}

/// Asks and acts in one transaction: the row of the job is the answer and the lock.
fn safe(db: &mut Client, job: &Job, moments: &Moments) -> Outcome {
    moments.reach("before_transaction")?;
    let mut transaction = db.transaction()?;
    // Whoever inserts the row has the effect to do. Another worker with the same job waits here until
    // that is committed, and then inserts nothing.
    let inserted = transaction.execute(CREDITED, &[&job.job, &job.fence, &job.payload.amount])?;
    if inserted == 1 {
        credit(&mut transaction, job)?;
    }
    transaction.commit()?;
    moments.reach("after_commit")
}

/// Asks first and acts later. Between the two the answer ages, and nobody notices.
fn broken(db: &mut Client, job: &Job, moments: &Moments) -> Outcome {
    let seen = db.query_opt("select 1 from credited where job = $1", &[&job.job])?.is_some();
    moments.reach("before_transaction")?;
    if !seen {
        let mut transaction = db.transaction()?;
        credit(&mut transaction, job)?;
        transaction.execute(CREDITED, &[&job.job, &job.fence, &job.payload.amount])?;
        transaction.commit()?;
    }
    moments.reach("after_commit")
}

fn credit(transaction: &mut Transaction<'_>, job: &Job) -> Outcome {
    let update = "update accounts set balance = balance + $1 where account = $2";
    transaction.execute(update, &[&job.payload.amount, &job.payload.account])?;
    Ok(())
}

/// Where the consumer can be stopped from outside.
struct Moments {
    pause: Option<String>,
}

impl Moments {
    fn reach(&self, moment: &str) -> Outcome {
        if self.pause.as_deref() == Some(moment) {
            println!("paused {moment}");
            io::stdin().read_line(&mut String::new())?;
        }
        Ok(())
    }
}

/// The server's side: jobs are leased, and completed by whoever still has the lease.
struct Queue {
    address: String,
    agent: ureq::Agent,
}

impl Queue {
    fn new(url: &str, queue: &str) -> Self {
        // What the server says of a refusal is of interest, so a refusal is an answer too.
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { address: format!("{url}/v1/queues/{queue}"), agent }
    }

    fn post(&self, what: &str, body: Value) -> Outcome<(u16, Value)> {
        let mut answer = self.agent.post(format!("{}/{what}", self.address)).send_json(body)?;
        Ok((answer.status().as_u16(), answer.body_mut().read_json()?))
    }

    /// The next job; waits until there is one.
    fn lease(&self) -> Outcome<Job> {
        loop {
            let body = json!({ "worker": "consumer", "max": 1, "wait_ms": LEASE_WAIT_MS });
            let (status, mut answer) = self.post("lease", body)?;
            if status != 200 {
                return Err(format!("no jobs: {answer}").into());
            }
            if let Some(job) = answer["jobs"].as_array_mut().and_then(Vec::pop) {
                return Ok(serde_json::from_value(job)?);
            }
        }
    }

    /// Says that a job is done. False if somebody else has it by now: then that one says so.
    fn complete(&self, job: &Job) -> Outcome<bool> {
        let path = format!("jobs/{}/complete", job.job);
        let (status, answer) = self.post(&path, json!({ "lease": job.lease }))?;
        match (status, answer["code"].as_str()) {
            (200, _) => Ok(true),
            (409, Some("stale_lease")) => Ok(false),
            _ => Err(format!("not completed: {answer}").into()),
        }
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, queue, port, form, pause @ ..] = &arguments[..] else {
        return Err("consumer URL QUEUE POSTGRES_PORT safe|broken [MOMENT]".into());
    };
    let mut db =
        Client::connect(&format!("host=127.0.0.1 port={port} user=shop dbname=postgres"), NoTls)?;
    let queue = Queue::new(url, queue);
    let moments = Moments { pause: pause.first().cloned() };
    let job = queue.lease()?;
    match form.as_str() {
        "safe" => safe(&mut db, &job, &moments)?,
        "broken" => broken(&mut db, &job, &moments)?,
        other => return Err(format!("there is no form {other}").into()),
    }
    // Only now, when the effect is committed: a job that is completed is never delivered again.
    let told = if queue.complete(&job)? { "completed" } else { "its lease was over" };
    println!("attempt {}: {told}", job.attempt);
    Ok(())
}
