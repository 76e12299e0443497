//! The transport of one source, if its owner configures one.
//!
//! A Flux source may set plain HTTP, a CA, a client certificate and a proxy. The caller puts them into the
//! [`Keyring`](crate::Keyring) of its queries; they apply on top of the host's own entry. Headwind's own identity is
//! never sent over them (see `route`). The secrets of Flux are parsed here as in its `pkg/runtime/secrets`: the keys of
//! `certSecretRef` and `proxySecretRef`, the new ones first.
//!
//! No error and no printed form quotes the content of a secret.

use std::fmt;

use percent_encoding::percent_decode_str;
use reqwest::{Certificate, Identity, Url};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::fingerprint::Fingerprint;

/// Maximum length of a proxy's address, as in Flux.
const ADDRESS: usize = 2048;

/// The transport of a source. The default is the transport of its host.
#[derive(Clone, Default)]
pub struct Transport {
    pub(crate) plain_http: bool,
    pub(crate) pass_credentials: bool,
    ca: Option<Vec<u8>>,
    client_certificate: Option<ClientCertificate>,
    proxy: Option<Proxy>,
}

#[derive(Clone)]
struct ClientCertificate {
    certificate: Vec<u8>,
    key: SecretSlice<u8>,
}

#[derive(Clone)]
struct Proxy {
    address: Url,
    login: Option<(String, SecretString)>,
}

/// The reasons why a secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither a CA nor a client certificate.
    #[error("it has neither ca.crt nor tls.crt with tls.key")]
    NoCertificate,
    /// A certificate without its key.
    #[error("it has tls.crt but no tls.key")]
    NoKey,
    /// A key without its certificate.
    #[error("it has tls.key but no tls.crt")]
    NoCertificateOfTheKey,
    /// The CA certificate cannot be parsed.
    #[error("its ca.crt is not a PEM certificate")]
    Ca,
    /// The client certificate or its key cannot be parsed.
    #[error("its tls.crt and tls.key are not a PEM certificate and private key")]
    ClientCertificate,
    /// A proxy without an address.
    #[error("it has no proxy address")]
    NoAddress,
    /// The proxy's address cannot be parsed.
    #[error("its address is not a proxy (expected http://, https:// or socks5://, a host and a port)")]
    Address,
    /// A user name without a password.
    #[error("it has a username but no password")]
    NoPassword,
    /// A password without a user name.
    #[error("it has a password but no username")]
    NoUsername,
    /// A value is not text.
    #[error("its username or password is not text")]
    NoText,
}

impl Transport {
    /// Sets HTTP for an OCI registry (Flux: `insecure`). For a chart repository, the URL states it.
    #[must_use]
    pub fn with_plain_http(self, plain_http: bool) -> Self {
        Self { plain_http, ..self }
    }

    /// Sends the credential to another host as well if the source redirects there (Flux: `passCredentials`).
    #[must_use]
    pub fn with_passed_credentials(self, pass_credentials: bool) -> Self {
        Self { pass_credentials, ..self }
    }

