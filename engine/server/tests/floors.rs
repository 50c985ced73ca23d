//! The house rules that the compiler does not keep: imports run downward only, crates stand on the floors below them, and
//! only the OS floor makes system calls or reads a clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The engine's floors, ground first. What is not listed is the root, which may import all.
const FLOORS: [&str; 6] = ["mem", "os", "fanout", "session", "reactor", "admin"];

/// The crates' floors: a crate may depend on those of lower floors only.
const CRATES: [(&str, &str, u8); 6] = [
    ("depthcast-market", "engine/market", 0),
    ("depthcast-wire", "engine/wire", 1),
    ("depthcast-client", "engine/client", 2),
    ("depthcast-feed-sim", "feed-sim", 2),
    ("depthcast", "engine/server", 3),
    ("depthcast-bench", "bench", 4),
];

/// Words that only the OS floor may use, and why.
const OS_WORDS: [(&str, &str); 5] = [
    ("unsafe ", "unsafe code stands in the OS floor"),
    (
        "Instant::now",
        "clocks are read in the OS floor; everything else takes the time as an argument",
    ),
    (
        "SystemTime::now",
        "clocks are read in the OS floor; everything else takes the time as an argument",
    ),
    ("socket2::", "socket options are set in the OS floor"),
    ("core_affinity::", "threads are pinned in the OS floor"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The engine's modules that a line of code names by `crate::`, also in `use crate::{a, b::c}`.
fn imports(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            // A list that goes on in the next line would hide its names from this check.
            Some("") => return vec!["{"],
            Some(list) => list.split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name = name
                .trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            modules.push(name);
        }
    }
    modules
}

/// What is wrong with `text`, a file of `floor`.
fn upward_imports(floor: &str, text: &str) -> Vec<String> {
    let height = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let Some(own) = height(floor) else {
        return Vec::new();
    };
    text.lines()
        .enumerate()
        .flat_map(|(n, line)| imports(line).into_iter().map(move |module| (n + 1, module)))
        .filter(|(_, module)| !module.is_empty() && height(module).is_none_or(|height| height > own))
        .map(|(n, module)| format!("line {n}: {floor} imports {module}"))
        .collect()
}

#[test]
fn imports_run_downward_in_the_engine() {
    let src = root().join("engine/server/src");
    let mut wrong = Vec::new();
    let mut files = 0;
    for floor in FLOORS {
        for file in sources(&src.join(floor)) {
            files += 1;
            let text = fs::read_to_string(&file).expect("a source file");
            wrong.extend(
                upward_imports(floor, &text)
                    .into_iter()
                    .map(|what| format!("{}: {what}", file.display())),
            );
        }
    }
    assert!(
        files > 20,
        "only {files} files were found: the folders have moved"
    );
    assert!(wrong.is_empty(), "imports that run upward:\n{}", wrong.join("\n"));
}

#[test]
fn the_check_sees_upward_imports() {
    assert_eq!(
        upward_imports("fanout", "use crate::mem::slab::Slab;"),
        Vec::<String>::new()
    );
    assert_eq!(
        upward_imports("fanout", "fn f() {}\nuse crate::session::Next;"),
        ["line 2: fanout imports session"]
    );
    assert_eq!(
        upward_imports(
            "os",
            "use crate::{mem::slab, reactor};\n// crate::admin is only spoken of"
        ),
        ["line 1: os imports reactor"]
    );
    assert_eq!(upward_imports("os", "use crate::{"), ["line 1: os imports {"]);
    assert_eq!(
        upward_imports("admin", "crate::engine::start()"),
        ["line 1: admin imports engine"]
    );
    assert_eq!(
        upward_imports("engine", "use crate::admin;"),
        Vec::<String>::new()
    );
}

#[test]
fn only_the_os_floor_touches_the_os() {
    let mut wrong = Vec::new();
    for (_, folder, _) in CRATES {
        // The subscriber is a program of its own with a clock of its own; benches measure.
        if matches!(folder, "engine/client" | "bench") {
            continue;
        }
        for file in sources(&root().join(folder).join("src")) {
            let path = file.display().to_string();
            let is_command = path.contains("/src/watch/") || path.ends_with("/main.rs");
            // A feed has no floors: one file wraps its clocks.
            let is_feed_os = path.ends_with("/feed-sim/src/os.rs");
            if path.contains("/src/os/") || is_command || is_feed_os {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a source file");
            for (n, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for (word, why) in OS_WORDS {
                    if code.contains(word) {
                        wrong.push(format!("{path}:{}: {word:?}: {why}", n + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_depend_on_lower_floors_only() {
    let floors: BTreeMap<&str, u8> = CRATES.iter().map(|(name, _, floor)| (*name, *floor)).collect();
    let mut seen = 0;
    for (name, folder, floor) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{folder} is no longer {name}"
        );
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line == "[dependencies]" || line == "[build-dependencies]";
            }
            let Some((dependency, _)) = line.split_once('=') else {
                continue;
            };
            if let Some(below) = floors.get(dependency.trim()).filter(|_| in_dependencies) {
                seen += 1;
                assert!(
                    *below < floor,
                    "{name} (floor {floor}) depends on {} (floor {below})",
                    dependency.trim()
                );
            }
        }
    }
    assert!(
        seen >= 6,
        "only {seen} dependencies between crates were found: the manifests are read wrongly"
    );
}
