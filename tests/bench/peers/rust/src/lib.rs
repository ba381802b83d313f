// SPDX-License-Identifier: MIT
//! What both servers have in common.
use std::net::SocketAddr;

/// The address to listen on: the first argument is the port, 0 for any free one.
pub fn address() -> SocketAddr {
    let port = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok());
    let Some(port) = port else {
        eprintln!("usage: {} PORT", std::env::args().next().unwrap_or_default());
        std::process::exit(2);
    };
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Says on standard output that `protocol` is served at `address`.
pub fn ready(protocol: &str, address: SocketAddr) {
    println!(r#"{{"event":"ready","{protocol}":"{address}"}}"#);
}
