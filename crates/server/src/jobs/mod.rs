//! Jobs over HTTP: bodies in, bodies out, and workers that wait. What a job goes through is the
//! domain's; where jobs are ready and who is led to them, the node's.

mod metrics;
mod places;
mod pushed;
mod queue_views;
mod queues;
mod requests;
mod seeing;
mod settings;
mod subjects;
mod views;
mod work;

pub(crate) use metrics::metrics;
pub(crate) use queue_views::{QueueBody, QueueEventList, QueueList, ReportBody};
pub(crate) use queues::{delete, drain, get, list, pause, put, resume};
pub(crate) use requests::{
    CompleteManyRequest, CompleteRequest, EnqueueRequest, ExtendRequest, FailRequest, LeaseRequest,
    ProgressRequest, ReplayRequest, SnoozeRequest,
};
pub(crate) use seeing::{dead, events, get_job, list_jobs, replay};
pub(crate) use settings::QueueRequest;
pub(crate) use subjects::refused;
pub(crate) use views::{
    EnqueuedBody, JobBody, JobDetailBody, JobList, LeasedBody, ReplayedBody, SaidBody,
    StandingBody, StandingList,
};
pub(crate) use work::{
    cancel, complete, complete_many, enqueue, extend, fail, lease, progress, retry, snooze,
};
