//! What all groups of a load found.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::Report;

/// The reports of a load.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reports {
    /// One for each group, in order.
    pub groups: Vec<Report>,
    /// Processor time that the service took for all of them, if it runs on this machine; until all events are decided.
    pub server_cpu_seconds: Option<f64>,
}

impl Reports {
    pub(super) fn new(mut groups: Vec<Report>, spent: Option<Duration>) -> Self {
        if let (1, Some(spent)) = (groups.len(), spent) {
            groups = groups.into_iter().map(|report| report.with_server_cpu(spent)).collect();
        }
        Self { groups, server_cpu_seconds: spent.map(|spent| spent.as_secs_f64()) }
    }

    /// The report of a group.
    pub fn group(&self, name: &str) -> Option<&Report> {
        self.groups.iter().find(|report| report.group == name)
    }

    /// Whether all are clean, as [`Report::is_clean`] says.
    pub fn is_clean(&self) -> bool {
        self.groups.iter().all(Report::is_clean)
    }
}

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.groups[..] {
            [only] => write!(f, "{only}")?,
            several => {
                for (number, report) in several.iter().enumerate() {
                    let gap = if number > 0 { "\n\n" } else { "" };
                    write!(f, "{gap}group        {}\n{report}", report.group)?;
                }
                if let Some(cpu) = self.server_cpu_seconds {
                    write!(f, "\n\nserver CPU   {cpu:.1} s for all groups")?;
                }
            }
        }
        if self.server_cpu_seconds.is_none() {
            write!(f, "\nserver CPU   unknown: the service is on another machine, or belongs to another user")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{
        super::{
            Group, Workload,
            drive::LoadOutcome,
            tally::{Failure, Tally},
        },
        *,
    };

    fn group(name: &str, expects_refusals: bool) -> Group {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/workloads/ten_rules.json");
        let workload = Workload::read(file.as_ref()).unwrap();
        Group { name: name.to_owned(), expects_refusals, ..Group::new(workload) }
    }

    /// Of a group with 8 requests that succeeded, and what `more` counts.
    fn report(group: &Group, missed: u64, more: impl Fn(&mut Tally)) -> Report {
        let mut tally = Tally::new().unwrap();
        (1..=8).for_each(|ms| tally.succeed(Duration::from_millis(ms)));
        more(&mut tally);
        let elapsed = Duration::from_secs(2);
        let outcome = LoadOutcome { tally, began: Instant::now(), elapsed, missed };
        Report::new(group, "http://127.0.0.1:1", outcome, None)
    }

    fn refuse(tally: &mut Tally) {
        tally.refuse("429 rate_limited".to_owned(), Duration::from_millis(3));
    }

    #[test]
    fn refusals_are_failures_unless_they_are_expected() {
        let expected = report(&group("a", true), 1, refuse);
        assert!(expected.is_clean());
        assert_eq!((expected.sent, expected.answered, expected.requests, expected.not_sent), (9, 9, 8, 1));
        assert!((expected.success - 0.8).abs() < 1e-9 && (expected.requests_per_second - 4.0).abs() < 1e-9);
        assert_eq!(expected.refused["429 rate_limited"], 1);
        assert!((2.9..3.1).contains(&expected.refused_latency_ms.p99), "{expected:?}");
        let failed = report(&group("a", false), 0, refuse);
        assert!(!failed.is_clean() && failed.refused.is_empty());
        assert_eq!(failed.errors["429 rate_limited"], 1);
        assert!(!report(&group("a", false), 1, |_| ()).is_clean(), "one was never sent");
        let wrong = report(&group("a", true), 0, |tally| tally.fail(Failure::Wrong("status 500 internal".to_owned())));
        assert!(!wrong.is_clean(), "an error is never expected");
        let unanswered = report(&group("a", true), 0, |tally| tally.fail(Failure::Unanswered("gone".to_owned())));
        assert_eq!((unanswered.sent, unanswered.answered, unanswered.is_clean()), (9, 8, false));
    }

    #[test]
    fn each_group_has_a_report_and_the_service_one_processor_time() {
        let groups = vec![report(&group("a", false), 0, |_| ()), report(&group("b", true), 0, refuse)];
        let spent = Some(Duration::from_millis(1_500));
        let reports = Reports::new(groups.clone(), spent);
        assert!(reports.is_clean());
        let text = reports.to_string();
        for part in [
            "group        a\nworkload     ten_rules, mix evaluate, 5 tenants of enterprise\n",
            "requests     8 in 2.0 s, 4/s\n",
            "group        b\n",
            "refused      1 of 9; ms until then p50 3.00  p99 3.00\n          1  429 rate_limited\nerrors       none\n",
            "server CPU   1.5 s for all groups",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("a request"), "whose requests took how much is not known: {text}");
        let json = serde_json::to_value(&reports).unwrap();
        assert_eq!(json["groups"][1]["refused"], serde_json::json!({"429 rate_limited": 1}));
        assert_eq!((&json["groups"][0]["tier"], &json["serverCpuSeconds"]), (&"enterprise".into(), &1.5.into()));
        assert_eq!(json["groups"][0]["serverCpuUsPerRequest"], serde_json::Value::Null);
        assert_eq!(reports.group("b").unwrap().group, "b");
        let only = Reports::new(groups[..1].to_vec(), spent);
        assert_eq!(only.groups[0].server_cpu_us_per_request, Some(187_500.0));
        assert!(only.to_string().contains("server CPU   187500.0 µs a request\nerrors       none"), "{only}");
        let unknown = Reports::new(groups[..1].to_vec(), None).to_string();
        assert!(
            unknown.ends_with("server CPU   unknown: the service is on another machine, or belongs to another user")
        );
    }
}