    /// Sets the certificates of a `certSecretRef`: `ca.crt`, `tls.crt` and `tls.key`, or the older `caFile`, `certFile`
    /// and `keyFile`. `value` returns the secret's value for a key.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn with_certificates<'a>(mut self, value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, SecretError> {
        let filled = |key: &str, older: &str| value(key).or_else(|| value(older)).filter(|value| !value.is_empty());
        let ca = filled("ca.crt", "caFile");
        match (filled("tls.crt", "certFile"), filled("tls.key", "keyFile")) {
            (None, None) if ca.is_none() => return Err(SecretError::NoCertificate),
            (None, None) => {}
            (Some(_), None) => return Err(SecretError::NoKey),
            (None, Some(_)) => return Err(SecretError::NoCertificateOfTheKey),
            (Some(certificate), Some(key)) => {
                let own = ClientCertificate { certificate: certificate.to_vec(), key: key.to_vec().into() };
                own.identity().ok_or(SecretError::ClientCertificate)?;
                self.client_certificate = Some(own);
            }
        }
        if let Some(ca) = ca {
            roots(ca).ok_or(SecretError::Ca)?;
            self.ca = Some(ca.to_vec());
        }
        Ok(self)
    }

    /// Sets the proxy of a `proxySecretRef`: `address`, and optionally `username` and `password`.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn with_proxy<'a>(mut self, value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, SecretError> {
        let address = value("address").filter(|address| !address.is_empty()).ok_or(SecretError::NoAddress)?;
        let address = Some(address).filter(|address| address.len() <= ADDRESS).and_then(|address| str::from_utf8(address).ok());
        let mut address = address.and_then(|address| Url::parse(address.trim()).ok()).ok_or(SecretError::Address)?;
        if !matches!(address.scheme(), "http" | "https" | "socks5") || address.host_str().is_none_or(str::is_empty) {
            return Err(SecretError::Address);
        }
        let text = |value: &[u8]| str::from_utf8(value).map(ToOwned::to_owned).map_err(|_| SecretError::NoText);
        let username = value("username").map(text).transpose()?;
        let password = value("password").map(text).transpose()?;
        let login = match username {
            Some(username) => Some((username, password.unwrap_or_default().into())),
            None if address.username().is_empty() => None,
            None => Some((decoded(address.username()), decoded(address.password().unwrap_or_default()).into())),
        };
        // The address without the login may be shown.
        address.set_username("").and_then(|()| address.set_password(None)).map_err(|()| SecretError::Address)?;
        self.proxy = Some(Proxy { address, login });
        Ok(self)
    }

    /// Removes the client certificate: for hosts other than the source's own.
    pub(crate) fn without_client_certificate(&self) -> Self {
        Self { client_certificate: None, ..self.clone() }
    }

    /// Returns true if it needs its own client.
    pub(crate) fn is_own(&self) -> bool {
        self.ca.is_some() || self.client_certificate.is_some() || self.proxy.is_some()
    }

    /// Returns true if it sets a CA or a client certificate.
    pub(crate) fn has_certificates(&self) -> bool {
        self.ca.is_some() || self.client_certificate.is_some()
    }

    /// Returns the address of the proxy, without its login.
    pub(crate) fn proxy_address(&self) -> Option<&Url> {
        self.proxy.as_ref().map(|proxy| &proxy.address)
    }

    /// Builds a client with this transport. Errors are messages for a person.
    pub(crate) fn build(&self, mut http: reqwest::ClientBuilder) -> Result<reqwest::Client, &'static str> {
        const CA: &str = "the CA certificate of its source cannot be used";
        const CLIENT: &str = "the client certificate of its source cannot be used, or the key does not belong to it";
        const PROXY: &str = "the proxy of its source cannot be used";
        if let Some(ca) = &self.ca {
            http = http.tls_certs_merge(roots(ca).ok_or(CA)?);
        }
        if let Some(own) = &self.client_certificate {
            http = http.identity(own.identity().ok_or(CLIENT)?);
        }
        if let Some(Proxy { address, login }) = &self.proxy {
            let mut proxy = reqwest::Proxy::all(address.clone()).map_err(|_| PROXY)?;
            if let Some((username, password)) = login {
                proxy = proxy.basic_auth(username, password.expose_secret());
            }
            http = http.proxy(proxy);
        }
        http.build().map_err(|_| if self.client_certificate.is_some() { CLIENT } else { CA })
    }

    /// Returns its approximate size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        let Self { plain_http: _, pass_credentials: _, ca, client_certificate, proxy } = self;
        let own = client_certificate.as_ref().map_or(0, |own| own.certificate.len() + own.key.expose_secret().len());
        let proxy = proxy.as_ref().map_or(0, |Proxy { address, login }| {
            let login = login.as_ref().map_or(0, |(username, password)| username.len() + password.expose_secret().len());
            address.as_str().len() + login
        });
        size_of::<Self>() + ca.as_ref().map_or(0, Vec::len) + own + proxy
    }

    /// Returns a fingerprint that distinguishes transports, in memory only.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let Self { plain_http, pass_credentials, ca, client_certificate, proxy } = self;
        let flags = [u8::from(*plain_http), u8::from(*pass_credentials)];
        let mut parts: Vec<&[u8]> = vec![&flags, ca.as_deref().unwrap_or_default()];
        if let Some(ClientCertificate { certificate, key }) = client_certificate {
            parts.extend([&b"client"[..], certificate, key.expose_secret()]);
        }
        if let Some(Proxy { address, login }) = proxy {
            parts.extend([&b"proxy"[..], address.as_str().as_bytes()]);
            if let Some((username, password)) = login {
                parts.extend([username.as_bytes(), password.expose_secret().as_bytes()]);
            }
        }
        Fingerprint::of(parts)
    }
}

