//! The pages: links lead to files and headings that exist, and paths of the sources that a page names exist.
//!
//! Needs no service. What a page says of settings, metrics and the language is tested beside these.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected must fail, and this is how")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// Folders whose paths a page may name in backticks.
const FOLDERS: [&str; 8] = ["src", "tests", "benches", "migrations", "docs", "scripts", "deploy", "crates"];

/// The text of every page, by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    let page = |path: PathBuf| (path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    paths.into_iter().map(page).collect()
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The names by which links reach the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        prose(text).filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|heading| {
            let kept = heading.trim().to_lowercase().replace(' ', "-");
            kept.chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == '_').collect()
        })
        .collect()
}

/// The targets of links: what is between `](` and `)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
}

/// `folder/link` without `.` and `..`.
fn joined(folder: &Path, link: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let pages = pages();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (page, text) in &pages {
        for link in links(text).filter(|link| !link.contains("://")) {
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { joined(page.parent().unwrap(), file) };
            if !root.join(&target).exists() {
                wrong.push(format!("{}: no file `{link}`", page.display()));
            } else if !anchor.is_empty() && !anchors(&pages[&target]).contains(anchor) {
                wrong.push(format!("{}: no heading `{link}`", page.display()));
            }
        }
    }
    assert!(seen > 50, "{seen} links were seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_path_of_the_sources_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (page, text) in &pages() {
        if page == Path::new("CHANGELOG.md") {
            continue;
        }
        for span in prose(text).flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let is_path = span.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
            if !is_path || span.contains(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c))) {
                continue;
            }
            seen += 1;
            // A module may be named without what its file ends with.
            let exists = [span.to_owned(), format!("{span}.rs")].iter().any(|path| root.join(path).exists());
            if !exists {
                wrong.push(format!("{}: `{span}`", page.display()));
            }
        }
    }
    assert!(seen > 20, "{seen} paths were seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
