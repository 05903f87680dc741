//! The bytes of a request, written into one reused buffer.

use std::fmt::Write as _;

/// Writes requests for one server and one caller.
pub struct RequestWriter {
    fixed: String,
    bytes: Vec<u8>,
}

impl RequestWriter {
    /// `authority` is what `Host` carries; `api_key` goes into `Authorization`.
    #[must_use]
    pub fn new(authority: &str, api_key: Option<&str>) -> Self {
        let mut fixed = format!(" HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(key) = api_key {
            let _ = write!(fixed, "Authorization: Bearer {key}\r\n");
        }
        debug_assert!(!fixed.contains("\n\r"));
        Self { fixed, bytes: Vec::with_capacity(1024) }
    }

    /// The request that was written last.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A request without a body.
    pub fn get(&mut self, path: &str) -> &[u8] {
        self.write("GET", path, &[], None)
    }

    /// A POST of JSON, with an idempotency key if there is one.
    pub fn post(&mut self, path: &str, idempotency_key: Option<&str>, body: &[u8]) -> &[u8] {
        match idempotency_key {
            Some(key) => self.write("POST", path, &[("Idempotency-Key", key)], Some(body)),
            None => self.write("POST", path, &[], Some(body)),
        }
    }

    /// A PUT of JSON.
    pub fn put(&mut self, path: &str, body: &[u8]) -> &[u8] {
        self.write("PUT", path, &[], Some(body))
    }

    /// Any request. `path` and the headers are written as they are: they must hold no line
    /// ends. A body is JSON.
    pub fn write(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> &[u8] {
        debug_assert!(!path.contains(['\r', '\n', ' ']));
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(path.as_bytes());
        bytes.extend_from_slice(self.fixed.as_bytes());
        for (name, value) in headers {
            debug_assert!(!value.contains(['\r', '\n']));
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if let Some(body) = body {
            bytes.extend_from_slice(b"Content-Type: application/json\r\nContent-Length: ");
            push_decimal(bytes, body.len() as u64);
            bytes.extend_from_slice(b"\r\n\r\n");
            bytes.extend_from_slice(body);
        } else {
            bytes.extend_from_slice(b"\r\n");
        }
        &self.bytes
    }
}

/// Idempotency keys that no other mint of this or another run makes.
#[derive(Debug, Clone)]
pub struct KeyMint {
    key: Vec<u8>,
    prefix: usize,
    next: u64,
}

impl KeyMint {
    /// Draws a random prefix of 64 bits.
    #[must_use]
    pub fn new() -> Self {
        let key = format!("{:016x}-", fastrand::u64(..)).into_bytes();
        Self { prefix: key.len(), key, next: 0 }
    }

    /// A key that was not given out before.
    pub fn mint(&mut self) -> &str {
        self.key.truncate(self.prefix);
        push_decimal(&mut self.key, self.next);
        self.next += 1;
        std::str::from_utf8(&self.key).expect("hexadecimal digits, a dash and digits are ASCII")
    }
}

impl Default for KeyMint {
    fn default() -> Self {
        Self::new()
    }
}

/// Faster than the formatting machinery, which shows at 50,000 requests a second.
pub(super) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_http_asks_for() {
        let mut writer = RequestWriter::new("127.0.0.1:7480", Some("ek_a_b"));
        let post = writer.post("/v1/resources/r/holds", Some("k1"), b"{}");
        assert_eq!(
            std::str::from_utf8(post).unwrap(),
            "POST /v1/resources/r/holds HTTP/1.1\r\nHost: 127.0.0.1:7480\r\n\
             Authorization: Bearer ek_a_b\r\nIdempotency-Key: k1\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        let get = writer.get("/v1/resources/r");
        assert!(get.ends_with(b"ek_a_b\r\n\r\n") && get.starts_with(b"GET /v1/resources/r HTTP"));
    }

    #[test]
    fn keys_are_fresh() {
        let (mut one, mut other) = (KeyMint::new(), KeyMint::new());
        let keys: std::collections::BTreeSet<String> =
            (0..1000).flat_map(|_| [one.mint().to_owned(), other.mint().to_owned()]).collect();
        assert_eq!(keys.len(), 2000);
    }

    #[test]
    fn decimals_are_decimal() {
        for number in [0, 7, 10, 99, 12_345, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