impl ClientCertificate {
    fn identity(&self) -> Option<Identity> {
        let Self { certificate, key } = self;
        Identity::from_pem(&[certificate.as_slice(), b"\n", key.expose_secret()].concat()).ok()
    }
}

impl PartialEq for Transport {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for Transport {}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("plain_http", &self.plain_http)
            .field("pass_credentials", &self.pass_credentials)
            .field("ca", &self.ca.is_some())
            .field("client_certificate", &self.client_certificate.is_some())
            .field("proxy", &self.proxy.as_ref().map(|proxy| proxy.address.as_str()))
            .finish()
    }
}

/// Returns user name and password of Flux's `secretRef`; `None` if it has neither.
///
/// # Errors
/// See [`SecretError`].
pub(crate) fn login<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Option<(&'a str, &'a str)>, SecretError> {
    let text = |value: &'a [u8]| str::from_utf8(value).map_err(|_| SecretError::NoText);
    match (value("username"), value("password")) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(SecretError::NoPassword),
        (None, Some(_)) => Err(SecretError::NoUsername),
        (Some(username), Some(password)) => Ok(Some((text(username)?, text(password)?))),
    }
}

/// Parses the certificates in a PEM text; `None` if it has no certificate.
pub(crate) fn roots(pem: &[u8]) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem).ok().filter(|roots| !roots.is_empty())
}

