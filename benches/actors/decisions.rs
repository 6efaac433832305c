//! A decision through the published rule set, beside a bare call and the way through a mailbox.

use std::{hint::black_box, sync::Arc, time::Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use tenet::{
    engine::LiveSet,
    ruleset::{Query, RuleSet, UnknownFacts},
};

use super::{
    bed::{Bed, FACTS, Node, Rules, scope},
    report::{Report, median},
};

/// Rounds in which each way is measured once.
const ROUNDS: usize = 31;
/// Decisions of a round.
const DECISIONS: u32 = 20_000;

/// The decision of one request, from facts as text to the number of matches.
pub fn decide_once(set: &RuleSet, facts: &str) -> usize {
    let facts = set.read_facts(facts, UnknownFacts::Ignore).unwrap();
    set.decide(&facts, &Query::default()).matched_count
}

/// What the engine does not do: an actor that decides in its turn, for comparison.
pub struct Mailbox;

/// A decision asked of it.
pub struct Ask(String, RpcReplyPort<usize>);

impl Actor for Mailbox {
    type Msg = Ask;
    type State = Option<Arc<LiveSet>>;
    type Arguments = Option<Arc<LiveSet>>;

    async fn pre_start(&self, _: ActorRef<Ask>, set: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        Ok(set)
    }

    async fn handle(&self, _: ActorRef<Ask>, ask: Ask, set: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let Ask(facts, reply) = ask;
        reply.send(decide_once(set.as_ref().unwrap(), &facts))?;
        Ok(())
    }
}

pub fn decide(bed: &Bed, report: &mut Report) {
    let database = bed.database(1, Rules::Alike);
    let (mut bare, mut snapshot, mut mailbox) = (Vec::new(), Vec::new(), Vec::new());
    bed.runtime.block_on(async {
        let node = Node::start(&database.url).await;
        let engine = &node.engine;
        let tenant = database.tenants[0];
        let set = engine.rule_set(scope(tenant), None).await.unwrap().set;
        let (actor, _) = Actor::spawn(None, Mailbox, Some(Arc::clone(&set))).await.unwrap();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for _ in 0..DECISIONS {
                black_box(decide_once(black_box(&set), black_box(FACTS)));
            }
            bare.push(each(began));
            let began = Instant::now();
            for _ in 0..DECISIONS {
                let served = engine.rule_set(scope(tenant), None).await.unwrap();
                black_box(decide_once(&served.set, black_box(FACTS)));
            }
            snapshot.push(each(began));
            let began = Instant::now();
            for _ in 0..DECISIONS / 20 {
                black_box(call!(actor, Ask, black_box(FACTS).to_owned()).unwrap());
            }
            mailbox.push(each(began) * 20.0);
        }
        actor.stop(None);
        node.stop().await;
    });
    let bare = median(&mut bare);
    report.figure("read facts and decide ten rules, a bare call", bare, "ns", "the baseline");
    report.ratio("the same through the published rule set", median(&mut snapshot), bare, "ns", 1.15);
    report.figure("the same through an actor's mailbox", median(&mut mailbox), "ns", "for the record");
}

fn each(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e9 / f64::from(DECISIONS)
}
