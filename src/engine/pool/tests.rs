//! Places, turns, and what becomes of work that waits or panics.

use std::sync::{
    atomic::AtomicUsize,
    mpsc::{Sender, channel},
};

use tokio::task::JoinHandle;

use super::*;
use crate::{admission::Class, domain::TenantId};

fn of(tier: Tier) -> Contender {
    Contender { tenant: TenantId::generate(), tier, class: Class::Requests }
}

/// A piece of the tier that has a place of the pool until something is sent, and what it answers then.
async fn occupied(pool: &Pool, tier: Tier) -> (Sender<()>, JoinHandle<Result<bool, NotDone>>) {
    let (release, held) = channel();
    let holder = pool.clone();
    let holder = tokio::spawn(async move { holder.run(of(tier), None, move || held.recv().is_ok()).await });
    while pool.work_of(tier).active == 0 {
        tokio::task::yield_now().await;
    }
    (release, holder)
}

/// Waits until every place is given back: a caller has its answer a moment before.
async fn all_is_done(pool: &Pool) {
    while pool.inner.lock().turns.active() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Spins for so long, and gives way each quarter of a millisecond.
fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() - waited() < time {
        let slice = Instant::now();
        while slice.elapsed() < Duration::from_micros(250) {
            std::hint::spin_loop();
        }
        give_way();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_are_evaluated_at_once_than_there_are_places() {
    let pool = Pool::new(2);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let pieces = (0..40).map(|_| {
        let (running, most) = (running.clone(), most.clone());
        let work = move || {
            for _ in 0..5 {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
                give_way();
            }
        };
        let pool = pool.clone();
        tokio::spawn(async move { pool.run(of(Tier::Free), None, work).await })
    });
    for piece in pieces.collect::<Vec<_>>() {
        assert_eq!(piece.await.unwrap(), Ok(()));
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    all_is_done(&pool).await;
    assert_eq!(pool.work_of(Tier::Free), TierWork::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_piece_does_not_wait_for_a_long_one() {
    let pool = Pool::new(1);
    let long = pool.clone();
    let long = tokio::spawn(async move { long.run(of(Tier::Free), None, || spin(Duration::from_secs(1))).await });
    while pool.work_of(Tier::Free).active == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    assert_eq!(pool.run(of(Tier::Free), None, || 7).await, Ok(7));
    let took = begun.elapsed();
    assert!(!long.is_finished(), "the short one took {took:?}");
    assert_eq!(long.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_too_long_gives_up_and_is_never_begun() {
    let pool = Pool::new(1);
    let (release, holder) = occupied(&pool, Tier::Pro).await;
    let begun = Arc::new(AtomicBool::new(false));
    let mark = begun.clone();
    let late = pool.run(of(Tier::Free), Some(Duration::from_millis(20)), move || mark.store(true, Ordering::SeqCst));
    assert_eq!(late.await, Err(NotDone::Late));
    {
        let gone = pool.run(of(Tier::Free), None, || ());
        assert!(futures_util::poll!(Box::pin(gone)).is_pending(), "and dropped, as when its caller disconnects");
    }
    assert_eq!(pool.work_of(Tier::Free), TierWork::default());
    release.send(()).unwrap();
    assert_eq!(holder.await.unwrap(), Ok(true));
    assert_eq!(pool.run(of(Tier::Free), None, || 1).await, Ok(1));
    assert!(!begun.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_pressure_the_newest_of_a_line_begins_once_others_of_it_were_given_up() {
    for is_under_pressure in [false, true] {
        let pool = Pool::new(1);
        pool.set_pressure(is_under_pressure);
        let (release, holder) = occupied(&pool, Tier::Pro).await;
        assert_eq!(pool.line_age(), Duration::ZERO, "what is evaluated is in no line");
        let (of, order) = (of(Tier::Free), Arc::new(Mutex::new(Vec::new())));
        let mut pieces = Vec::new();
        for number in 0..4 {
            let (pool, order) = (pool.clone(), order.clone());
            let run = async move { pool.run(of, None, move || order.lock().unwrap().push(number)).await };
            let mut run = Box::pin(run);
            assert!(futures_util::poll!(&mut run).is_pending());
            pieces.push(run);
        }
        drop(pieces.remove(0));
        thread::sleep(Duration::from_millis(1));
        assert!(pool.line_age() >= Duration::from_millis(1));
        release.send(()).unwrap();
        for piece in pieces {
            assert_eq!(piece.await, Ok(()));
        }
        let expected = if is_under_pressure { [3, 2, 1] } else { [1, 2, 3] };
        assert_eq!(*order.lock().unwrap(), expected);
        assert_eq!(pool.line_age(), Duration::ZERO);
        holder.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_a_piece_and_nothing_else() {
    let pool = Pool::new(1);
    for _ in 0..3 {
        let panics = pool.run(of(Tier::Free), None, || panic!("on purpose"));
        assert_eq!(panics.await, Err::<(), _>(NotDone::Panicked));
    }
    assert_eq!(pool.run(of(Tier::Free), None, || 1).await, Ok(1));
    all_is_done(&pool).await;
    assert_eq!(pool.work_of(Tier::Free), TierWork::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_is_finished_and_what_waits_is_told_when_the_pool_ends() {
    let pool = Pool::new(1);
    let (release, first) = occupied(&pool, Tier::Free).await;
    let second = pool.clone();
    let second = tokio::spawn(async move { second.run(of(Tier::Free), None, || ()).await });
    while pool.work_of(Tier::Free).waiting == 0 {
        tokio::task::yield_now().await;
    }
    pool.stop();
    assert_eq!(second.await.unwrap(), Err(NotDone::Stopping));
    release.send(()).unwrap();
    assert_eq!(first.await.unwrap(), Ok(true));
    assert_eq!(pool.run(of(Tier::Free), None, || ()).await, Err(NotDone::Stopping));
}
