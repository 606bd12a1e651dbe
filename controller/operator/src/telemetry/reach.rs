//! Which Prometheus may be asked (R39): the controller stands where its Rollouts' authors do not, and would be their way into its
//! network. Names are held against a list before anything is connected to, and addresses once names are resolved. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use breakwater_crds::rollout::Prometheus;
use breakwater_plan::spec::FieldError;

/// What of the controller's network Rollouts may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Base URL of the Prometheus of Rollouts that name none. Whoever runs the controller named it, so it is asked wherever it is.
    fallback: Option<String>,
    hosts: Vec<Pattern>,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// Every name.
    Any,
    /// This host, or this address.
    Host(String),
    /// Every name that ends so: `.monitoring.svc`.
    Suffix(String),
}

impl Reach {
    /// A list of hosts, suffixes that begin with a dot, or `*`, beside the fallback.
    pub fn new(fallback: Option<String>, allowed: &[String]) -> Self {
        let pattern = |text: &String| match text.to_ascii_lowercase() {
            text if text == "*" => Pattern::Any,
            text if text.starts_with('.') => Pattern::Suffix(text),
            text => Pattern::Host(text),
        };
        Self { fallback, hosts: allowed.iter().map(pattern).collect() }
    }

    /// Everything, for a bed without a network.
    pub fn anywhere() -> Self {
        Self { fallback: Some("http://prometheus".into()), hosts: vec![Pattern::Any] }
    }

    /// The Prometheus of Rollouts that name none.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Whether the Prometheus that a Rollout names, or the fallback, may be asked.
    pub fn check(&self, spec: Option<&Prometheus>) -> Result<(), FieldError> {
        let refuse = |why: String| FieldError::new("spec.prometheus.url", why);
        match (spec, &self.fallback) {
            (Some(spec), _) => self.check_url(&spec.url).map_err(refuse),
            (None, Some(_)) => Ok(()),
            (None, None) => {
                Err(refuse("is missing, and the controller has no --prometheus-url to fall back on".into()))
            }
        }
    }

    /// Whether a URL's host is one that Rollouts may name; an address is looked at as such.
    pub fn check_url(&self, url: &str) -> Result<(), String> {
        let host = host_of(url).ok_or_else(|| format!("{url:?} has no host"))?;
        let unlisted = || {
            format!(
                "host {host} is not one that the controller may ask: add it to --prometheus-allow (chart value prometheus.allow)"
            )
        };
        match host.parse::<IpAddr>() {
            Ok(address) if !self.takes(&host, address) => Err(unlisted()),
            Err(_) if !self.names(&host) => Err(unlisted()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn names(&self, host: &str) -> bool {
        self.is_fallback(host)
            || self.hosts.iter().any(|pattern| match pattern {
                Pattern::Any => true,
                Pattern::Host(listed) => listed == host,
                Pattern::Suffix(suffix) => host.ends_with(suffix.as_str()),
            })
    }

    fn is_fallback(&self, host: &str) -> bool {
        self.fallback.as_deref().and_then(host_of).is_some_and(|own| own == host)
    }

    /// Whether an address may be connected to under the name `host`. What stands for the machine itself, and what only its neighbours
    /// reach, is listed by its own address or not asked: cloud metadata live there.
    pub(super) fn takes(&self, host: &str, address: IpAddr) -> bool {
        let literal = Pattern::Host(address.to_string());
        self.is_fallback(host) || self.hosts.contains(&literal) || (self.names(host) && !is_near(address))
    }
}

/// The lower-case host of a URL, without the brackets of an address.
fn host_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    Some(url.host_str()?.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase())
}

/// Loopback, link-local, unspecified, multicast, and the addresses at which clouds serve metadata.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_near_v4(v4),
        IpAddr::V6(v6) => {
            let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            let link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
            let near =
                v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || link_local || v6 == metadata;
            near || v6.to_ipv4_mapped().is_some_and(is_near_v4)
        }
    }
}

fn is_near_v4(v4: Ipv4Addr) -> bool {
    // Alibaba's and Oracle's metadata are at addresses that are not link-local.
    let metadata = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
    v4.is_loopback()
        || v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_multicast()
        || v4.is_broadcast()
        || metadata.contains(&v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(allowed: &[&str]) -> Reach {
        let allowed: Vec<String> = allowed.iter().map(|&text| text.into()).collect();
        Reach::new(Some("http://prometheus.monitoring:9090".into()), &allowed)
    }

    #[test]
    fn s2_only_what_is_listed_may_be_named_and_nothing_near_unless_by_its_address() {
        for (allowed, url, goes) in [
            (&[][..], "http://prometheus.monitoring:9090/x", true),
            (&[], "http://evil.example", false),
            (&["thanos.svc"], "https://THANOS.svc:10902", true),
            (&["thanos.svc"], "https://xthanos.svc", false),
            (&[".monitoring.svc"], "http://a.monitoring.svc", true),
            (&[".monitoring.svc"], "http://monitoring.svc", false),
            (&["*"], "http://anything.example", true),
            (&["*"], "http://10.0.0.7:9090", true),
            (&["*"], "http://127.0.0.1:9090", false),
            (&["*"], "http://169.254.169.254/latest", false),
            (&["*"], "http://[::1]:9090", false),
            (&["*"], "http://[::ffff:169.254.169.254]", false),
            (&["*"], "http://[fd00:ec2::254]", false),
            (&["*"], "http://2130706433", false),
            (&["127.0.0.1"], "http://127.0.0.1:9090", true),
            (&["127.0.0.1"], "http://10.0.0.7:9090", false),
        ] {
            assert_eq!(reach(allowed).check_url(url).is_ok(), goes, "{allowed:?} {url}");
        }
    }

    #[test]
    fn s2_a_name_that_resolves_to_something_near_is_not_connected_to() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(!reach(&["*"]).takes("rebind.example", loopback));
        assert!(reach(&["*", "127.0.0.1"]).takes("localhost", loopback));
        assert!(reach(&["rebind.example"]).takes("rebind.example", "10.1.2.3".parse().unwrap()));
        assert!(!reach(&["other"]).takes("rebind.example", "10.1.2.3".parse().unwrap()));
    }
}
