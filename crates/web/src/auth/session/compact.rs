//! Tokens in a cookie: a JSON Web Token is stored as the decoded bytes, which are a quarter shorter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The first byte of a token that is stored unchanged.
const PLAIN: u8 = 0;
/// The first byte of a JSON Web Token. Two parts follow, each after its length, then the third part.
const JWT: u8 = 1;

/// Returns the bytes of a token.
pub(super) fn pack(token: &str) -> Vec<u8> {
    parts(token).filter(|packed| unpack(packed).as_deref() == Some(token)).unwrap_or_else(|| [&[PLAIN], token.as_bytes()].concat())
}

fn parts(token: &str) -> Option<Vec<u8>> {
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok()).collect::<Option<_>>()?;
    let [head, claims, signature] = parts.as_slice() else { return None };
    let mut packed = vec![JWT];
    for part in [head, claims] {
        packed.extend(u16::try_from(part.len()).ok()?.to_be_bytes());
        packed.extend(part);
    }
    packed.extend(signature);
    Some(packed)
}

/// Returns the token of the bytes.
pub(super) fn unpack(bytes: &[u8]) -> Option<String> {
    let (first, rest) = bytes.split_first()?;
    match *first {
        PLAIN => String::from_utf8(rest.to_vec()).ok(),
        JWT => {
            let part = |bytes: &'_ [u8]| -> Option<(String, usize)> {
                let length = usize::from(u16::from_be_bytes(*bytes.first_chunk()?)) + 2;
                Some((URL_SAFE_NO_PAD.encode(bytes.get(2..length)?), length))
            };
            let (head, used) = part(rest)?;
            let rest = rest.get(used..)?;
            let (claims, used) = part(rest)?;
            Some(format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(rest.get(used..)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was() {
        let jwt = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode("{\"alg\":\"RS256\"}"),
            URL_SAFE_NO_PAD.encode("{\"sub\":\"x\"}".repeat(30)),
            URL_SAFE_NO_PAD.encode([7; 256])
        );
        assert!(pack(&jwt).len() < jwt.len() * 4 / 5);
        // The last character has bits that no encoder writes.
        for token in [jwt.as_str(), "", "abcdef.0123456789abcdef", "a.b.c", "e30.e30.", "e31.e30.e30", "ä"] {
            assert_eq!(unpack(&pack(token)).as_deref(), Some(token));
        }
        for bytes in [&[][..], &[9], &[JWT], &[JWT, 255, 255, 1]] {
            assert_eq!(unpack(bytes), None);
        }
    }
}
