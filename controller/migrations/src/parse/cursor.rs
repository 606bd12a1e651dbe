//! A place among a statement's tokens. Pure.

use breakwater_text::cut;

use crate::{
    Dialect,
    lex::{Kind, Token, commas},
};

/// Why a statement is not understood.
pub(super) type Reason = String;

/// Reads tokens from the front; nothing is skipped that is not asked for.
#[derive(Clone)]
pub(super) struct Cursor<'t, 'a> {
    pub rest: &'t [Token<'a>],
    pub sql: &'t str,
    pub dialect: Dialect,
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub fn mysql(&self) -> bool {
        self.dialect == Dialect::Mysql
    }

    pub fn done(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn peek(&self, word: &str) -> bool {
        self.rest.first().is_some_and(|token| token.is(word))
    }

    /// Takes these words, separated by blanks, if they come next in this order.
    pub fn eat(&mut self, words: &str) -> bool {
        let mut rest = self.rest;
        for word in words.split(' ') {
            match rest.split_first() {
                Some((token, after)) if token.is(word) => rest = after,
                _ => return false,
            }
        }
        self.rest = rest;
        true
    }

    /// Takes the first of these that comes next.
    pub fn any(&mut self, choices: &[&str]) -> bool {
        choices.iter().any(|words| self.eat(words))
    }

    pub fn has(&self, word: &str) -> bool {
        self.rest.iter().any(|token| token.is(word))
    }

    pub fn need(&mut self, words: &str) -> Result<(), Reason> {
        if self.eat(words) { Ok(()) } else { Err(self.unread(&format!("`{words}` is expected"))) }
    }

    /// What to say of the token where reading stopped.
    pub fn unread(&self, why: &str) -> Reason {
        match self.rest.first() {
            Some(token) => format!("{why} at `{}`", cut::chars(token.text, 40)),
            None => format!("{why} at the end"),
        }
    }

    pub fn end(&self) -> Result<(), Reason> {
        if self.done() { Ok(()) } else { Err(self.unread("this form is not known")) }
    }

    /// A name, its schema left out.
    pub fn name(&mut self) -> Result<String, Reason> {
        let mut name = self.part()?;
        while self.eat(".") {
            name = self.part()?;
        }
        Ok(name)
    }

    fn part(&mut self) -> Result<String, Reason> {
        let (token, rest) = self.rest.split_first().ok_or_else(|| self.unread("a name is expected"))?;
        let name = token
            .name()
            .or_else(|| (self.mysql() && token.kind == Kind::Text).then(|| token.text.to_lowercase()));
        let name = name.ok_or_else(|| self.unread("a name is expected"))?;
        self.rest = rest;
        Ok(name)
    }

    /// What stands in the parentheses that come next.
    pub fn parens(&mut self) -> Result<&'t [Token<'a>], Reason> {
        self.need("(")?;
        let mut depth = 1_i32;
        for (at, token) in self.rest.iter().enumerate() {
            depth += i32::from(token.is("(")) - i32::from(token.is(")"));
            if depth == 0 {
                let inner = &self.rest[..at];
                self.rest = &self.rest[at + 1..];
                return Ok(inner);
            }
        }
        Err(self.unread("a `)` is missing"))
    }

    pub fn of(&self, rest: &'t [Token<'a>]) -> Self {
        Self { rest, sql: self.sql, dialect: self.dialect }
    }

    /// The parts between commas.
    pub fn list(&self) -> Vec<Self> {
        commas(self.rest).into_iter().map(|part| self.of(part)).collect()
    }

    /// The text of tokens.
    pub fn text(&self, tokens: &[Token<'_>]) -> String {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => self.sql.get(first.at..last.end()).unwrap_or_default().into(),
            _ => String::new(),
        }
    }

    /// The columns of an index or a constraint: the name where it is a plain column, the text where it is an expression.
    pub fn columns(&mut self) -> Result<Vec<String>, Reason> {
        let inner = self.parens()?;
        Ok(commas(inner)
            .into_iter()
            .map(|part| match part.first().and_then(Token::name) {
                Some(name) if !part.get(1).is_some_and(|next| next.is("(")) || self.mysql() => name,
                _ => self.text(part),
            })
            .collect())
    }
}
