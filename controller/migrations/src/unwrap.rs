//! What runs inside DO blocks, routines and strings, as statements of their own (migrations.md 0.1). Pure, total.

use std::collections::BTreeMap;

use crate::{
    Dialect,
    lex::{Kind, Token, commas, lex},
    split::Raw,
};

/// How deep strings in strings are followed.
const DEPTH_MAX: usize = 6;

/// How many statements a file may come to: a routine that calls itself ten times would come to millions.
const LEAVES_MAX: usize = 400_000;

/// How many tokens an expression that makes a string may have: it is read recursively.
const EXPRESSION_MAX: usize = 2000;

/// A statement that the server will run, or something that may run and cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub sql: String,
    pub line: usize,
    /// What it stands in, outermost first: `DO`, `EXECUTE`, `PREPARE`, `CALL name`.
    pub within: Vec<String>,
    /// Whether a condition may skip it.
    pub guarded: bool,
    pub looped: bool,
    /// Why its effect is unknown, if so.
    pub unknown: Option<String>,
}

/// What a file has defined so far.
#[derive(Default)]
struct Known {
    variables: BTreeMap<String, Option<Vec<String>>>,
    prepared: BTreeMap<String, Option<Vec<String>>>,
    routines: BTreeMap<String, String>,
}

/// Where in wrappers a text stands.
#[derive(Clone, Default)]
struct Place {
    line: usize,
    within: Vec<String>,
    guarded: bool,
    looped: bool,
}

/// All statements of a file, unwrapped.
pub(crate) fn unwrap(raws: &[Raw], dialect: Dialect) -> Vec<Leaf> {
    let mut walk = Walk { dialect, known: Known::default(), out: Vec::new() };
    for raw in raws {
        let place = Place { line: raw.line, ..Place::default() };
        match &raw.broken {
            Some(why) => walk.push(&raw.sql, &place, Some(why.clone())),
            None => walk.statement(&raw.sql, &place),
        }
    }
    walk.out
}

struct Walk {
    dialect: Dialect,
    known: Known,
    out: Vec<Leaf>,
}

impl Walk {
    fn push(&mut self, sql: &str, place: &Place, unknown: Option<String>) {
        let Place { line, within, guarded, looped } = place.clone();
        self.out.push(Leaf { sql: sql.trim().into(), line, within, guarded, looped, unknown });
    }

    fn statement(&mut self, sql: &str, place: &Place) {
        if place.within.len() > DEPTH_MAX {
            return self.push(sql, place, Some(format!("strings in strings, more than {DEPTH_MAX} deep")));
        }
        if self.out.len() >= LEAVES_MAX {
            if self.out.len() == LEAVES_MAX {
                self.push(sql, place, Some(format!("the file comes to more than {LEAVES_MAX} statements")));
            }
            return;
        }
        let tokens = lex(sql, self.dialect);
        let Some(first) = tokens.first() else { return };
        let routine =
            first.is("CREATE") && tokens.iter().take(8).any(|t| t.is("PROCEDURE") || t.is("FUNCTION"));
        if first.is("DO") && self.dialect == Dialect::Postgresql {
            return self.block(sql, &tokens, place);
        }
        if routine {
            return self.define(sql, &tokens, place);
        }
        if first.is("CALL") {
            return self.call(sql, &tokens, place);
        }
        // One that this file has defined: the binaries do not know it, and no table is touched.
        if first.is("DROP") && tokens.iter().take(3).any(|t| t.is("PROCEDURE") || t.is("FUNCTION")) {
            let own =
                tokens.iter().filter_map(Token::name).find(|name| self.known.routines.contains_key(name));
            if let Some(name) = own {
                self.known.routines.remove(&name);
                return;
            }
        }
        let calls = || {
            tokens.get(2).is_some_and(|t| t.is("("))
                && tokens
                    .get(1)
                    .and_then(Token::name)
                    .is_some_and(|name| self.known.routines.contains_key(&name))
        };
        if first.is("SELECT") && calls() {
            return self.call(sql, &tokens, place);
        }
        if self.dialect == Dialect::Postgresql {
            return self.push(sql, place, None);
        }
        match first {
            first if first.is("SET") && tokens.get(1).is_some_and(|t| t.kind == Kind::Variable) => {
                self.assign(&tokens);
            }
            first if first.is("SELECT") && tokens.iter().any(|t| t.is("INTO")) => {
                self.select_into(sql, &tokens, place);
            }
            first if first.is("PREPARE") => self.prepare(&tokens),
            first if first.is("EXECUTE") => self.execute(sql, &tokens, place),
            first if first.is("DEALLOCATE") => {}
            _ => self.push(sql, place, None),
        }
    }

