//! A file of groups: JSON with `groups`, each with a workload and how it is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{Error, Group, Workload};
use crate::domain::{Quota, Tier};

/// Connections of a group at most, as of a plain load.
const CONNECTIONS_MAX: usize = 65_535;
/// Requests a second at most, likewise.
const RATE_MAX: f64 = 1e7;
/// A group begins, and lasts, for a day at most.
const SECONDS_MAX: f64 = 86_400.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<GroupEntry>,
    /// A note for people.
    #[serde(default, rename = "about")]
    _about: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupEntry {
    name: String,
    /// A path, from the file's directory on, or the workload itself.
    workload: Value,
    mix: Option<String>,
    tenants: Option<usize>,
    tier: Option<Tier>,
    #[serde(default)]
    quotas: BTreeMap<Quota, u64>,
    #[serde(default)]
    tenant_keys: bool,
    connections: Option<usize>,
    rate: Option<f64>,
    start_after: Option<f64>,
    duration: Option<f64>,
    #[serde(default)]
    expect_refusals: bool,
}

impl Group {
    /// Reads a file of groups. Groups that do not say how long they are last for `duration`.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no file of groups, or a workload cannot be read or has no such mix.
    pub fn read_all(path: &Path, duration: Duration) -> Result<Vec<Self>, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse_all(&text, path, duration)
    }

    fn parse_all(text: &str, path: &Path, duration: Duration) -> Result<Vec<Self>, Error> {
        let File { groups, .. } =
            serde_json::from_str(text).map_err(|source| Error::MalformedGroups { path: path.to_owned(), source })?;
        let names: BTreeSet<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        if names.is_empty() || names.len() < groups.len() || names.contains("") {
            let message = "`groups` has at least one group, and each has a name that no other has";
            return Err(Error::Invalid(message.to_owned()));
        }
        groups.into_iter().map(|entry| entry.read(path, duration)).collect()
    }
}

