//! What reads feeds.

use super::{
    access::actor,
    changes::post_of,
    views::{
        FeedPostBody, FeedPostList, FeedUserBody, PersonBody, PersonList, TimelineBody,
        TimelineList,
    },
};
use crate::{
    answer::{Answer, Delivered},
    call::{Call, Page},
    chat::{ReactionBody, ReactionList},
    cursor::List,
    failure,
    problem::Problem,
    query::{self, LIMIT_DEFAULT, Parameters},
    reads::{self, Kept, Written},
    routes::Operation,
};
use evenkeel_domains::feed::{self, Found, Listed, Order, Query, Tie, What};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `GET /v1/feeds/{u}`
pub(crate) async fn user(call: Call) -> Answered {
    call.parameters()?;
    let (found, delivered) = read(&call, What::User).await?;
    let Found::User(view) = found else { unreachable!("a user is answered") };
    let user = call.name(0)?;
    Ok(Answer::json(StatusCode::OK, &FeedUserBody::new(&user, &view)).delivered(delivered))
}

/// `GET /v1/feeds/{u}/posts`
pub(crate) async fn posts(call: Call) -> Answered {
    let user = call.name(0)?;
    let list = List(&["posts", &call.caller.tenant.name, &user]);
    let Page { limit, after } = Page::of(&call.parameters()?, &list)?;
    let before = after.map(|last| last.parse().map_err(|_| not_of_this_list())).transpose()?;
    let (found, delivered) = read(&call, What::Posts { before, limit }).await?;
    let Found::Posts(views, next) = found else { unreachable!("posts are answered") };
    let items = views.iter().map(FeedPostBody::new).collect();
    let body = FeedPostList { items, cursor: next.map(|last| list.cursor(&last.to_string())) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/feeds/{u}/posts/{p}`
pub(crate) async fn get_post(call: Call) -> Answered {
    call.parameters()?;
    let (found, delivered) = read(&call, What::Post { post: post_of(&call)? }).await?;
    let Found::Post(view) = found else { unreachable!("a post is answered") };
    Ok(Answer::json(StatusCode::OK, &FeedPostBody::new(&view)).delivered(delivered))
}

/// `GET /v1/feeds/{u}/posts/{p}/reactions`
pub(crate) async fn reactions(call: Call) -> Answered {
    let (user, post) = (call.name(0)?, post_of(&call)?);
    let list = List(&["post reactions", &call.caller.tenant.name, &user, &post.to_string()]);
    let Page { limit, after } = Page::of(&call.parameters()?, &list)?;
    // No kind has a space in it.
    let after = after.and_then(|last| {
        last.split_once(' ').map(|(kind, user)| (kind.to_owned(), user.to_owned()))
    });
    let (found, delivered) = read(&call, What::Reactors { post, after, limit }).await?;
    let Found::Reactors(pairs, next) = found else { unreachable!("reactions are answered") };
    let items = pairs.iter().map(|(kind, user)| ReactionBody { kind, user }).collect();
    let cursor = next.map(|(kind, user)| list.cursor(&format!("{kind} {user}")));
    Ok(Answer::json(StatusCode::OK, &ReactionList { items, cursor }).delivered(delivered))
}

/// `GET /v1/feeds/{u}/followers`, and the other lists of users.
pub(crate) async fn people(call: Call) -> Answered {
    let listed = match call.route.operation {
        Operation::ListFollowers => Listed::Followers,
        Operation::ListFollowing => Listed::Following,
        Operation::ListBlocks => Listed::Tied(Tie::Block),
        _ => Listed::Tied(Tie::Mute),
    };
    let (user, parameters) = (call.name(0)?, call.parameters()?);
    let order = order(&parameters)?;
    let way = if order == Order::Ascending { "asc" } else { "desc" };
    let kind = call.route.path.unwrap_or_default();
    let list = List(&[kind, &call.caller.tenant.name, &user, way]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let (found, delivered) = read(&call, What::People { listed, after, order, limit }).await?;
    let Found::People(people, next) = found else { unreachable!("users are answered") };
    let items = people.iter().map(PersonBody::new).collect();
    let body = PersonList { items, cursor: next.map(|last| list.cursor(&last)) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

fn order(parameters: &Parameters<'_>) -> Result<Order, Problem> {
    match parameters.get("order") {
        None | Some("asc") => Ok(Order::Ascending),
        Some("desc") => Ok(Order::Descending),
        Some(_) => Err(query::bad("order", "must be asc or desc")),
    }
}

/// `GET /v1/feeds/{u}/timeline`
pub(crate) async fn timeline(call: Call) -> Answered {
    let (user, by) = (call.name(0)?, actor(&call)?);
    let list = List(&["timeline", &call.caller.tenant.name, &user]);
    let Page { limit, after } = Page::of(&call.parameters()?, &list)?;
    let is_own = by.is_none_or(|by| by == user);
    if after.is_none()
        && limit <= LIMIT_DEFAULT
        && is_own
        && let Some(found) = newest(&call, &user).await?
    {
        return found.page(limit);
    }
    let before = after.map(|last| place_of(&last)).transpose()?;
    let (found, delivered) = read(&call, What::Timeline { before, limit }).await?;
    let Found::Timeline(page) = found else { unreachable!("a timeline is answered") };
    let items = page.items.iter().map(TimelineBody::new).collect();
    let cursor = page.next.map(|(post, author)| list.cursor(&place(post, &author)));
    Ok(Answer::json(StatusCode::OK, &TimelineList { items, cursor }).delivered(delivered))
}

/// The top of a user's timeline, if what is kept of it will do.
async fn newest(call: &Call, user: &str) -> Result<Option<reads::Found>, Problem> {
    reads::find(call, feed::DOMAIN, user, |options| {
        let (node, tenant) = (call.edge.node.clone(), call.caller.tenant.clone());
        let what = What::Timeline { before: None, limit: LIMIT_DEFAULT };
        let query = Query { user: user.to_owned(), by: None, what };
        async move {
            let user = query.user.clone();
            let list = List(&["timeline", &tenant.name, &user]);
            Kept::of(node.feed(&tenant, query, options).await, |found, _| {
                let Found::Timeline(page) = found else { unreachable!("a timeline is answered") };
                let items = page.items.iter().map(|item| {
                    let place = place(item.post.post, &item.author);
                    (TimelineBody::new(item), list.cursor(&place))
                });
                Written::list(items, page.next.is_none())
            })
        }
    })
    .await
}

fn place(post: u64, author: &str) -> String {
    format!("{post} {author}")
}

fn place_of(last: &str) -> Result<(u64, String), Problem> {
    let place = last
        .split_once(' ')
        .and_then(|(post, author)| Some((post.parse().ok()?, author.to_owned())));
    place.ok_or_else(not_of_this_list)
}

fn not_of_this_list() -> Problem {
    query::bad("cursor", "is not one of this list")
}

async fn read(call: &Call, what: What) -> Result<(Found, Delivered), Problem> {
    let (user, by) = (call.name(0)?, actor(call)?);
    let query = Query { user, by, what };
    let options = call.read_options()?;
    let called = call.edge.node.feed(&call.caller.tenant, query, options).await;
    Ok(Delivered::split(called.map_err(failure::problem)?))
}
