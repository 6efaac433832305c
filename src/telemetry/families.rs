//! The families of metrics, and how they are written: in the text format of OpenMetrics, or in that of Prometheus.
//!
//! The registry leaves out a family that has no sample yet. Here it has its description all the same, so that whoever
//! reads `/metrics` sees every family that exists.

use std::fmt::{self, Write};

use prometheus_client::{
    collector::Collector,
    encoding::{EncodeMetric, text},
    registry::{Metric, Registry, Unit},
};

/// What the name of each family of ours begins with.
const PREFIX: &str = "tenet";

/// All families.
pub(super) struct Families {
    registry: Registry,
    /// Families without the prefix: they are of any process.
    process: Registry,
    described: Vec<Description>,
}

/// The lines of a family that come before its samples.
struct Description {
    /// `# TYPE …`, which names the family once.
    kind: String,
    help: String,
}

impl Families {
    /// None yet.
    pub fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), process: Registry::default(), described: Vec::new() }
    }

    /// Adds a family.
    pub fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.describe(name, help, &metric);
        self.registry.register(name, help, metric);
    }

    /// Adds a family whose name ends with its unit.
    pub fn add_with_unit(&mut self, name: &str, help: &str, unit: Unit, metric: impl Metric) {
        self.describe(&format!("{name}_{}", unit.as_str()), help, &metric);
        self.registry.register_with_unit(name, help, unit, metric);
    }

    /// Adds what describes itself, and always has samples.
    pub fn collect(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// The same without the prefix.
    pub fn collect_of_process(&mut self, collector: impl Collector) {
        self.process.register_collector(Box::new(collector));
    }

    fn describe(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) {
        self.described.push(Description {
            kind: format!("# TYPE {PREFIX}_{name} {}\n", metric.metric_type().as_str()),
            help: format!("# HELP {PREFIX}_{name} {help}.\n"),
        });
    }

    /// All families, in the text format of OpenMetrics.
    pub fn open_metrics(&self) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(16 << 10);
        text::encode_registry(&mut out, &self.registry)?;
        for family in &self.described {
            if !out.contains(&family.kind) {
                out.push_str(&family.help);
                out.push_str(&family.kind);
            }
        }
        text::encode_registry(&mut out, &self.process)?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }

    /// All families, in the text format of Prometheus 0.0.4. Counters and infos are described there by the names of their
    /// samples, an info is a gauge, and neither units nor the end have a line.
    pub fn prometheus(&self) -> Result<String, fmt::Error> {
        let open_metrics = self.open_metrics()?;
        let mut out = String::with_capacity(open_metrics.len());
        let mut help = "";
        for line in open_metrics.lines() {
            match line.strip_prefix("# ").and_then(|comment| comment.split_once(' ')) {
                Some(("HELP", rest)) => help = rest.split_once(' ').map_or("", |(_, help)| help),
                Some(("TYPE", rest)) => {
                    let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
                    let (suffix, kind) = match kind {
                        "counter" => ("_total", kind),
                        "info" => ("_info", "gauge"),
                        _ => ("", kind),
                    };
                    writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}")?;
                }
                None if !line.starts_with('#') => {
                    out.push_str(line);
                    out.push('\n');
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info};

    use super::*;

    fn families() -> Families {
        let mut families = Families::new();
        families.add("build", "The version", Info::new(vec![("version", "1")]));
        let decisions = Counter::<u64>::default();
        families.add("decisions", "Decisions made", decisions.clone());
        decisions.inc();
        families.add("errors", "Errors, by code", Family::<Vec<(String, String)>, Counter>::default());
        families.add_with_unit("rule_sets", "Memory of rule sets", Unit::Bytes, Gauge::<i64>::default());
        families
    }

    #[test]
    fn a_family_without_a_sample_is_described() {
        assert_eq!(
            families().open_metrics().unwrap(),
            "# HELP tenet_build The version.\n# TYPE tenet_build info\ntenet_build_info{version=\"1\"} 1\n\
             # HELP tenet_decisions Decisions made.\n# TYPE tenet_decisions counter\ntenet_decisions_total 1\n\
             # HELP tenet_rule_sets_bytes Memory of rule sets.\n# TYPE tenet_rule_sets_bytes gauge\n\
             # UNIT tenet_rule_sets_bytes bytes\ntenet_rule_sets_bytes 0\n\
             # HELP tenet_errors Errors, by code.\n# TYPE tenet_errors counter\n# EOF\n"
        );
    }

    #[test]
    fn the_older_format_describes_samples_by_their_own_names() {
        assert_eq!(
            families().prometheus().unwrap(),
            "# HELP tenet_build_info The version.\n# TYPE tenet_build_info gauge\ntenet_build_info{version=\"1\"} 1\n\
             # HELP tenet_decisions_total Decisions made.\n# TYPE tenet_decisions_total counter\n\
             tenet_decisions_total 1\n\
             # HELP tenet_rule_sets_bytes Memory of rule sets.\n# TYPE tenet_rule_sets_bytes gauge\n\
             tenet_rule_sets_bytes 0\n\
             # HELP tenet_errors_total Errors, by code.\n# TYPE tenet_errors_total counter\n"
        );
    }
}