impl GroupEntry {
    fn read(self, path: &Path, duration: Duration) -> Result<Group, Error> {
        let workload = match self.workload {
            Value::String(file) => Workload::read(&path.parent().unwrap_or(Path::new("")).join(file))?,
            inline => Workload::inline(&self.name, inline, path)?,
        };
        let invalid = |what: &str| Error::Invalid(format!("the group `{}` has an invalid {what}", self.name));
        let seconds = |value: f64, name: &str| match value {
            0.0..=SECONDS_MAX => Ok(Duration::from_secs_f64(value)),
            _ => Err(invalid(&format!("`{name}`: seconds from 0 to a day"))),
        };
        let mut group = Group::new(workload);
        group.mix = self.mix.unwrap_or(group.mix);
        group.tenants = self.tenants.unwrap_or(group.tenants);
        group.tier = self.tier.unwrap_or(group.tier);
        group.connections = self.connections.unwrap_or(group.connections);
        group.starts_after = seconds(self.start_after.unwrap_or(0.0), "startAfter")?;
        group.duration = self.duration.map_or(Ok(duration), |value| seconds(value, "duration"))?;
        if group.tenants == 0 {
            return Err(invalid("`tenants`: at least 1"));
        }
        if !(1..=CONNECTIONS_MAX).contains(&group.connections) {
            return Err(invalid(&format!("`connections`: from 1 to {CONNECTIONS_MAX}")));
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= RATE_MAX)) {
            return Err(invalid(&format!("`rate`: above 0, and at most {RATE_MAX}")));
        }
        group.workload.mix(&group.mix)?;
        Ok(Group {
            name: self.name,
            quotas: self.quotas,
            rate: self.rate,
            has_tenant_keys: self.tenant_keys,
            expects_refusals: self.expect_refusals,
            ..group
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOODS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/workloads/floods");
    const SHORT: Duration = Duration::from_secs(3);

    /// Reads a file with this text, beside the workloads of floods.
    fn read(text: &str) -> Result<Vec<Group>, Error> {
        Group::parse_all(text, &Path::new(FLOODS).join("groups.json"), SHORT)
    }

    #[test]
    fn the_shipped_file_has_a_victim_and_an_aggressor() {
        let groups = Group::read_all(&Path::new(FLOODS).join("victim_and_aggressor.json"), SHORT).unwrap();
        let [victim, aggressor] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!((victim.name.as_str(), victim.expects_refusals, victim.duration), ("victim", false, SHORT));
        assert_eq!((aggressor.name.as_str(), aggressor.expects_refusals), ("aggressor", true));
        assert_eq!(victim.tier, aggressor.tier);
        assert!(victim.has_tenant_keys && aggressor.has_tenant_keys);
    }

    #[test]
    fn what_a_group_does_not_say_is_as_in_a_plain_load() {
        let workload =
            r#"{"tenants":3,"schema":{"facts":{"n":"int"}},"rules":[],"facts":{"n":"integer 1..9 uniform"}}"#;
        let [group] = &read(&format!(r#"{{"groups":[{{"name":"a","workload":{workload}}}]}}"#)).unwrap()[..] else {
            panic!("not one group")
        };
        let plain = Group::new(group.workload.clone());
        assert_eq!((group.name.as_str(), group.workload.name.as_str(), group.tenants), ("a", "a", 3));
        assert_eq!((group.connections, &group.mix, group.tier), (plain.connections, &plain.mix, Tier::Enterprise));
        assert_eq!((group.starts_after, group.duration, group.rate), (Duration::ZERO, SHORT, None));
        let all = r#""mix":"evaluate","tenants":2,"tier":"free","quotas":{"requestsPerMinute":60},"tenantKeys":true,
            "connections":4,"rate":2.5,"startAfter":1.5,"duration":2,"expectRefusals":true"#;
        let text = format!(r#"{{"about":"x","groups":[{{"name":"a","workload":{workload},{all}}}]}}"#);
        let [group] = &read(&text).unwrap()[..] else { panic!("not one group") };
        assert_eq!((group.tenants, group.tier, group.connections, group.rate), (2, Tier::Free, 4, Some(2.5)));
        assert_eq!(group.quotas, BTreeMap::from([(Quota::RequestsPerMinute, 60)]));
        assert_eq!(group.ends_after(), Duration::from_millis(3_500));
        assert!(group.has_tenant_keys && group.expects_refusals);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let workload = r#""workload":{"tenants":1,"schema":{},"rules":[],"facts":{}}"#;
        for (groups, part) in [
            (String::new(), "`groups` has at least one group"),
            (format!(r#"{{"name":"a",{workload}}},{{"name":"a",{workload}}}"#), "a name that no other has"),
            (format!(r#"{{"name":"a",{workload},"expectRefusal":true}}"#), "unknown field `expectRefusal`"),
            (format!(r#"{{"name":"a",{workload},"quotas":{{"speed":1}}}}"#), "unknown variant `speed`"),
            (format!(r#"{{"name":"a",{workload},"tier":"gold"}}"#), "unknown variant `gold`"),
            (format!(r#"{{"name":"a",{workload},"connections":0}}"#), "the group `a` has an invalid `connections`"),
            (format!(r#"{{"name":"a",{workload},"tenants":0}}"#), "the group `a` has an invalid `tenants`"),
            (format!(r#"{{"name":"a",{workload},"rate":0}}"#), "the group `a` has an invalid `rate`"),
            (format!(r#"{{"name":"a",{workload},"startAfter":-1}}"#), "the group `a` has an invalid `startAfter`"),
            (format!(r#"{{"name":"a",{workload},"duration":1e99}}"#), "the group `a` has an invalid `duration`"),
            (format!(r#"{{"name":"a",{workload},"mix":"b"}}"#), "it has no mix `b`"),
            (r#"{"name":"a","workload":"no_such.json"}"#.to_owned(), "no_such.json` cannot be read"),
            (r#"{"name":"a","workload":5}"#.to_owned(), "is not a valid workload"),
        ] {
            let error = read(&format!(r#"{{"groups":[{groups}]}}"#)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