    /// `DO $$ ... $$`.
    fn block(&mut self, sql: &str, tokens: &[Token<'_>], place: &Place) {
        let language = tokens.iter().position(|t| t.is("LANGUAGE")).and_then(|at| tokens.get(at + 1)?.name());
        let body = tokens.iter().find_map(|t| t.content(self.dialect));
        match body {
            Some(body) if language.as_deref().is_none_or(|name| name == "plpgsql") => {
                self.body(&body, &inside(place, "DO"));
            }
            _ => self.push(
                sql,
                place,
                Some("a DO block in a language that is not read: write it in plpgsql".into()),
            ),
        }
    }

    fn define(&mut self, sql: &str, tokens: &[Token<'_>], place: &Place) {
        let at = tokens.iter().position(|t| t.is("PROCEDURE") || t.is("FUNCTION")).unwrap_or(0);
        let mut name_at = at + 1;
        while tokens.get(name_at + 1).is_some_and(|t| t.is(".")) {
            name_at += 2;
        }
        if let Some(name) = tokens.get(name_at).and_then(Token::name) {
            let body = if self.dialect == Dialect::Postgresql {
                tokens.iter().skip(at).find_map(|t| t.content(self.dialect))
            } else {
                tokens.iter().skip(at).find(|t| t.is("BEGIN")).map(|t| sql[t.at..].to_owned())
            };
            if let Some(body) = body {
                self.known.routines.insert(name, body);
            }
        }
        // Only defined, not run: the definition itself touches no table.
        self.push(sql, place, None);
    }

    fn call(&mut self, sql: &str, tokens: &[Token<'_>], place: &Place) {
        let name = tokens
            .iter()
            .skip(1)
            .take_while(|t| !t.is("("))
            .filter_map(Token::name)
            .last()
            .unwrap_or_default();
        match self.known.routines.get(&name).cloned() {
            Some(body) => self.body(&body, &inside(place, &format!("CALL {name}"))),
            None => self.push(sql, place, Some(format!("CALL of `{name}`, which this file does not define"))),
        }
    }

    /// A procedural body: its statements, without the control words around them.
    fn body(&mut self, body: &str, place: &Place) {
        let tokens = lex(body, self.dialect);
        let mut state = Control { place: place.clone(), open: Vec::new() };
        let mut start = 0;
        // PL/pgSQL declares before BEGIN; MySQL after it.
        if let Some(at) = tokens.iter().position(|t| t.is("BEGIN")) {
            self.declarations(&tokens[..at]);
            start = at + 1;
        }
        for part in tokens[start..].split(|token| token.is(";")) {
            let part = state.strip(part);
            self.inner(body, part, &state.here());
        }
    }

    /// `name type := 'literal'` before BEGIN: variables whose strings are known.
    fn declarations(&mut self, tokens: &[Token<'_>]) {
        for part in tokens.split(|t| t.is(";")) {
            let part = &part[usize::from(part.first().is_some_and(|t| t.is("DECLARE")))..];
            if let (Some(name), Some(at)) =
                (part.first().and_then(Token::name), part.iter().position(|t| t.is(":=")))
            {
                let value = self.strings(&part[at + 1..]);
                self.known.variables.insert(name, value);
            }
        }
    }

    fn inner(&mut self, body: &str, part: &[Token<'_>], place: &Place) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { return };
        let sql = &body[first.at..last.end()];
        if part.iter().any(|t| t.kind == Kind::Unclosed) {
            return self.push(sql, place, Some("a string or comment in the body is never closed".into()));
        }
        let quiet = [
            "RETURN", "RAISE", "NULL", "EXIT", "CONTINUE", "LEAVE", "ITERATE", "DECLARE", "GET", "ASSERT",
            "OPEN", "FETCH", "CLOSE", "SIGNAL",
        ];
        if quiet.iter().any(|word| first.is(word)) {
            return;
        }
        if part.get(1).is_some_and(|t| t.is(":=") || (t.is("=") && first.kind == Kind::Word)) {
            if let Some(name) = first.name() {
                let value = self.strings(&part[2..]);
                self.known.variables.insert(name, value);
            }
            return;
        }
        if self.dialect == Dialect::Postgresql && first.is("EXECUTE") {
            return self.execute(sql, part, place);
        }
        if first.is("PERFORM") {
            return self.push(&format!("SELECT {}", &body[first.end()..last.end()]), place, None);
        }
        if first.is("SELECT") && self.dialect == Dialect::Postgresql {
            return self.push(&without_into(body, part), place, None);
        }
        self.statement(sql, place);
    }

    /// `EXECUTE 'literal'` (PostgreSQL) or `EXECUTE prepared` (MySQL).
    fn execute(&mut self, sql: &str, tokens: &[Token<'_>], place: &Place) {
        let end = tokens.iter().position(|t| t.is("USING") || t.is("INTO")).unwrap_or(tokens.len());
        let found = match self.dialect {
            Dialect::Mysql => tokens
                .get(1)
                .and_then(Token::name)
                .and_then(|name| self.known.prepared.get(&name).cloned().flatten()),
            Dialect::Postgresql => self.strings(&tokens[1.min(end)..end]),
        };
        let Some(found) = found else {
            let why = "it runs a string that is put together at run time (dynamic SQL), so what it does is not known";
            return self.push(sql, place, Some(why.into()));
        };
        let mut place = inside(place, if self.dialect == Dialect::Mysql { "PREPARE" } else { "EXECUTE" });
        place.guarded |= found.len() > 1;
        for text in found {
            for raw in crate::split::split(&text, self.dialect) {
                if let Some(why) = raw.broken {
                    self.push(&raw.sql, &place, Some(why));
                } else if !idle(&raw.sql) {
                    self.statement(&raw.sql, &place);
                }
            }
        }
    }

    fn prepare(&mut self, tokens: &[Token<'_>]) {
        let (Some(name), Some(from)) = (tokens.get(1).and_then(Token::name), tokens.get(3..)) else { return };
        let value = self.strings(from);
        self.known.prepared.insert(name, value);
    }

    /// `SET @a = ..., @b = ...`.
    fn assign(&mut self, tokens: &[Token<'_>]) {
        for part in commas(&tokens[1..]) {
            if let (Some(variable), Some(value)) = (part.first(), part.get(2..)) {
                let value = self.strings(value);
                self.known.variables.insert(variable.text.to_lowercase(), value);
            }
        }
    }

    /// `SELECT expression INTO @a`.
    fn select_into(&mut self, sql: &str, tokens: &[Token<'_>], place: &Place) {
        let into = tokens.iter().rposition(|t| t.is("INTO")).unwrap_or(0);
        if let Some(variable) = tokens.get(into + 1).filter(|t| t.kind == Kind::Variable) {
            let end = tokens.iter().position(|t| t.is("FROM")).map_or(into, |from| from.min(into)).max(1);
            let value = self.strings(&tokens[1..end]);
            self.known.variables.insert(variable.text.to_lowercase(), value);
        } else {
            self.push(sql, place, None);
        }
    }

    /// The strings that an expression can be, if that is known: literals, `||` and CONCAT of them, IF, variables.
    fn strings(&self, tokens: &[Token<'_>]) -> Option<Vec<String>> {
        if tokens.len() > EXPRESSION_MAX {
            return None;
        }
        let tokens = bare(tokens);
        let joined: Vec<&[Token<'_>]> = tokens.split(|t| t.is("||")).collect();
        if self.dialect == Dialect::Postgresql && joined.len() > 1 {
            return self.product(&joined);
        }
        let first = tokens.first()?;
        if tokens.iter().all(|t| t.kind == Kind::Text) {
            return tokens
                .iter()
                .map(|t| t.content(self.dialect))
                .collect::<Option<String>>()
                .map(|text| vec![text]);
        }
        let arguments = || {
            (tokens.get(1)?.is("(") && tokens.last()?.is(")")).then(|| commas(&tokens[2..tokens.len() - 1]))
        };
        match first {
            first if tokens.len() == 1 => {
                let name =
                    if first.kind == Kind::Variable { first.text.to_lowercase() } else { first.name()? };
                self.known.variables.get(&name).cloned().flatten()
            }
            first if first.is("SELECT") => self.strings(&tokens[1..]),
            first if first.is("IF") => {
                let [_, yes, no] = arguments()?.try_into().ok()?;
                Some([self.strings(yes)?, self.strings(no)?].concat())
            }
            first if first.is("CONCAT") => self.product(&arguments()?),
            _ => None,
        }
    }

    fn product(&self, parts: &[&[Token<'_>]]) -> Option<Vec<String>> {
        let mut out = vec![String::new()];
        for part in parts {
            let tails = self.strings(part)?;
            if out.len() * tails.len() > 64 {
                return None;
            }
            out = out.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect();
        }
        Some(out)
    }
}

fn inside(place: &Place, what: &str) -> Place {
    let mut place = place.clone();
    place.within.push(what.into());
    place
}

/// What the guards' other branch runs: nothing.
fn idle(sql: &str) -> bool {
    let tokens = lex(sql, Dialect::Mysql);
    tokens.first().is_some_and(|t| t.is("DO"))
        || (tokens.first().is_some_and(|t| t.is("SELECT"))
            && !tokens.iter().any(|t| t.is("FROM") || t.is("(")))
}

/// An expression without the parentheses around the whole of it.
fn bare<'t, 'a>(mut tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    while let [open, inner @ .., close] = tokens {
        if !(open.is("(") && close.is(")") && balanced(inner)) {
            break;
        }
        tokens = inner;
    }
    tokens
}

fn balanced(tokens: &[Token<'_>]) -> bool {
    let mut depth = 0_i32;
    tokens.iter().all(|token| {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        depth >= 0
    })
}

/// A PL/pgSQL `SELECT ... INTO variables`, as the query it runs.
fn without_into(body: &str, part: &[Token<'_>]) -> String {
    let (Some(first), Some(last)) = (part.first(), part.last()) else { return String::new() };
    let Some(into) = part.iter().position(|t| t.is("INTO")) else { return body[first.at..last.end()].into() };
    let strict = usize::from(part.get(into + 1).is_some_and(|t| t.is("STRICT")));
    let mut after = into + 2 + strict;
    while part.get(after).is_some_and(|t| t.is(",") || t.is(".")) {
        after += 2;
    }
    let tail = part.get(after).map_or("", |t| &body[t.at..last.end()]);
    format!("{}{tail}", &body[first.at..part[into].at])
}

/// A control structure of a routine's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// IF and CASE: its statements may be skipped.
    Branch,
    Loop,
    Begin,
}

/// Which control structures are open.
struct Control {
    place: Place,
    open: Vec<Block>,
}

impl Control {
    fn here(&self) -> Place {
        let mut place = self.place.clone();
        place.guarded |= self.open.contains(&Block::Branch);
        place.looped |= self.open.contains(&Block::Loop);
        place
    }

    /// A part between semicolons without the control words before its statement.
    fn strip<'t, 'a>(&mut self, mut part: &'t [Token<'a>]) -> &'t [Token<'a>] {
        while let Some(first) = part.first() {
            let after = |words: &[&str]| part.iter().position(|t| words.iter().any(|word| t.is(word)));
            let skip = if first.is("IF") || first.is("ELSIF") || first.is("ELSEIF") {
                if first.is("IF") {
                    self.open.push(Block::Branch);
                }
                after(&["THEN"])
            } else if first.is("ELSE") {
                Some(0)
            } else if first.is("WHEN") {
                after(&["THEN"])
            } else if first.is("CASE") {
                self.open.push(Block::Branch);
                after(&["THEN"])
            } else if first.is("LOOP") || first.is("REPEAT") {
                self.open.push(Block::Loop);
                Some(0)
            } else if first.is("WHILE") || first.is("FOR") || first.is("FOREACH") {
                self.open.push(Block::Loop);
                after(&["LOOP", "DO"])
            } else if first.is("BEGIN") || first.is("DECLARE") && part.iter().any(|t| t.is("BEGIN")) {
                self.open.push(Block::Begin);
                after(&["BEGIN"])
            } else if first.is("EXCEPTION") {
                after(&["THEN"])
            } else if first.is("<<") {
                after(&[">>"])
            } else if first.is("END") || first.is("UNTIL") {
                self.open.pop();
                return &[];
            } else if part.get(1).is_some_and(|t| t.is(":")) {
                Some(1)
            } else {
                return part;
            };
            match skip {
                Some(at) => part = &part[at + 1..],
                None => return &[],
            }
        }
        part
    }
}
