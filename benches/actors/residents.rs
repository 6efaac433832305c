//! Tenants in memory: what one costs, how fast it comes, and that it leaves nothing behind.

use std::{hint::black_box, sync::Arc, time::Instant};

use futures_util::{StreamExt, stream};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use sqlx::{Connection, PgConnection};
use tenet::{domain::TenantId, engine::Error, ruleset::RuleSet};
use tokio::{runtime::Runtime, sync::mpsc};

use super::{
    bed::{Bed, FACTS, Node, Rules, scope},
    decisions::{Mailbox, decide_once},
    process::{cpu, cpu_of_server, measured, memory_bytes},
    report::{Report, median},
};

/// Tenants of the figures about memory.
pub const RESIDENTS: usize = 100_000;
/// Tenants asked for at once.
const AT_ONCE: usize = 64;
/// Actors started and stopped for the figure about leaks.
const CYCLES: usize = 1_000_000;

/// Actors alone: ractor's, which ours are.
pub fn actors(bed: &Bed, report: &mut Report) {
    const TIMES: u32 = 20_000;
    let micros = |began: Instant| began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES);
    let (stopped, restarted) = bed.runtime.block_on(async {
        let began = Instant::now();
        for _ in 0..TIMES {
            let (actor, ended) = Actor::spawn(None, Mailbox, None).await.unwrap();
            actor.stop(None);
            ended.await.unwrap();
        }
        let stopped = micros(began);
        let (sender, mut restarts) = mpsc::unbounded_channel();
        let (parent, ended) = Actor::spawn(None, Restarting, sender).await.unwrap();
        let began = Instant::now();
        for _ in 0..TIMES {
            restarts.recv().await.unwrap().stop(None);
        }
        let restarted = micros(began);
        parent.stop(None);
        ended.await.unwrap();
        (stopped, restarted)
    });
    report.figure("start and stop an actor", stopped, "µs", "");
    report.figure("restart an actor by its supervisor", restarted, "µs", "from its stop until it runs again");
    report.figure("an idle actor", measured(&["bare", "100000"])[0], "bytes", "ractor's own, of 100,000");
}

/// A supervisor that starts its child anew each time that it ends, and hands it out.
struct Restarting;

impl Actor for Restarting {
    type Msg = ();
    type State = mpsc::UnboundedSender<ActorRef<<Mailbox as Actor>::Msg>>;
    type Arguments = Self::State;

    async fn pre_start(&self, myself: ActorRef<()>, sender: Self::State) -> Result<Self::State, ActorProcessingErr> {
        start_child(&myself, &sender).await?;
        Ok(sender)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        sender: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(event, SupervisionEvent::ActorTerminated(..)) {
            start_child(&myself, sender).await?;
        }
        Ok(())
    }
}

async fn start_child(parent: &ActorRef<()>, sender: &<Restarting as Actor>::State) -> Result<(), ActorProcessingErr> {
    let (child, _) = Actor::spawn_linked(None, Mailbox, None, parent.get_cell()).await?;
    // Nobody receives once the bench has what it wants.
    let _ = sender.send(child);
    Ok(())
}

/// The first decision of a tenant that is not in memory, beside one round trip to the database and a bare compile.
pub fn cold(bed: &Bed, report: &mut Report) {
    for (count, tenants) in [(10, 200), (1_000, 20)] {
        let database = bed.database(tenants, Rules::Many(count));
        let (mut first, mut least) = (Vec::new(), Vec::new());
        bed.runtime.block_on(async {
            let node = Node::start(&database.url).await;
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            for tenant in &database.tenants {
                let snapshot = node.store.snapshot(scope(*tenant)).await.unwrap().unwrap();
                let began = Instant::now();
                let _: i32 = sqlx::query_scalar("select 1").fetch_one(&mut connection).await.unwrap();
                let set = black_box(RuleSet::compile(black_box(&snapshot), None));
                least.push(began.elapsed().as_secs_f64() * 1e3);
                assert!(set.broken().is_empty());
            }
            let engine = &node.engine;
            for tenant in &database.tenants {
                let began = Instant::now();
                let set = engine.rule_set(scope(*tenant), None).await.unwrap().set;
                black_box(decide_once(&set, FACTS));
                first.push(began.elapsed().as_secs_f64() * 1e3);
            }
            node.stop().await;
        });
        let least = median(&mut least);
        report.figure(&format!("one round trip, and compiling {count} rules"), least, "ms", "the baseline");
        let what = format!("first decision of a cold tenant with {count} rules");
        report.ratio(&what, median(&mut first), least, "ms", 3.0);
    }
}

