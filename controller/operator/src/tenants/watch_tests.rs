//! The loop around kube's watcher, on scripted streams and a clock that waits for nobody. No server.

use std::cell::RefCell;

use futures::stream;
use kube::core::Status;

use super::*;

type Script = Vec<watcher::Result<Event<&'static str>>>;

fn refused(code: u16) -> watcher::Error {
    watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(Status { code, ..Status::default() })))
}

/// Follows these streams one after the other (then one that stays silent) and writes down what was opened and heard.
async fn played(scripts: Vec<Script>) -> Vec<String> {
    let log = RefCell::new(Vec::new());
    let scripts = RefCell::new(scripts.into_iter());
    let open = |config: watcher::Config| {
        let streaming = config.initial_list_strategy == watcher::InitialListStrategy::StreamingList;
        log.borrow_mut().push(if streaming {
            "stream".to_owned()
        } else {
            format!("pages of {:?}", config.page_size)
        });
        let script = scripts.borrow_mut().next().unwrap_or_default();
        stream::iter(script).chain(stream::pending()).boxed_local()
    };
    let hear = |news: News<&'static str>| {
        log.borrow_mut().push(match news {
            News::Event(Event::Init) => "init".into(),
            News::Event(Event::InitDone) => "done".into(),
            News::Event(Event::InitApply(name) | Event::Apply(name)) => name.to_owned(),
            News::Event(Event::Delete(name)) => format!("-{name}"),
            News::Trouble { lost, .. } => format!("trouble, lost {lost}"),
        });
    };
    let restart = Notify::new();
    let follow = follow(open, "", &restart, hear);
    // Longer than any pause, shorter than the silence that a streamed list is allowed.
    let ended = tokio::time::timeout(Duration::from_secs(25), follow).await.is_ok();
    let mut log = log.take();
    if ended {
        log.push("end".into());
    }
    log
}

#[tokio::test(start_paused = true)]
async fn lists_are_streamed_and_in_small_pages_where_the_server_cannot() {
    let list = || vec![Ok(Event::Init), Ok(Event::InitApply("t")), Ok(Event::InitDone)];
    assert_eq!(played(vec![list()]).await, ["stream", "init", "t", "done"]);
    let heard = played(vec![vec![Err(refused(422))], list()]).await;
    assert_eq!(heard, ["stream", "pages of Some(50)", "init", "t", "done"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_lists_anew_without_any_ado_and_three_failures_in_a_row_are_told() {
    let expired = watcher::Error::WatchError(Box::new(Status { code: 410, ..Status::default() }));
    let heard = played(vec![vec![
        Ok(Event::Init),
        Ok(Event::InitDone),
        Err(expired),
        Ok(Event::Init),
        Ok(Event::InitDone),
    ]])
    .await;
    assert_eq!(heard, ["stream", "init", "done", "init", "done"]);
    let failing =
        vec![Ok(Event::Init), Ok(Event::InitDone), Err(refused(500)), Err(refused(403)), Err(refused(500))];
    let heard = played(vec![failing, vec![Ok(Event::Init), Ok(Event::InitDone)]]).await;
    let trouble = ["trouble, lost false", "trouble, lost false", "trouble, lost true"];
    assert_eq!(heard[3..6], trouble);
    assert_eq!(heard[6..], ["stream", "init", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_no_longer_served_ends_the_watch_so_that_it_is_discovered_again() {
    assert_eq!(played(vec![vec![Err(refused(404))]]).await, ["stream", "trouble, lost true", "end"]);
}

#[test]
fn pauses_grow_to_half_a_minute() {
    let seconds: Vec<u64> = (1..8).map(|failures| pause(failures).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
}
