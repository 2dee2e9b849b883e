use std::path::Path;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use tidings_tests::harness::TestServer;
use tidings_tests::harness::server::temporary_directory;

use super::{EVERYWHERE, upgrade};
use tidings_tests::token::{self, SECRET};

/// A key of a test: what signs, and its public half in PEM.
struct Key {
    signing: EncodingKey,
    public: String,
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

fn rsa() -> Key {
    use aws_lc_rs::encoding::Pkcs8V1Der;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = aws_lc_rs::encoding::AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let signing =
        EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    Key { signing, public: pem("PUBLIC KEY", public.as_ref()) }
}

fn ec(is_384: bool) -> Key {
    let how =
        if is_384 { &ECDSA_P384_SHA384_FIXED_SIGNING } else { &ECDSA_P256_SHA256_FIXED_SIGNING };
    let private = EcdsaKeyPair::generate_pkcs8(how, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(how, private.as_ref()).unwrap();
    let signing =
        EncodingKey::from_ec_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    Key { signing, public: pem("PUBLIC KEY", public.as_ref()) }
}

fn ed() -> Key {
    let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
    let signing =
        EncodingKey::from_ed_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    Key { signing, public: pem("PUBLIC KEY", public.as_ref()) }
}

/// A server that knows a key of each kind, and those keys.
async fn server_with(directory: &Path) -> (TestServer, [Key; 4]) {
    let keys = [rsa(), ec(false), ec(true), ed()];
    let mut text = "[auth]\nkeys = [\n\
        { id = \"hs\", algorithm = \"HS256\", secret_env = \"TIDINGS_SECRET\" },\n\
        { id = \"other\", algorithm = \"HS256\", secret_env = \"TIDINGS_OTHER\" },\n\
        { id = \"hs512\", algorithm = \"HS512\", secret_env = \"TIDINGS_SECRET\" },\n"
        .to_owned();
    for (name, key) in ["RS256", "ES256", "ES384", "EdDSA"].iter().zip(&keys) {
        let file = directory.join(format!("{name}.pem"));
        std::fs::write(&file, &key.public).unwrap();
        text += &format!("{{ id = \"{name}\", algorithm = \"{name}\", file = {file:?} }},\n");
    }
    let secrets =
        [("TIDINGS_SECRET", SECRET), ("TIDINGS_OTHER", "another secret of 32 bytes length")];
    let server =
        TestServer::spawn_with_environment(&format!("{text}]\n{EVERYWHERE}"), &secrets).await;
    (server, keys)
}

async fn status(server: &TestServer, token: &str) -> u16 {
    upgrade(server, &format!("/v1/ws?token={token}"), "").await.status
}

#[tokio::test]
async fn every_kind_of_key_is_believed_for_its_algorithm_alone() {
    let directory = temporary_directory();
    let (server, keys) = server_with(directory.path()).await;
    let claims = json!({ "sub": "ann", "exp": token::now() + 100 }).to_string();
    let names = ["RS256", "ES256", "ES384", "EdDSA"];
    let kinds = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
    for ((key, name), kind) in keys.iter().zip(names).zip(kinds) {
        let sign = |header: String| token::signed(&header, &claims, &key.signing, kind);
        assert_eq!(status(&server, &sign(format!("{{\"alg\":\"{name}\"}}"))).await, 101, "{name}");
        let named = format!("{{\"alg\":\"{name}\",\"kid\":\"{name}\"}}");
        assert_eq!(status(&server, &sign(named)).await, 101, "{name}");
        for kid in ["hs", "RS512", "../../etc/passwd", "/dev/null", "hs\\u0000", ""] {
            let header = format!("{{\"alg\":\"{name}\",\"kid\":\"{kid}\"}}");
            assert_eq!(status(&server, &sign(header)).await, 401, "{name} {kid}");
        }
        // The token claims to be signed in another way than it is, or not to be signed.
        for alg in ["none", "nOnE", "NONE", "HS256", "RS384", "PS256", "x"] {
            let header = format!("{{\"alg\":\"{alg}\"}}");
            assert_eq!(status(&server, &sign(header)).await, 401, "{name} {alg}");
        }
    }
}

#[tokio::test]
async fn without_a_name_every_key_of_the_algorithm_is_tried() {
    let directory = temporary_directory();
    let (server, _) = server_with(directory.path()).await;
    let claims = json!({ "sub": "ann", "exp": token::now() + 100 }).to_string();
    let other = EncodingKey::from_secret(b"another secret of 32 bytes length");
    let sign = |header: &str| token::signed(header, &claims, &other, Algorithm::HS256);
    assert_eq!(status(&server, &sign(r#"{"alg":"HS256"}"#)).await, 101);
    assert_eq!(status(&server, &sign(r#"{"alg":"HS256","kid":"other"}"#)).await, 101);
    assert_eq!(status(&server, &sign(r#"{"alg":"HS256","kid":"hs"}"#)).await, 401);
    let hs512 = EncodingKey::from_secret(SECRET.as_bytes());
    let sign = |header: &str| token::signed(header, &claims, &hs512, Algorithm::HS512);
    assert_eq!(status(&server, &sign(r#"{"alg":"HS512"}"#)).await, 101);
    assert_eq!(status(&server, &sign(r#"{"alg":"HS384"}"#)).await, 401);
}

#[tokio::test]
async fn a_public_key_is_no_secret_and_a_key_in_the_token_none_at_all() {
    let directory = temporary_directory();
    let (server, keys) = server_with(directory.path()).await;
    let claims = json!({ "sub": "ann", "exp": token::now() + 100 }).to_string();
    let public = std::fs::read(directory.path().join("RS256.pem")).unwrap();
    let der =
        STANDARD.decode(keys[0].public.lines().filter(|l| !l.starts_with('-')).collect::<String>());
    for secret in [public, der.unwrap(), Vec::new()] {
        let key = EncodingKey::from_secret(&secret);
        for header in [
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"HS256","kid":"RS256"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"RS256","kid":"RS256"}"#,
        ] {
            let token = token::signed(header, &claims, &key, Algorithm::HS256);
            assert_eq!(status(&server, &token).await, 401, "{header}");
        }
    }
    let mine = EncodingKey::from_secret(b"mine");
    for header in [
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"bWluZQ"}}"#,
        r#"{"alg":"HS256","jku":"http://127.0.0.1/keys","x5u":"http://127.0.0.1/"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{}"#,
    ] {
        let token = token::signed(header, &claims, &mine, Algorithm::HS256);
        assert_eq!(status(&server, &token).await, 401, "{header}");
    }
    let crit = EncodingKey::from_secret(SECRET.as_bytes());
    let token =
        token::signed(r#"{"alg":"HS256","crit":["b64"]}"#, &claims, &crit, Algorithm::HS256);
    assert_eq!(status(&server, &token).await, 401);
}
