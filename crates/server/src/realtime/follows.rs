//! What a connection follows: from its wish, over what it has to read first, to what it is sent as it
//! happens.

use super::{
    close::Why,
    frames::{self, Id},
    session::{End, Session},
    subscriptions::{SUBSCRIPTIONS_MAX, Subscription, event_text},
};
use crate::{code::Code, failure, problem::Problem};
use evenkeel_domains::chat::Start;
use evenkeel_node::{Follow, Followed, LiveEvent, NodeError};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};

impl Session {
    pub(super) fn subscribe(
        &mut self,
        id: Id,
        conversation: &str,
        after: Start,
        present: Option<String>,
    ) -> Result<(), Problem> {
        if self.subscriptions.named(conversation).is_some() {
            return Err(Problem::invalid("that is followed already on this connection"));
        }
        if self.subscriptions.len() + self.timelines.len() >= SUBSCRIPTIONS_MAX {
            let detail = format!("one connection can follow {SUBSCRIPTIONS_MAX} things");
            return Err(Problem::new(Code::QuotaExceeded, detail));
        }
        let number = self.subscriptions.next_number();
        let follow = Arc::new(Follow {
            outlet: Arc::clone(&self.outlet),
            subscription: number,
            present: present.map(Into::into),
        });
        let subscription = Subscription {
            conversation: conversation.into(),
            follow,
            entity: None,
            id,
            is_announced: false,
            typed: None,
        };
        self.subscriptions.insert(number, subscription, after);
        Ok(())
    }

    /// Begins to read the next page for whoever is behind, if none is being read.
    pub(super) fn read_on(&mut self) {
        while !self.is_reading
            && let Some((number, after)) = self.subscriptions.behind.pop_front()
        {
            let (Some(who), Some(subscription)) = (&self.who, self.subscriptions.get(number))
            else {
                continue;
            };
            let (conversation, by) = (&subscription.conversation, who.user.as_deref());
            self.edge.node.follow(who.tenant(), conversation, by, after, &subscription.follow);
            self.is_reading = true;
        }
    }

    /// A page was read for a subscription.
    pub(super) async fn turn_page(
        &mut self,
        number: u32,
        page: Result<Followed, NodeError>,
    ) -> Result<(), End> {
        self.is_reading = false;
        // It may have been given up meanwhile.
        let Some(subscription) = self.subscriptions.get_mut(number) else { return Ok(()) };
        let conversation = Arc::clone(&subscription.conversation);
        let topic = frames::conversation(&conversation);
        let id = subscription.id.take();
        let Followed { page, is_live } = match page {
            Ok(followed) => followed,
            Err(error) => {
                let was_announced = subscription.is_announced;
                self.subscriptions.remove(number);
                let problem = failure::problem(error);
                let text = if was_announced {
                    frames::unsubscribed(&topic, problem.code.meaning().code, None)
                } else {
                    frames::failed(id.as_deref(), &problem)
                };
                return self.write(text).await;
            }
        };
        subscription.entity = Some(page.entity);
        if page.reset {
            self.edge.counters.streams_reset.fetch_add(1, Relaxed);
            let reload = format!("/v1/conversations/{conversation}");
            let what = "the conversation and its messages";
            self.write(frames::reset(&topic, page.next, &reload, what)).await?;
            return Err(Why::InsufficientState.into());
        }
        if !std::mem::replace(&mut subscription.is_announced, true) {
            let begins = page.events.first().map_or(page.next, |first| {
                let mut position = first.position;
                position.sequence -= 1;
                position
            });
            let text = frames::subscribed(&topic, begins, id.as_deref());
            self.write(text).await?;
        }
        for view in &page.events {
            self.write(utf8(event_text(&conversation, view))).await?;
        }
        if !is_live {
            self.subscriptions.behind.push_back((number, Start::After(page.next)));
        }
        Ok(())
    }

    /// Whether the user whose connection this is has just been removed.
    fn ends_with(&self, removed: Option<&str>) -> bool {
        let user = self.who.as_ref().and_then(|who| who.user.as_deref());
        user.is_some() && user == removed
    }

    pub(super) async fn end_subscription(&mut self, number: u32, reason: &str) -> Result<(), End> {
        let Some(gone) = self.subscriptions.remove(number) else { return Ok(()) };
        let text = frames::unsubscribed(&frames::conversation(&gone.conversation), reason, None);
        self.part(vec![gone]);
        self.write(text).await
    }

    /// Lets the owners know that somebody follows no more.
    pub(super) fn part(&self, gone: Vec<Subscription>) {
        let Some(who) = &self.who else { return };
        // Only what is dropped is gone.
        let gone: Vec<_> = gone.into_iter().map(|one| (one.conversation, one.entity)).collect();
        let known = gone.iter().filter_map(|(name, entity)| Some((&**name, (*entity)?)));
        self.edge.node.unfollow(who.tenant(), known);
    }

    pub(super) fn type_in(&mut self, conversation: &str, is_so: bool) -> Result<(), Problem> {
        let subscription = self.subscriptions.named_mut(conversation);
        let present = subscription.and_then(|one| {
            let present = one.follow.present.clone().zip(one.entity)?;
            Some((one.says_again(is_so), present))
        });
        let Some((again, (user, entity))) = present else {
            let detail = "who is seen typing follows the conversation with \"presence\": true";
            return Err(Problem::invalid(detail));
        };
        if let Some(who) = self.who.as_ref().filter(|_| !again) {
            self.edge.node.typing(who.tenant(), conversation, entity, &user, is_so);
        }
        Ok(())
    }

    pub(super) async fn write_event(&mut self, number: u32, event: &LiveEvent) -> Result<(), End> {
        // What is followed no more may have been on its way.
        let Some(subscription) = self.subscriptions.get(number) else { return Ok(()) };
        let text = event.text(|view| event_text(&subscription.conversation, view));
        self.write(utf8(text)).await?;
        if self.ends_with(event.view.event.removed()) {
            return self.end_subscription(number, "removed").await;
        }
        Ok(())
    }
}

/// JSON as text.
fn utf8(bytes: Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(bytes).expect("JSON is UTF-8")
}
