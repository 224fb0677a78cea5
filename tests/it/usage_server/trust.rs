//! A program that trusts the stand-in for the account's service.
//!
//! The program has its root certificates compiled in and no setting for others, so that no environment variable can make
//! it send a token to another server; a setting for tests would be such a hole. The tests therefore run a copy of the
//! program in which the public key of one root is replaced by ours. Every other byte is the program's, and TLS is real.

use std::fs::{self, Permissions};
use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384,
    PublicKeyData, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, TrustAnchor};

use super::HOST;
use crate::support::program;

/// The root that is replaced, by its certificate's subject: country, organisation, name.
const ROOT: [(DnType, &str); 3] = [
    (DnType::CountryName, "US"),
    (DnType::OrganizationName, "Internet Security Research Group"),
    (DnType::CommonName, "ISRG Root X2"),
];

/// The stand-in's certificate.
#[derive(Debug, Clone, Copy)]
pub enum TestCa {
    /// For the service's host, from the authority that the program trusts.
    Trusted,
    /// For the service's host, from another authority of the same name.
    UntrustedIssuer,
    /// For another host, from the authority that the program trusts.
    WrongHost,
    /// As `Trusted`, but expired.
    Expired,
}

/// An issuer of certificates under the root's name.
type Authority = Issuer<'static, KeyPair>;

static TRUSTED: LazyLock<Authority> = LazyLock::new(authority);

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, text) in ROOT {
        let text = rcgen::string::PrintableString::try_from(text).unwrap();
        params
            .distinguished_name
            .push(kind, rcgen::DnValue::PrintableString(text));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    Issuer::new(params, key)
}

/// The configuration of a TLS server with this certificate.
pub fn server(ca: TestCa) -> Arc<ServerConfig> {
    let host = match ca {
        TestCa::WrongHost => "api.example.com",
        TestCa::Trusted | TestCa::UntrustedIssuer | TestCa::Expired => HOST,
    };
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    if matches!(ca, TestCa::Expired) {
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match ca {
        TestCa::UntrustedIssuer => params.signed_by(&key, &authority()),
        TestCa::Trusted | TestCa::WrongHost | TestCa::Expired => params.signed_by(&key, &TRUSTED),
    };
    let chain = vec![certificate.unwrap().der().clone()];
    let names_the_root = chain[0]
        .windows(root().subject.len())
        .any(|part| part == &*root().subject);
    assert!(names_the_root, "the issuer's name is not the root's");
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    Arc::new(server.unwrap())
}

/// The root as the program has it.
fn root() -> &'static TrustAnchor<'static> {
    let (_, name) = &ROOT[2];
    let is_it = |root: &&TrustAnchor<'_>| root.subject.ends_with(name.as_bytes());
    webpki_roots::TLS_SERVER_ROOTS.iter().find(is_it).unwrap()
}

/// The copy of the program that trusts [`TestCa::Trusted`]. Deleted with the last test that uses it.
#[derive(Debug)]
pub struct TrustingBinary(tempfile::TempDir);

impl TrustingBinary {
    /// Made for the first test that asks for it.
    pub fn program() -> Arc<Self> {
        static SHARED: Mutex<Weak<TrustingBinary>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Self::new());
            *shared = Arc::downgrade(&made);
            made
        })
    }

    fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("acd-trusting-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let written = directory.path().join("written");
        write_trusting(program(), &written);
        let made = Self(directory);
        // Another test's child may hold what this process writes open until it runs its own program, and what is open
        // for writing cannot be run (ETXTBSY): so the program is written by a process without children.
        let copied = Command::new("cp").arg(&written).arg(made.path()).status();
        assert!(copied.unwrap().success());
        fs::remove_file(written).unwrap();
        made
    }

    pub fn path(&self) -> PathBuf {
        let name = program().file_name().unwrap();
        self.0.path().join(name)
    }
}

/// Writes a copy of the program that trusts [`TestCa::Trusted`].
pub fn write_trusting(program: &Path, copy: &Path) {
    let mut text = fs::read(program).unwrap();
    let theirs = &*root().subject_public_key_info;
    let ours = TRUSTED.key().subject_public_key_info();
    // Both without the header of their sequence.
    let ours = &ours[2..];
    let [place] = places(&text, theirs)[..] else {
        panic!("the root's key is not in the program exactly once");
    };
    text[place..][..theirs.len()].copy_from_slice(ours);
    fs::write(copy, text).unwrap();
    fs::set_permissions(copy, Permissions::from_mode(0o755)).unwrap();
}

/// Where in `text` it is. Looks at the places of its first byte only, as `windows` takes a second for a program.
fn places(text: &[u8], sought: &[u8]) -> Vec<usize> {
    let mut rest = text;
    let mut places = Vec::new();
    while rest.skip_until(sought[0]).unwrap() > 0 {
        let place = text.len() - rest.len() - 1;
        if text[place..].starts_with(sought) {
            places.push(place);
        }
    }
    places
}
