//! Resolves names, and leaves out the addresses that may not be connected to: a name that was listed may lead elsewhere a moment
//! later. I/O.

use std::{fmt, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::telemetry::Reach;

/// The system's resolver within a reach.
pub(super) struct Guarded(pub(super) Arc<Reach>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let taken: Vec<SocketAddr> = found.filter(|address| reach.takes(&host, address.ip())).collect();
            if taken.is_empty() {
                return Err(Refused(host).into());
            }
            Ok(Box::new(taken.into_iter()) as Addrs)
        })
    }
}

/// A name that leads where nobody may be led.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leads to no address that the controller may connect to (--prometheus-allow)", self.0)
    }
}

impl std::error::Error for Refused {}
