//! Where settings come from, and how they are read: flag over environment over file over default.

use std::{env, fmt, fs, path::Path};

use super::{Purpose, SETTINGS, Setting, Settings, check, environment, file, nearest::nearest};

/// Everything that was set, as text.
#[derive(Default)]
pub struct Sources {
    /// Flags of the command line: which setting, and its value.
    pub flags: Vec<(&'static str, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Path and content of the settings file.
    pub file: Option<(std::path::PathBuf, String)>,
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

impl Sources {
    /// What this process was started with: these flags, its environment, and the settings file if one is named.
    pub fn of_process(flags: Vec<(&'static str, String)>, file: Option<&Path>) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut environment = Vec::new();
        for (name, value) in env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => environment.push((name, value)),
                Err(_) if SETTINGS.iter().any(|setting| setting.variable == name) => {
                    mistakes.push(format!("environment: `{name}` is not valid UTF-8"));
                }
                Err(_) => {}
            }
        }
        let file = file.and_then(|path| match fs::read_to_string(path) {
            Ok(content) => Some((path.to_owned(), content)),
            Err(error) => {
                mistakes.push(format!("`--config {}` cannot be read: {error}", path.display()));
                None
            }
        });
        if mistakes.is_empty() { Ok(Self { flags, environment, file }) } else { Err(Mistakes(mistakes)) }
    }
}

impl Settings {
    /// Reads the settings for `purpose`, or says everything that is wrong with them.
    pub fn read(sources: &Sources, purpose: Purpose) -> Result<Self, Mistakes> {
        let mut settings = Self::default();
        let mut mistakes = Vec::new();
        if let Some((path, content)) = &sources.file {
            let (entries, wrong) = file::read(path, content);
            mistakes.extend(wrong);
            for entry in entries {
                if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == entry.key) {
                    mistakes.extend(assign(&mut settings, setting, &entry.place, setting.key, &entry.text));
                }
            }
        }
        for (name, value) in &sources.environment {
            match SETTINGS.iter().find(|setting| setting.variable == name) {
                // `docker compose` and shells hand on variables that are meant to be unset as empty ones.
                Some(_) if value.is_empty() => {}
                Some(setting) => {
                    mistakes.extend(assign(&mut settings, setting, "environment", setting.variable, value));
                }
                None => mistakes.extend(unknown(name, value)),
            }
        }
        for (key, value) in &sources.flags {
            match SETTINGS.iter().find(|setting| setting.key == *key) {
                Some(setting) => mistakes.extend(assign(&mut settings, setting, "command line", setting.key, value)),
                None => mistakes.push(format!("command line: unknown setting `{key}`")),
            }
        }
        mistakes.extend(check::contradictions(&settings, purpose));
        if mistakes.is_empty() { Ok(settings) } else { Err(Mistakes(mistakes)) }
    }
}

/// Takes a value over, or says what is wrong with it.
fn assign(settings: &mut Settings, setting: &Setting, place: &str, name: &str, text: &str) -> Option<String> {
    let shown = if setting.secret { "the value".to_owned() } else { format!("`{text}`") };
    let Some(measure) = (setting.assign)(settings, text) else {
        return Some(format!("{place}: {shown} of `{name}` is invalid; it must be {}", setting.expects));
    };
    let ((least, most), measure) = (setting.bounds?, measure?);
    if (least..=most).contains(&measure) {
        return None;
    }
    let unit = setting.unit;
    Some(format!("{place}: {shown} of `{name}` is out of range; it must be from {least}{unit} to {most}{unit}"))
}

/// Refuses a variable that has our prefix but is not a setting.
fn unknown(name: &str, value: &str) -> Option<String> {
    let ours = name.starts_with("TENET_") && !environment::is_known(name);
    if !ours || is_service_link(name, value) {
        return None;
    }
    Some(match nearest(name, SETTINGS.iter().map(|setting| setting.variable)) {
        Some(meant) => format!("environment: unknown setting `{name}`; did you mean `{meant}`?"),
        None => format!("environment: unknown setting `{name}`; docs/configuration.md lists all of them"),
    })
}

/// Kubernetes gives every pod variables that describe the services around it. A service named `tenet` makes them
/// begin with `TENET_`.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("TENET_") else { return false };
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || (rest.starts_with("PORT") && (value.contains("://") || rest.contains("_TCP") || rest.contains("_UDP")))
}
