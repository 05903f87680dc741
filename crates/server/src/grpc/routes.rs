//! Which service a call is for, who makes it, and what it may take. The services themselves are
//! elsewhere; health and reflection are tonic's, and open to all, as HTTP's are.

use super::{
    messages::{RateLimitRequest, RateLimitResponse},
    service::Decider,
};
use crate::{
    auth::{self, Needs},
    code,
    options::Auth,
    problem::Problem,
    time::wall_clock,
};
use evenkeel_node::{MetaView, Tenant};
use hyper::{
    HeaderMap, Uri,
    http::{Request, Response},
};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tonic::{Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// The name of the service.
pub(super) const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// What a key needs, as for checks over HTTP.
const SCOPE: Needs = Needs::Scope("limits:write");

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A service as tonic makes them.
trait Answers:
    Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future = Answering<Response<Body>, Infallible>,
    >
{
}

impl<S> Answers for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = Answering<Response<Body>, Infallible>,
        >
{
}

/// Every service, by the address of its calls.
#[derive(Clone)]
pub(super) struct Routes<H, R1, RA> {
    pub(super) decider: Arc<Decider>,
    pub(super) auth: Auth,
    pub(super) request_bytes_max: usize,
    pub(super) health: H,
    pub(super) reflection: R1,
    pub(super) reflection_alpha: RA,
}

impl<H, R1, RA> Service<Request<Body>> for Routes<H, R1, RA>
where
    H: Answers,
    R1: Answers,
    RA: Answers,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
        match service {
            _ if path == SHOULD_RATE_LIMIT => {
                // Before anything is read of what a stranger sends.
                let admitted = admit(self.auth, request.headers(), &self.decider.node.meta());
                let tenant = match admitted {
                    Ok(tenant) => tenant,
                    Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
                };
                let call = Call { decider: Arc::clone(&self.decider), tenant };
                let mut grpc = Grpc::new(ProstCodec::default())
                    .max_decoding_message_size(self.request_bytes_max);
                Box::pin(async move { Ok(grpc.unary(call, request).await) })
            }
            Some("grpc.health.v1.Health") => self.health.call(request),
            Some("grpc.reflection.v1.ServerReflection") => self.reflection.call(request),
            Some("grpc.reflection.v1alpha.ServerReflection") => self.reflection_alpha.call(request),
            _ => Box::pin(async { Ok(Status::unimplemented("there is no such call").into_http()) }),
        }
    }
}

/// One call of `ShouldRateLimit`, of somebody who may.
struct Call {
    decider: Arc<Decider>,
    tenant: Tenant,
}

impl Service<tonic::Request<RateLimitRequest>> for Call {
    type Response = tonic::Response<RateLimitResponse>;
    type Error = Status;
    type Future = Answering<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<RateLimitRequest>) -> Self::Future {
        let (decider, tenant) = (Arc::clone(&self.decider), self.tenant.clone());
        Box::pin(async move {
            let (metadata, _, request) = request.into_parts();
            let deadline = deadline(&metadata.into_headers());
            let answer = decider.decide(&tenant, &request, deadline).await?;
            Ok(tonic::Response::new(answer))
        })
    }
}

/// Who asks, if they may. Without keys whoever reaches the address may, whatever host they name:
/// Envoy names its cluster, and no web page can make a browser speak HTTP/2 without TLS.
fn admit(auth: Auth, headers: &HeaderMap, meta: &MetaView) -> Result<Tenant, Status> {
    match auth {
        Auth::Open => Ok(auth::anonymous(meta).tenant),
        Auth::Keys => auth::admit(auth, SCOPE, headers, &Uri::default(), meta, wall_clock())
            .map(|caller| caller.tenant)
            .map_err(refused),
    }
}

fn refused(problem: Problem) -> Status {
    match problem.code {
        code::Code::Forbidden => Status::permission_denied(problem.detail),
        _ => Status::unauthenticated(problem.detail),
    }
}

/// What `grpc-timeout` gives, if it says so: up to eight digits and a unit. tonic ends a call that
/// takes longer; here it keeps one that nobody waits for from being counted.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::service::tests::decider, *};
    use std::{pin::pin, task::Waker};
    use tempfile::TempDir;

    /// A request of which nothing but the head ever comes.
    struct Stalled;

    impl hyper::body::Body for Stalled {
        type Data = bytes::Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_stranger_is_refused_before_anything_is_read() {
        let directory = TempDir::new().unwrap();
        let (_, health) = tonic_health::server::health_reporter();
        let mut routes = Routes {
            decider: Arc::new(decider(&directory).await),
            auth: Auth::Keys,
            request_bytes_max: 1_024,
            reflection: health.clone(),
            reflection_alpha: health.clone(),
            health,
        };
        let request = Request::post(SHOULD_RATE_LIMIT).body(Body::new(Stalled)).unwrap();
        let mut call = pin!(routes.call(request));
        let Poll::Ready(Ok(answer)) = call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("it waits for a stranger")
        };
        assert_eq!(answer.headers()["grpc-status"], "16");
    }

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            deadline(&headers)
        };
        assert_eq!(of("20m"), Some(Duration::from_millis(20)));
        assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        assert_eq!(of("1M"), Some(Duration::from_secs(60)));
        assert_eq!(of("3S"), Some(Duration::from_secs(3)));
        assert_eq!(of("5u"), Some(Duration::from_micros(5)));
        assert_eq!(of("7n"), Some(Duration::from_nanos(7)));
        for wrong in ["", "m", "20", "-1m", "123456789m", "1x", "1.5S", "\u{7f}"] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = wrong.parse() {
                headers.insert("grpc-timeout", value);
            }
            assert_eq!(deadline(&headers), None, "{wrong:?}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }
}