/// What 100,000 tenants take, and how fast they come.
pub fn memory(bed: &Bed, report: &mut Report) {
    let count = bed.sizes.residents.to_string();
    let bare = measured(&["bare", &count])[0];
    report.figure(&format!("{count} bare actors, each"), bare, "bytes", "the baseline");
    for (rules, what) in [(Rules::Alike, "the same ten rules"), (Rules::Distinct, "ten rules of their own")] {
        let database = bed.database(bed.sizes.residents, rules);
        let found = measured(&["resident", &database.url, &count]);
        let [each, all, a_second, own_us, server_us] = found[..] else { panic!("{found:?}") };
        if rules == Rules::Alike {
            report.ratio(&format!("{count} tenants with {what}, each"), each, bare, "bytes", 1.3);
        } else {
            report.figure(&format!("{count} tenants with {what}, each"), each, "bytes", "");
        }
        report.figure("  memory of the process", all / 1e9, "GB", "aimed at 1.8 or less, of 100,000");
        report.figure("  loading them", a_second, "tenants/s", "aimed at 2,000 or more");
        report.figure("    processor time of the process", own_us, "µs/tenant", "");
        report.figure("    and of the database", server_us, "µs/tenant", "");
        report.figure("    so, on two cores of their own", 2e6 / (own_us + server_us), "tenants/s", "");
    }
}

/// Bare actors in a process of their own: prints bytes of each.
pub fn child_bare(count: usize) {
    Runtime::new().unwrap().block_on(async {
        let before = memory_bytes(std::process::id());
        let mut actors = Vec::with_capacity(count);
        for _ in 0..count {
            actors.push(Actor::spawn(None, Mailbox, None).await.unwrap().0);
        }
        println!("{}", (memory_bytes(std::process::id()) - before) / count as f64);
    });
}

/// Tenants in a process of their own: prints bytes of each, bytes of the process, tenants loaded a second, and the
/// microseconds of processor time that one takes here and in the database.
pub fn child_resident(url: &str, count: usize) {
    Runtime::new().unwrap().block_on(async {
        let node = Node::start(url).await;
        let mut connection = PgConnection::connect(url).await.unwrap();
        let ids: Vec<sqlx::types::Uuid> =
            sqlx::query_scalar("select id from tenants").fetch_all(&mut connection).await.unwrap();
        assert_eq!(ids.len(), count);
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
        let (me, backend) = (std::process::id(), u32::try_from(backend).unwrap());
        let used = || [cpu(me), cpu_of_server(backend)].map(|time| time.as_secs_f64() * 1e6 / count as f64);
        let (before, used_before) = (memory_bytes(me), used());
        let began = Instant::now();
        let loads =
            ids.into_iter().map(|id| {
                let engine = node.engine.clone();
                async move {
                    assert!(decide_once(&engine.rule_set(scope(TenantId(id)), None).await.unwrap().set, FACTS) < 10)
                }
            });
        stream::iter(loads).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
        let seconds = began.elapsed().as_secs_f64();
        let (all, [own, server]) = (memory_bytes(me), used());
        assert_eq!(node.engine.health().resident_tenants, count);
        let (own, server) = (own - used_before[0], server - used_before[1]);
        println!("{} {all} {} {own} {server}", (all - before) / count as f64, count as f64 / seconds);
        if std::env::args().any(|argument| argument == "--wait") {
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        node.stop().await;
    });
}

/// Actors come and go: those of tenants that do not exist, each of which is looked for in the database.
pub fn cycles(bed: &Bed, report: &mut Report) {
    let database = bed.database(1, Rules::Alike);
    let me = std::process::id();
    bed.runtime.block_on(async {
        let node = Node::start(&database.url).await;
        let engine = Arc::new(node.engine.clone());
        let began = Instant::now();
        let mut early = 0.0;
        for tenth in 0..10 {
            let asked = (0..CYCLES / 10).map(|_| {
                let engine = Arc::clone(&engine);
                async move {
                    let answer = engine.rule_set(scope(TenantId::generate()), None).await;
                    assert!(matches!(answer, Err(Error::TenantNotFound)), "{answer:?}");
                }
            });
            stream::iter(asked).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
            if tenth == 0 {
                early = memory_bytes(me);
            }
        }
        let each = began.elapsed().as_secs_f64() * 1e6 / CYCLES as f64;
        report.figure("start an actor, look for its tenant, stop it", each, "µs", "1,000,000 times");
        report.figure("  memory after 100,000", early / 1e6, "MB", "");
        report.figure("  memory after 1,000,000", memory_bytes(me) / 1e6, "MB", "flat if nothing stays behind");
        node.stop().await;
    });
}
