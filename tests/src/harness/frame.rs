/// Opcodes of RFC 6455, section 5.2.
pub const CONTINUATION: u8 = 0;
/// UTF-8.
pub const TEXT: u8 = 1;
/// Bytes.
pub const BINARY: u8 = 2;
/// The last frame of a side.
pub const CLOSE: u8 = 8;
/// Asks for a pong.
pub const PING: u8 = 9;
/// Answers a ping.
pub const PONG: u8 = 10;

/// A client's whole frame.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    masked_with(0x80 | opcode, payload)
}

/// A client's frame whose first byte is given: bits and opcode.
pub fn masked_with(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x11, 0xd7, 0x3a, 0x80];
    let mut out = head(first, payload.len(), 0x80);
    out.extend_from_slice(&KEY);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A frame as only a server may send it.
pub fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(0x80 | opcode, payload.len(), 0);
    out.extend_from_slice(payload);
    out
}

/// The head of a frame that claims so many bytes.
pub fn head(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut out = vec![first];
    match length {
        0..=125 => out.push(mask | length as u8),
        126..=0xffff => {
            out.push(mask | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out
}

/// A close frame's payload.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Takes a server's first whole frame off `bytes`: opcode and payload.
pub fn take(bytes: &mut bytes::BytesMut) -> Option<(u8, Vec<u8>)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "the server sends whole frames without extensions");
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (length, head) = match second {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()) as usize, 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize, 10),
        short => (short as usize, 2),
    };
    if bytes.len() < head + length {
        return None;
    }
    let frame = bytes.split_to(head + length);
    Some((first & 0x0f, frame[head..].to_vec()))
}
