//! What a caller is told where nobody can count; what can be counted is in the tests of the binary,
//! with Envoy's own messages.

use super::*;
use evenkeel_node::NodeOptions;
use tempfile::TempDir;

const RULES: &str = "domain: d\ndescriptors:\n\
    - {key: k, rate_limit: {unit: day, requests_per_unit: 1}}\n\
    - {key: free, rate_limit: {unlimited: true}}\n";

fn request(key: &str) -> RateLimitRequest {
    let entry = Entry { key: key.into(), value: "v".into() };
    let descriptor = Descriptor { entries: vec![entry], ..Descriptor::default() };
    RateLimitRequest { domain: "d".into(), descriptors: vec![descriptor], hits_addend: 0 }
}

pub(in super::super) async fn decider(directory: &TempDir) -> Decider {
    std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
    let mut options = NodeOptions::new(directory.path().join("data"));
    (options.init, options.partitions, options.segment_bytes) = (true, 2, 1 << 20);
    let node = Node::open(options).await.unwrap();
    let meters = Meters::new(&node);
    Decider {
        node,
        meter: meters.get("limits.check").unwrap(),
        meters,
        rules: Arc::new(Directory::open(directory.path()).unwrap()),
        windows: Windows::Rolling,
        response_headers: false,
    }
}

#[tokio::test]
async fn a_node_that_cannot_count_is_unavailable() {
    let directory = TempDir::new().unwrap();
    let decider = decider(&directory).await;
    let tenant = decider.node.tenant("default").unwrap();
    let counted = decider.decide(&tenant, &request("k"), None).await.unwrap();
    assert_eq!(counted.overall_code(), Code::Ok);
    // A deadline that is over before it is decided: it is not counted.
    let late = decider.decide(&tenant, &request("k"), Some(Duration::ZERO)).await;
    let late = late.unwrap_err();
    assert_eq!(late.code(), tonic::Code::Unavailable, "{late}");
    decider.node.shutdown().await;
    let gone = decider.decide(&tenant, &request("k"), None).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::Unavailable, "{gone}");
    // What is not counted needs nobody.
    let free = decider.decide(&tenant, &request("free"), None).await.unwrap();
    assert_eq!((free.overall_code(), free.statuses[0].limit_remaining), (Code::Ok, u32::MAX));
    let none = decider.decide(&tenant, &request("other"), None).await.unwrap();
    assert_eq!((none.overall_code(), none.statuses[0].limit_remaining), (Code::Ok, 0));
}

#[tokio::test]
async fn requests_are_counted_under_the_contract_of_checks() {
    let directory = TempDir::new().unwrap();
    let decider = decider(&directory).await;
    let tenant = decider.node.tenant("default").unwrap();
    // One is admitted, one refused, one asked too late.
    for deadline in [None, None, Some(Duration::ZERO)] {
        let _ = decider.decide(&tenant, &request("k"), deadline).await;
    }
    let counted = decider.meter.lifetime();
    assert_eq!((counted.requests, counted.appends), (3, 1));
    for code in ["ok", "limited", "deadline_exceeded"] {
        assert_eq!(counted.outcomes.get(code), Some(&1), "{code}: {counted:?}");
    }
}
