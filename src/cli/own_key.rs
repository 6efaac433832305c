//! The operator's key that `tenet dev` creates, in a file that only its user can read.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use uuid::Uuid;

use crate::{
    config::Secret,
    domain::{ApiKeyId, Holder, Token},
};

/// The file in the data directory.
const NAME: &str = "operator-key";

/// The key in `directory`, made if there is none, and its file.
pub(super) fn read_or_make(directory: &Path) -> anyhow::Result<(Secret, PathBuf)> {
    let file = directory.join(NAME);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(directory, &file)?,
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    };
    // It may have been copied, or restored, with the mode of anything else.
    fs::set_permissions(&file, Permissions::from_mode(0o600))
        .with_context(|| format!("cannot make `{}` private to this user", file.display()))?;
    let key = text.trim();
    anyhow::ensure!(
        Token::parse(key).is_some(),
        "`{}` holds no key: remove it, and `tenet dev` creates another one",
        file.display()
    );
    Ok((Secret::new(key), file))
}

/// Makes a key. Of two who do at once, one does and both read it.
fn make(directory: &Path, file: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot write `{}`", file.display());
    fs::create_dir_all(directory).with_context(cannot)?;
    let key = Token::generate(Holder::Operator(ApiKeyId::generate()))?.text();
    // Written to a draft and then linked, so that the file is never incomplete.
    let draft = directory.join(format!("{NAME}.{}", Uuid::now_v7()));
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    written.and_then(|mut draft| writeln!(draft, "{key}")).with_context(cannot)?;
    let placed = fs::hard_link(&draft, file);
    fs::remove_file(&draft).with_context(cannot)?;
    match placed {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).with_context(cannot),
        _ => fs::read_to_string(file).with_context(cannot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            Self(crate::config::environment::temporary_directory().join(format!("tenet-key-{}", Uuid::now_v7())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_key_is_made_once_and_only_its_user_can_read_it() {
        let Scratch(directory) = &Scratch::new();
        let (key, file) = read_or_make(directory).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Token::parse(key.expose()).is_some());
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_or_make(directory).unwrap().0.expose(), key.expose());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn those_who_start_at_once_have_one_key() {
        let scratch = Scratch::new();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let start = || scope.spawn(|| read_or_make(&scratch.0).unwrap().0.expose().to_owned());
            let threads: Vec<_> = (0..8).map(|_| start()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[test]
    fn a_file_without_a_key_is_refused_and_kept() {
        let Scratch(directory) = &Scratch::new();
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(NAME), "something else").unwrap();
        let error = read_or_make(directory).err().unwrap().to_string();
        assert!(error.contains("holds no key"), "{error}");
        assert_eq!(fs::read_to_string(directory.join(NAME)).unwrap(), "something else");
    }
}
