//! The chunked transfer coding of HTTP/1.1 (RFC 9112, section 7.1), decoded piece by piece.

use super::client::ClientError;

/// A chunk-size line or a trailer line longer than this is refused.
const LINE_BYTES_MAX: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: usize, digits: usize },
    Extension { size: usize },
    Data { left: usize },
    DataEnd,
    Trailer { bytes: usize },
    Done,
}

/// Where a chunked body has got to.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    line_bytes: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, line_bytes: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Appends the payload in `input` to `body`; answers how much of `input` was used: all of
    /// it, unless the body ended before.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<usize, ClientError> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let State::Data { left } = self.state {
                let taken = left.min(input.len() - at);
                body.extend_from_slice(&input[at..at + taken]);
                at += taken;
                self.state = if taken == left {
                    self.line_bytes = 0;
                    State::DataEnd
                } else {
                    State::Data { left: left - taken }
                };
                continue;
            }
            self.line_bytes += 1;
            if self.line_bytes > LINE_BYTES_MAX {
                return Err(ClientError::Malformed("a chunk line is too long"));
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// One byte of framing. Lines end in CR LF; a lone LF is accepted too.
    fn step(&mut self, byte: u8) -> Result<State, ClientError> {
        let next = match (self.state, byte) {
            (State::Size { size, digits }, b'\n') if digits > 0 => self.after_size(size),
            (State::Size { size, digits }, b'\r' | b';' | b' ') if digits > 0 => {
                State::Extension { size }
            }
            (State::Size { size, digits }, byte) if digits < 15 => {
                let digit = char::from(byte)
                    .to_digit(16)
                    .ok_or(ClientError::Malformed("a chunk size is not hexadecimal"))?;
                State::Size { size: size * 16 + digit as usize, digits: digits + 1 }
            }
            (State::Extension { size }, b'\n') => self.after_size(size),
            (State::Extension { size }, _) => State::Extension { size },
            (State::DataEnd, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => {
                self.line_bytes = 0;
                State::Size { size: 0, digits: 0 }
            }
            (State::Trailer { .. }, b'\r') => self.state,
            (State::Trailer { bytes: 0 }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { bytes: 0 },
            (State::Trailer { bytes }, _) => State::Trailer { bytes: bytes + 1 },
            _ => return Err(ClientError::Malformed("a chunk is not framed as announced")),
        };
        Ok(next)
    }

    fn after_size(&mut self, size: usize) -> State {
        self.line_bytes = 0;
        if size == 0 { State::Trailer { bytes: 0 } } else { State::Data { left: size } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_in_pieces(input: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool), ClientError> {
        let mut chunked = Chunked::new();
        let mut body = Vec::new();
        let mut used = 0;
        for bytes in input.chunks(piece) {
            used += chunked.decode(bytes, &mut body)?;
        }
        Ok((body, used, chunked.is_done()))
    }

    #[test]
    fn any_split_gives_the_same_body() {
        let input = b"4;name=value\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\n";
        for piece in 1..=input.len() {
            let (body, used, done) = decode_in_pieces(input, piece).unwrap();
            assert_eq!(body, b"Wikipedia in \r\n\r\nchunks.");
            assert_eq!(used, input.len());
            assert!(done);
        }
    }

    #[test]
    fn stops_at_the_end_of_the_body() {
        let (body, used, done) = decode_in_pieces(b"1\r\na\r\n0\r\n\r\nHTTP/1.1", 100).unwrap();
        assert_eq!((body.as_slice(), used, done), (&b"a"[..], 11, true));
    }

    #[test]
    fn refuses_what_is_not_chunked() {
        assert!(decode_in_pieces(b"hello\r\n", 3).is_err());
        assert!(decode_in_pieces(b"\r\n", 1).is_err());
        assert!(decode_in_pieces(b"1\r\nab", 9).is_err());
        assert!(decode_in_pieces(b"ffffffffffffffffff\r\n", 9).is_err());
        assert!(decode_in_pieces(&vec![b'0'; LINE_BYTES_MAX + 2], 64).is_err());
        let endless = [b"1;".to_vec(), vec![b'x'; LINE_BYTES_MAX]].concat();
        assert!(decode_in_pieces(&endless, 64).is_err());
    }
}
