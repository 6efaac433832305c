//! Who the server runs as: ourselves, or, when we are root, an unprivileged account.
//!
//! PostgreSQL refuses to run as root. No password is ever asked for.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Error;

/// Accounts that root may run the server as, the first there is.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// An account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether we are root and must change to it.
    switch: bool,
}

impl Account {
    /// The account for a cluster in `directory`: its owner if it is there already.
    pub fn for_cluster(directory: &Path) -> Result<Self, Error> {
        let user = rustix::process::geteuid().as_raw();
        let owner = fs::metadata(directory).ok().map(|metadata| (metadata.uid(), metadata.gid()));
        match owner {
            Some((uid, gid)) if user == 0 && uid != 0 => Ok(Self { name: name_of(uid), uid, gid, switch: true }),
            Some((uid, _)) if user != 0 && uid != user => {
                Err(Error::OwnedByAnother { directory: directory.to_owned(), owner: uid, user })
            }
            _ if user == 0 => unprivileged().ok_or(Error::NoAccount),
            _ => {
                let gid = rustix::process::getegid().as_raw();
                Ok(Self { name: name_of(user), uid: user, gid, switch: false })
            }
        }
    }

    /// A command that runs as this account, with nothing of our environment but a plain search path, in a process
    /// group of its own, so that Ctrl-C reaches us alone.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if self.switch {
            // The standard library drops the supplementary groups too.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives `path` to this account.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        if self.switch {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
                .map_err(Error::file("change owner of", path))?;
        }
        Ok(())
    }

    /// Whether this account can enter `directory`. Asked of the system itself, since modes, groups and access lists of
    /// every ancestor have a say.
    pub fn can_enter(&self, directory: &Path) -> bool {
        let mut command = self.command("/bin/sh");
        command.args(["-c", "cd \"$1\"", "sh"]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        !self.switch || command.status().is_ok_and(|status| status.success())
    }
}

fn unprivileged() -> Option<Account> {
    let accounts = accounts();
    CANDIDATES.iter().find_map(|wanted| {
        let (name, uid, gid) = accounts.iter().find(|(name, uid, _)| name == wanted && *uid != 0)?;
        Some(Account { name: name.clone(), uid: *uid, gid: *gid, switch: true })
    })
}

fn name_of(uid: u32) -> String {
    accounts().into_iter().find(|(_, id, _)| *id == uid).map_or_else(|| uid.to_string(), |(name, _, _)| name)
}

/// Name, user id and group id of the accounts in `/etc/passwd`.
fn accounts() -> Vec<(String, u32, u32)> {
    let passwd = fs::read_to_string(PathBuf::from("/etc/passwd")).unwrap_or_default();
    passwd.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<(String, u32, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((name.to_owned(), uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_passwd_gives_name_and_ids() {
        assert_eq!(parse("postgres:x:101:104:admin:/var/lib:/bin/sh"), Some(("postgres".to_owned(), 101, 104)));
        assert_eq!(parse("# a comment of macOS"), None);
        assert_eq!(parse("broken:x:many:0::"), None);
    }
}
