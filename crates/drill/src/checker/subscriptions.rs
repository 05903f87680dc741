//! I7: a subscriber sees every event after its position once, in order, or is told of the gap.

use super::observed::{Delivery, Event, Observed, Subscription};
use super::violation::{Evidence, Violation};
use std::collections::HashMap;

/// The first thing wrong with each stream and with what each subscriber was sent.
pub(super) fn check_subscriptions(observed: &Observed) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut streams: HashMap<(&str, u64), usize> = HashMap::new();
    let mut lasts: HashMap<&str, u64> = HashMap::new();
    for (index, event) in observed.events.iter().enumerate() {
        let last = lasts.entry(&event.resource).or_default();
        if event.seq != *last + 1 {
            violations.push(Violation {
                invariant: "I7",
                promise: format!(
                    "a stream's sequence is dense, but event {} follows event {last}.",
                    event.seq
                ),
                whom: format!("everyone who watches {}", event.resource),
                events: vec![Evidence::Event(index)],
            });
        }
        *last = event.seq;
        streams.insert((&event.resource, event.seq), index);
    }
    let sent = observed.subscriptions.iter();
    violations.extend(sent.filter_map(|subscription| check_one(observed, &streams, subscription)));
    violations
}

fn check_one(
    observed: &Observed,
    streams: &HashMap<(&str, u64), usize>,
    subscription: &Subscription,
) -> Option<Violation> {
    let at = |seq: u64| streams.get(&(subscription.resource.as_str(), seq)).copied();
    let broke = |promise: String, seqs: &[u64]| Violation {
        invariant: "I7",
        promise,
        whom: format!("{}, who watches {}", subscription.subscriber, subscription.resource),
        events: seqs.iter().filter_map(|seq| at(*seq)).map(Evidence::Event).collect(),
    };
    let mut last = subscription.after;
    for delivery in &subscription.received {
        let event: &Event = match delivery {
            Delivery::Event(event) => event,
            Delivery::Reset { seq } if *seq >= last => {
                last = *seq;
                continue;
            }
            Delivery::Reset { seq } => {
                let promise = format!("a stream never goes back, but it was reset to {seq}.");
                return Some(broke(promise, &[last]));
            }
        };
        if event.seq <= last {
            let promise = format!("each event comes once, but {} came after {last}.", event.seq);
            return Some(broke(promise, &[event.seq, last]));
        }
        if event.seq > last + 1 {
            let promise =
                format!("no event is left out, but {} came right after {last}.", event.seq);
            return Some(broke(promise, &[last + 1, event.seq]));
        }
        if at(event.seq).is_none_or(|index| observed.events[index] != *event) {
            let promise = format!("all see the same events, but {} was another.", event.seq);
            return Some(broke(promise, &[event.seq]));
        }
        last = event.seq;
    }
    let until = subscription.until;
    (last < until).then(|| {
        broke(format!("every event comes, but none came after {last} of {until}."), &[last + 1])
    })
}
