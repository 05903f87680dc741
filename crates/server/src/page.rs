//! The pages for people: the products with every path and its contract at `/`, what a problem means at the address of
//! its type, and the files that a caller of this crate adds. Nothing in them needs anything from elsewhere.

use crate::{
    answer::{Answer, Body},
    auth,
    call::Call,
    code::Code,
    options::StaticFile,
    problem::Problem,
    text::push_hex,
};
use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS},
};

const PAGE: &str = include_str!("page.html");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// `GET /`
pub(crate) fn page(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    // A script's text ends at `</script` only, and in JSON a `<` is always in a string.
    let demo = serde_json::to_string(&call.edge.options.demo).expect("its keys are strings");
    let demo = demo.replace('<', "\\u003c");
    Ok(html(|nonce| PAGE.replace("{{nonce}}", nonce).replace("{{demo}}", &demo)))
}

/// `GET /docs/problems/{code}`
pub(crate) fn problem_page(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    let name = call.name(0)?;
    let code = Code::from_name(&name)
        .ok_or_else(|| Problem::new(Code::NotFound, "there is no problem of this code"))?;
    let meaning = code.meaning();
    let again = if meaning.retryable {
        "The same request may succeed later."
    } else {
        "The same request will not succeed later by itself."
    };
    Ok(html(|nonce| {
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{code}</title>\
             <style nonce=\"{nonce}\">:root{{color-scheme:light dark}}body{{max-width:40rem;\
             margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}}</style>\
             <main><h1>{title}</h1><p><code>{code}</code>, HTTP status {status}</p><p>{advice}</p>\
             <p>{again}</p><p><a href=\"/\">All paths</a></p></main></html>",
            code = meaning.code,
            title = meaning.title,
            status = meaning.status,
            advice = meaning.advice,
        )
    }))
}

/// A file that was added, as it is. It may open WebSockets to `host`, from which it comes.
pub(crate) fn file(file: &StaticFile, host: Option<&str>) -> Answer {
    let content_type = HeaderValue::from_static(file.content_type);
    // To older browsers 'self' is HTTP alone. A policy cannot name IPv6 addresses.
    let host = host.filter(|host| !host.starts_with('['));
    let sockets = host.map(|host| format!(" ws://{host}")).unwrap_or_default();
    guarded(content_type, file.text.as_bytes().to_vec(), "'self'", &sockets)
}

/// A page whose styles and scripts are those that it came with, known by a nonce.
fn html(render: impl FnOnce(&str) -> String) -> Answer {
    let mut nonce = String::new();
    push_hex(&mut nonce, &auth::entropy()[..16]);
    guarded(HTML, render(&nonce).into_bytes(), &format!("'nonce-{nonce}'"), "")
}

/// What a browser may do with a page: it runs scripts and styles that come from `source`, asks this server
/// and `sockets`, and shows it in no other's frame.
fn guarded(content_type: HeaderValue, bytes: Vec<u8>, source: &str, sockets: &str) -> Answer {
    let policy = format!(
        "default-src 'none'; connect-src 'self'{sockets}; script-src {source}; style-src {source}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("the policy is visible ASCII");
    Answer::new(StatusCode::OK, content_type, Body::from(bytes))
        .header(CONTENT_SECURITY_POLICY, policy)
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .header(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
        .header(OPENER, HeaderValue::from_static("same-origin"))
}
