//! Free loopback ports. They are taken from below the range the kernel gives to outgoing connections, so that a
//! part that is killed finds its own port free when it comes back.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

const ATTEMPTS: usize = 200;

/// A loopback port nobody listens on, and that this process has not given out before.
pub fn free() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let port = (0..ATTEMPTS)
        .map(|_| fastrand::u16(20_000..32_000))
        .find(|port| !given.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free loopback port found")?;
    given.insert(port);
    Ok(port)
}
