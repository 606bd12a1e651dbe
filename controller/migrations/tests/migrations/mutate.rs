//! Mutations of a corpus of migration files, each from a seed alone: shared by the tests and by the example `fuzz`.

use std::{fs, path::Path};

use breakwater_migrations::Dialect;

/// A file of the corpus.
pub struct Entry {
    /// Which server it is for.
    pub dialect: Dialect,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a migration's text may turn on: openers and closers, control words, odd characters.
const PIECES: [&str; 52] = [
    "'",
    "\"",
    "`",
    "$$",
    "$q$",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ".",
    "--",
    "/*",
    "*/",
    "/*!",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "é",
    "\u{2028}",
    "||",
    "::",
    ":=",
    "@a",
    "@",
    "\\",
    "BEGIN",
    "END",
    "END IF",
    "IF",
    "THEN",
    "LOOP",
    "CASE WHEN",
    "DO",
    "EXECUTE",
    "CALL m()",
    "PREPARE s FROM @s",
    "DELIMITER //\n",
    "//",
    "CONCURRENTLY",
    "NOT VALID",
    "ALTER TABLE",
    "CREATE",
    "SELECT",
    "NULL",
    "IN (",
    "INTO",
    "-- morph:nontransactional\n",
    "ALGORITHM=INSTANT",
];

/// The files in `tests/data/corpus`, and the ups of `tests/data/v6`, by name.
pub fn corpus() -> Vec<Entry> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut out = Vec::new();
    for (folder, ending, dialect) in [
        ("corpus", ".pg.sql", Dialect::Postgresql),
        ("corpus", ".my.sql", Dialect::Mysql),
        ("v6/postgresql", ".up.sql", Dialect::Postgresql),
        ("v6/mysql", ".up.sql", Dialect::Mysql),
    ] {
        let mut paths: Vec<_> = fs::read_dir(data.join(folder))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        let named = paths.into_iter().filter(|path| path.to_string_lossy().ends_with(ending));
        out.extend(named.map(|path| Entry { dialect, bytes: fs::read(path).unwrap_or_default() }));
    }
    assert!(out.len() > 50, "the corpus is missing");
    out
}

/// `SplitMix64` (Steele, Lea, Flood 2014): enough to choose mutations, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// A file of the corpus, changed in one to eight places.
pub fn mutated(corpus: &[Entry], seed: u64) -> (Dialect, Vec<u8>) {
    let mut random = Random(seed);
    let entry = &corpus[random.below(corpus.len())];
    let mut bytes = entry.bytes.clone();
    for _ in 0..=random.below(8) {
        mutate(&mut bytes, corpus, &mut random);
        bytes.truncate(100_000);
    }
    // A file may be read as the other dialect's by mistake.
    let other = random.below(20) == 0;
    let dialect = match (entry.dialect, other) {
        (Dialect::Postgresql, false) | (Dialect::Mysql, true) => Dialect::Postgresql,
        (Dialect::Mysql, false) | (Dialect::Postgresql, true) => Dialect::Mysql,
    };
    (dialect, bytes)
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Entry], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(40)).min(bytes.len());
    match random.below(9) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.truncate(at),
        2 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
        3 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..end, piece.bytes());
        }
        // Deep nests and long lists.
        4 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.repeat(random.below(300)).into_bytes());
        }
        5 => {
            let copy = bytes[at..end].repeat(1 + random.below(50));
            bytes.splice(at..at, copy);
        }
        6 => {
            let other = &corpus[random.below(corpus.len())].bytes;
            let from = random.below(other.len() + 1);
            let to = (from + random.below(200)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        7 => bytes[at..end].iter_mut().for_each(|byte| *byte = byte.to_ascii_uppercase()),
        _ => {
            let byte = u8::try_from(random.below(256)).unwrap_or(0);
            bytes.splice(at..at, [byte]);
        }
    }
}
