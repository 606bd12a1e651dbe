//! The codec of digits: numbers as base64url characters, one for six bits, for what a checkpoint in the status holds. Pure.
//!
//! A *word* is so many digits of a number, most significant first. A *count* is digits of 5 bits, least significant first, the
//! sixth bit set where another follows, so that a small one is one character. 0 is `A`.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Digits of a word of 64 bits.
pub(crate) const WORD: usize = 11;
/// Most digits of a count that fits in 64 bits: the last of them holds 4.
pub(crate) const COUNT_64: u32 = 13;
/// Most digits of a count that fits in 32 bits.
pub(crate) const COUNT_32: u32 = 7;

/// The text does not hold the number that should come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoNumber;

/// Appends one digit; of a number above 63 its lowest six bits.
pub(crate) fn push_digit(text: &mut String, digit: u64) {
    text.push(char::from(DIGITS[(digit % 64) as usize]));
}

/// Appends the lowest `count` digits of a number.
///
/// Not inlined: in the nested loops of the comparison's sections, optimised and with overflow checks, LLVM 21 works on this loop's
/// induction for longer than anybody waited (20 minutes); alone it takes no time.
#[inline(never)]
pub(crate) fn push_word(text: &mut String, bits: u64, count: usize) {
    for place in (0..count).rev() {
        push_digit(text, bits >> (6 * place).min(63));
    }
}

/// Appends a count.
pub(crate) fn push_count(text: &mut String, mut count: u64) {
    while count >= 32 {
        push_digit(text, count % 32 + 32);
        count /= 32;
    }
    push_digit(text, count);
}

/// What is left to read of a text of digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits<'a>(pub(crate) &'a str);

impl Digits<'_> {
    /// Nothing is left.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next digit, below 64.
    pub(crate) fn digit(&mut self) -> Result<u64, NoNumber> {
        let byte = *self.0.as_bytes().first().ok_or(NoNumber)?;
        let digit = DIGITS.iter().position(|known| *known == byte).ok_or(NoNumber)?;
        self.0 = &self.0[1..];
        Ok(digit as u64)
    }

    /// The next word of `count` digits, if 64 bits hold it.
    pub(crate) fn word(&mut self, count: usize) -> Result<u64, NoNumber> {
        let mut bits = 0_u64;
        for _ in 0..count {
            bits = bits.checked_mul(64).ok_or(NoNumber)? + self.digit()?;
        }
        Ok(bits)
    }

    /// The next count, of so many digits at most, if 64 bits hold it.
    pub(crate) fn count(&mut self, digits_max: u32) -> Result<u64, NoNumber> {
        let mut count = 0_u64;
        for place in 0..digits_max.min(COUNT_64) {
            let digit = self.digit()?;
            count |= (digit % 32).checked_mul(1 << (5 * place)).ok_or(NoNumber)?;
            if digit < 32 {
                return Ok(count);
            }
        }
        Err(NoNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were_written() {
        for number in [0, 1, 31, 32, 1_023, 1_024, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut text = String::new();
            push_count(&mut text, number);
            push_word(&mut text, number, WORD);
            let mut digits = Digits(&text);
            assert_eq!((digits.count(COUNT_64), digits.word(WORD)), (Ok(number), Ok(number)));
            assert!(digits.is_empty());
        }
    }

    #[test]
    fn small_counts_are_short_and_their_lowest_bits_come_first() {
        let written = |count| {
            let mut text = String::new();
            push_count(&mut text, count);
            text
        };
        assert_eq!([0, 31, 32, 33].map(written), ["A", "f", "gB", "hB"]);
        let mut word = String::new();
        push_word(&mut word, 65, 3);
        assert_eq!(word, "ABB");
    }

    #[test]
    fn what_is_no_number_is_an_error_and_no_panic() {
        for text in ["", "é", "_", "%", &"_".repeat(14), "____________Q"] {
            assert_eq!(Digits(text).count(COUNT_64), Err(NoNumber), "{text}");
        }
        assert_eq!(Digits("gggggggA").count(COUNT_32), Err(NoNumber), "longer than any count of 32 bits");
        assert_eq!(Digits("AB").word(3), Err(NoNumber));
        assert_eq!(Digits(&"_".repeat(WORD)).word(WORD), Err(NoNumber), "66 bits");
        assert_eq!(Digits("A🦀").word(2), Err(NoNumber));
    }
}