/// Returns a decoded part of a URL.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use rstest::rstest;

    const CANARY: &str = "canary-7f3a";

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn read(entries: &[(&str, &str)]) -> Result<Transport, SecretError> {
        let value = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_bytes());
        Transport::default().with_certificates(value)
    }

    #[test]
    fn certificates() {
        let (certificate, key) = pair();
        let (other, _) = pair();
        let (certificate, key, other) = (certificate.as_str(), key.as_str(), other.as_str());
        for (entries, expected) in [
            (vec![("ca.crt", certificate)], Ok((true, false))),
            (vec![("caFile", certificate)], Ok((true, false))),
            (vec![("tls.crt", certificate), ("tls.key", key)], Ok((false, true))),
            (vec![("certFile", certificate), ("keyFile", key), ("caFile", other)], Ok((true, true))),
            // The newer key is used, whatever is under the older one.
            (vec![("tls.crt", certificate), ("certFile", CANARY), ("tls.key", key)], Ok((false, true))),
            (vec![], Err(SecretError::NoCertificate)),
            (vec![("ca.crt", "")], Err(SecretError::NoCertificate)),
            (vec![("tls.crt", certificate), ("ca.crt", other)], Err(SecretError::NoKey)),
            (vec![("tls.key", key)], Err(SecretError::NoCertificateOfTheKey)),
            (vec![("ca.crt", CANARY)], Err(SecretError::Ca)),
            (vec![("ca.crt", key)], Err(SecretError::Ca)),
            (vec![("tls.crt", certificate), ("tls.key", CANARY)], Err(SecretError::ClientCertificate)),
            (vec![("tls.crt", key), ("tls.key", key)], Err(SecretError::ClientCertificate)),
        ] {
            let read = read(&entries).map(|way| (way.ca.is_some(), way.client_certificate.is_some()));
            assert_eq!(read, expected, "{:?}", entries.iter().map(|(name, _)| name).collect::<Vec<_>>());
        }
    }

    /// An address, and the user name and password for it.
    type Expected = (&'static str, Option<(&'static str, &'static str)>);

    #[rstest]
    #[case(&[("address", "http://p.example:3128")], Ok(("http://p.example:3128/", None)))]
    #[case(&[("address", "socks5://p.example:1080")], Ok(("socks5://p.example:1080", None)))]
    #[case(&[("address", "https://p.example"), ("username", "u"), ("password", CANARY)], Ok(("https://p.example/", Some(("u", CANARY)))))]
    #[case(&[("address", "http://p.example"), ("username", "u")], Ok(("http://p.example/", Some(("u", "")))))]
    #[case(&[("address", "http://u:canary%2D7f3a@p.example")], Ok(("http://p.example/", Some(("u", CANARY)))))]
    #[case(&[("address", "")], Err(SecretError::NoAddress))]
    #[case(&[("username", "u")], Err(SecretError::NoAddress))]
    #[case(&[("address", "p.example:3128")], Err(SecretError::Address))]
    #[case(&[("address", "ftp://p.example")], Err(SecretError::Address))]
    #[case(&[("address", "http://")], Err(SecretError::Address))]
    fn proxies(#[case] entries: &[(&str, &str)], #[case] expected: Result<Expected, SecretError>) {
        let value = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_bytes());
        let read = Transport::default().with_proxy(value);
        if let Ok(way) = &read {
            assert!(!format!("{way:?}").contains(CANARY));
        }
        let read = read.map(|way| way.proxy.unwrap());
        let login = |proxy: &Proxy| proxy.login.as_ref().map(|(name, password)| (name.clone(), password.expose_secret().to_owned()));
        let read = read.map(|proxy| (proxy.address.to_string(), login(&proxy)));
        let expected = expected.map(|(address, login)| (address.to_owned(), login.map(|(u, p)| (u.to_owned(), p.to_owned()))));
        assert_eq!(read, expected);
    }

    #[rstest]
    #[case(&[("username", "u"), ("password", CANARY)], Ok(Some(("u", CANARY))))]
    #[case(&[("username", ""), ("password", "")], Ok(Some(("", ""))))]
    #[case(&[("ca.crt", "x")], Ok(None))]
    #[case(&[("username", "u")], Err(SecretError::NoPassword))]
    #[case(&[("password", CANARY)], Err(SecretError::NoUsername))]
    fn logins(#[case] entries: &[(&str, &str)], #[case] expected: Result<Option<(&str, &str)>, SecretError>) {
        let value = |key: &str| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_bytes());
        assert_eq!(login(value), expected);
    }

    #[test]
    fn transports_are_distinguished_by_everything_that_matters() {
        let (certificate, key) = pair();
        let proxy = |address: &'static str, password: &'static str| {
            let value = move |key: &str| match key {
                "address" => Some(address.as_bytes()),
                "username" => Some(b"u".as_slice()),
                "password" => Some(password.as_bytes()),
                _ => None,
            };
            Transport::default().with_proxy(value).unwrap()
        };
        let all = [
            Transport::default(),
            Transport::default().with_plain_http(true),
            Transport::default().with_passed_credentials(true),
            read(&[("ca.crt", &certificate)]).unwrap(),
            read(&[("tls.crt", &certificate), ("tls.key", &key)]).unwrap(),
            read(&[("ca.crt", &certificate), ("tls.crt", &certificate), ("tls.key", &key)]).unwrap(),
            proxy("http://p.example", "a"),
            proxy("http://p.example", "b"),
            proxy("http://q.example", "a"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().enumerate().all(|(other, way)| (other == at) == (way == one)), "{at}");
        }
        assert_eq!(all[5].without_client_certificate(), all[3]);
    }
}
