//! The rounds of a flood, in an order by chance: the victim alone, beside an aggressor of its tier, beside one of another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tenet::{domain::Tier, load::Report};

use super::{
    kinds::Flood,
    service::{Bed, Running},
};

/// Orders of the three rounds.
const ORDERS: [[Round; 3]; 6] = {
    use Round::{OtherTier, SameTier, Solo};
    [
        [Solo, SameTier, OtherTier],
        [Solo, OtherTier, SameTier],
        [SameTier, Solo, OtherTier],
        [SameTier, OtherTier, Solo],
        [OtherTier, Solo, SameTier],
        [OtherTier, SameTier, Solo],
    ]
};

/// Of the victim's requests, how many must succeed.
const SUCCESS_MIN: f64 = 0.999;
/// How much slower than alone its slowest hundredth may be beside an aggressor of its own tier, or by how many
/// milliseconds, and beside one of another.
const SAME_TIER_RATIO: f64 = 2.0;
const SAME_TIER_MORE_MS: f64 = 10.0;
const OTHER_TIER_RATIO: f64 = 1.5;
/// How much of its answers a second it must keep.
const GOODPUT_MIN: f64 = 0.95;

/// Who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Solo,
    SameTier,
    OtherTier,
}

impl Round {
    fn aggressor(self, flood: &Flood) -> Option<Tier> {
        match self {
            Self::Solo => None,
            Self::SameTier => Some(flood.tier),
            Self::OtherTier => Some(flood.other_tier),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Solo => "alone",
            Self::SameTier => "same tier",
            Self::OtherTier => "other tier",
        }
    }
}

/// Runs a flood and prints what became of the victim.
pub fn run(bed: &Bed, service: &Running, flood: &Flood, duration: Duration) {
    let order =
        ORDERS[usize::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros()).unwrap() % 6];
    println!("\n{}: {}", flood.name, flood.about);
    println!(
        "  {:<11} {:>9} {:>9} {:>9} {:>10}   the aggressor",
        "the victim", "success", "p50 ms", "p99 ms", "goodput/s"
    );
    let mut found: Vec<(Round, Report)> = Vec::new();
    for round in order {
        let mut groups = vec![flood.victim(duration)];
        groups.extend(round.aggressor(flood).map(|tier| flood.aggressor(tier, duration)));
        let mut reports = service.load(bed, &groups).groups.into_iter();
        let victim = reports.next().unwrap();
        print(round, &victim, reports.next().as_ref());
        found.push((round, victim));
    }
    let of = |wanted: Round| found.iter().find(|(round, _)| *round == wanted).map(|(_, report)| report).unwrap();
    judge(of(Round::Solo), of(Round::SameTier), of(Round::OtherTier));
}

fn print(round: Round, victim: &Report, aggressor: Option<&Report>) {
    let aggressor = aggressor.map_or_else(String::new, |report| {
        let refused: u64 = report.refused.values().sum();
        let events = report.events.as_ref().map_or_else(String::new, |events| {
            format!(
                ", {:.0} events/s accepted, {} refused",
                events.accepted_per_second,
                events.refused.values().sum::<u64>()
            )
        });
        format!(
            "{:.0}/s answered, p99 {:.1} ms; {refused} refused, p50 {:.1} p99 {:.1} ms; {} not sent{events}",
            report.requests_per_second,
            report.latency_ms.p99,
            report.refused_latency_ms.p50,
            report.refused_latency_ms.p99,
            report.not_sent
        )
    });
    println!(
        "  {:<11} {:>7.2} % {:>9.2} {:>9.2} {:>10.1}   {aggressor}",
        round.name(),
        victim.success * 100.0,
        victim.latency_ms.p50,
        victim.latency_ms.p99,
        victim.requests_per_second
    );
    if !victim.refused.is_empty() {
        println!("  {:<11} the victim was refused: {:?}", "", victim.refused);
    }
}

fn judge(solo: &Report, same: &Report, other: &Report) {
    let alone = solo.latency_ms.p99;
    let bound = (alone * SAME_TIER_RATIO).max(alone + SAME_TIER_MORE_MS);
    let verdicts = [
        ("success, same tier", same.success >= SUCCESS_MIN),
        ("success, other tier", other.success >= SUCCESS_MIN),
        ("p99, same tier", same.latency_ms.p99 <= bound),
        ("p99, other tier", other.latency_ms.p99 <= alone * OTHER_TIER_RATIO),
        ("goodput, same tier", same.requests_per_second >= solo.requests_per_second * GOODPUT_MIN),
        ("goodput, other tier", other.requests_per_second >= solo.requests_per_second * GOODPUT_MIN),
    ];
    let failed: Vec<&str> = verdicts.iter().filter(|(_, holds)| !holds).map(|(what, _)| *what).collect();
    let verdict = if failed.is_empty() { "holds".to_owned() } else { format!("broken: {}", failed.join("; ")) };
    println!(
        "  {verdict} (p99 {:.2}x in the same tier, aimed at {bound:.2} ms; {:.2}x in the other, aimed at {OTHER_TIER_RATIO}x)",
        same.latency_ms.p99 / alone,
        other.latency_ms.p99 / alone
    );
}
