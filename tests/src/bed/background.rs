//! A runtime that outlives the tests' own: what serves a shared bed (exporter, operator, stubs) runs on it.

use std::future::Future;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "without threads there is no bed, and no caller to tell in a static"
    )]
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("bed")
        .enable_all()
        .build()
        .expect("start a runtime")
});

/// Runs a task until it ends or its handle is dropped.
pub fn spawn<F>(task: F) -> AbortOnDropHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    AbortOnDropHandle::new(RUNTIME.spawn(task))
}

/// Runs what `make` makes to its end, with everything it spawns or connects bound to the background runtime.
pub async fn run<T, F>(make: impl FnOnce() -> F + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // The asker may be gone; the result is dropped then, and what it holds ends with it.
        let _ = done.send(RUNTIME.block_on(make()));
    });
    result.await.context("the background task panicked")?
}
