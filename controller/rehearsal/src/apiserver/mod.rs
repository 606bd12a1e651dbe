//! An API server in memory, as a `tower::Service` under kube's client.
