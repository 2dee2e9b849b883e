use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;

use super::auth::Algorithm;
use super::schema::Shape;
use super::setting::{Context, Setting};
use super::tree::Node;

/// Largest PEM file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A PEM file and what it held when the configuration was read. Only its path is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    path: PathBuf,
    text: Arc<[u8]>,
}

impl PemFile {
    /// The public key in it, for an algorithm.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn public_key(&self, algorithm: Algorithm) -> Result<DecodingKey, String> {
        if self.text.windows(11).any(|part| part == b"PRIVATE KEY") {
            return Err("this is a private key; only the public one belongs here".to_owned());
        }
        let key = match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => DecodingKey::from_ec_pem(&self.text),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(&self.text),
            _ => DecodingKey::from_rsa_pem(&self.text),
        };
        let wrong = || format!("this is no public key for {} in PEM", algorithm.as_str());
        let key = key.map_err(|_| wrong())?;
        // An uncompressed point of the curve (SEC 1, section 2.3.3).
        let point_bytes = match algorithm {
            Algorithm::Es256 => Some(65),
            Algorithm::Es384 => Some(97),
            _ => None,
        };
        let found = key.try_get_as_bytes().map(<[u8]>::len).map_err(|_| wrong())?;
        if point_bytes.is_some_and(|bytes| bytes != found) {
            return Err(wrong());
        }
        Ok(key)
    }
}

impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PemFile({})", self.path.display())
    }
}

impl Setting for PemFile {
    fn shape() -> Shape {
        Shape::Value("file path")
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let path = PathBuf::read(node, cx)?;
        let is_small = std::fs::metadata(&path).map(|about| about.len() <= FILE_BYTES_MAX);
        match is_small.and_then(|is_small| Ok((is_small, std::fs::read(&path)?))) {
            Ok((true, text)) => Some(Self { path, text: text.into() }),
            Ok((false, _)) => {
                let title = format!("{} is too large for a key", path.display());
                cx.reject(title, &node.place, "")
            }
            Err(error) => {
                let title = format!("cannot read {}: {error}", path.display());
                cx.reject(title, &node.place, "it should hold a public key in PEM")
            }
        }
    }

    fn write(&self) -> Option<toml::Value> {
        self.path.write()
    }
}
