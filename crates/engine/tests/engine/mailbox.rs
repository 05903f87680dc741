//! The mailbox under any load: bounded, fair, and refusing the less important first.

use evenkeel_engine::{Mailbox, Priority, Refused, TenantId};
use proptest::prelude::*;

const PRIORITIES: [Priority; 3] = [Priority::Sheddable, Priority::Default, Priority::Critical];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    tenant: u32,
    priority: Priority,
    number: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Push(u32, Priority),
    Pop,
    PutBack,
    RemoveTenant(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let priority = proptest::sample::select(&PRIORITIES[..]);
    prop_oneof![
        6 => (0..5_u32, priority).prop_map(|(tenant, priority)| Step::Push(tenant, priority)),
        2 => Just(Step::Pop),
        1 => Just(Step::PutBack),
        1 => (0..5_u32).prop_map(Step::RemoveTenant),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_and_the_bound_holds(
        capacity in 1..12_usize,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut mailbox = Mailbox::new(capacity);
        let mut waiting: Vec<Item> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(tenant, priority) => {
                    let item = Item { tenant, priority, number };
                    push(&mut mailbox, &mut waiting, capacity, item)?;
                }
                Step::Pop => {
                    if let Some(item) = mailbox.pop() {
                        check_next(&waiting, item)?;
                        waiting.retain(|other| *other != item);
                    }
                }
                Step::PutBack => {
                    if let Some(item) = mailbox.pop() {
                        mailbox.push_front(TenantId(item.tenant), item.priority, item);
                    }
                }
                Step::RemoveTenant(tenant) => {
                    let gone = mailbox.remove_if(|item| item.tenant == tenant);
                    prop_assert!(gone.iter().all(|item| item.tenant == tenant));
                    prop_assert_eq!(gone.len(), held(&waiting, tenant));
                    waiting.retain(|item| item.tenant != tenant);
                }
            }
            prop_assert_eq!(mailbox.len(), waiting.len());
            prop_assert!(mailbox.len() <= capacity);
        }
        let mut rest = std::iter::from_fn(|| mailbox.pop()).collect::<Vec<Item>>();
        rest.sort_by_key(|item| item.number);
        prop_assert_eq!(rest, waiting);
    }

    /// Whoever waits has its turn before anyone has two.
    #[test]
    fn tenants_take_turns(counts in proptest::collection::vec(1..20_usize, 2..6)) {
        let mut mailbox = Mailbox::new(1_000);
        for (tenant, count) in (0_u32..).zip(&counts) {
            for number in 0..*count {
                mailbox.push(TenantId(tenant), Priority::Default, (tenant, number)).unwrap();
            }
        }
        let mut served = vec![0; counts.len()];
        while let Some((tenant, number)) = mailbox.pop() {
            let at = tenant as usize;
            prop_assert_eq!(number, served[at], "in the order in which they came");
            served[at] += 1;
            for (other, count) in served.iter().zip(&counts) {
                prop_assert!(*other + 1 >= served[at] || other == count, "{:?} of {:?}", served, counts);
            }
        }
        prop_assert_eq!(served, counts);
    }
}

fn held(waiting: &[Item], tenant: u32) -> usize {
    waiting.iter().filter(|item| item.tenant == tenant).count()
}

fn push(
    mailbox: &mut Mailbox<Item>,
    waiting: &mut Vec<Item>,
    capacity: usize,
    item: Item,
) -> Result<(), TestCaseError> {
    let full = waiting.len() == capacity;
    let lowest = waiting.iter().map(|other| other.priority).min();
    let refused = mailbox.push(TenantId(item.tenant), item.priority, item);
    waiting.push(item);
    let Err(Refused(refused)) = refused else {
        prop_assert!(!full);
        return Ok(());
    };
    prop_assert!(full, "nobody is refused while there is room");
    prop_assert!(waiting.contains(&refused));
    prop_assert!(refused.priority <= item.priority, "nobody more important makes way");
    prop_assert!(
        Some(refused.priority) == lowest || refused == item,
        "the least important makes way first"
    );
    if lowest < Some(item.priority) {
        prop_assert!(refused != item, "there was something less important");
    } else if refused != item {
        let now = held(waiting, refused.tenant) - 1;
        prop_assert!(now >= held(waiting, item.tenant), "only who has more makes way for less");
    }
    waiting.retain(|other| *other != refused);
    Ok(())
}

fn check_next(waiting: &[Item], item: Item) -> Result<(), TestCaseError> {
    let of_tenant = waiting.iter().filter(|other| other.tenant == item.tenant);
    let best = of_tenant.max_by_key(|other| (other.priority, usize::MAX - other.number));
    prop_assert_eq!(best, Some(&item), "the most important, of those the oldest");
    Ok(())
}

/// A tenant that floods cannot keep another out.
#[test]
fn a_flood_makes_way() {
    let mut mailbox = Mailbox::new(10);
    for number in 0..10 {
        mailbox.push(TenantId(1), Priority::Default, (1, number)).unwrap();
    }
    for number in 0..5 {
        let Err(Refused(victim)) = mailbox.push(TenantId(2), Priority::Default, (2, number)) else {
            panic!("it was full");
        };
        assert_eq!(victim, (1, 9 - number), "the newest of the flood");
    }
    let Err(Refused(victim)) = mailbox.push(TenantId(2), Priority::Default, (2, 5)) else {
        panic!("it was full");
    };
    assert_eq!(victim, (2, 5), "each has its share");
}
