//! What tokens cost: the one table of prices.
//!
//! Unverified list prices as of January 2026, for the standard tier, written down from memory of
//! the public price page. They serve the budget; the invoice of the service is what counts. A model
//! that is not listed costs as much as the dearest one, so that a budget is never passed by not
//! knowing. A user may give prices of their own, which come first. Prompts of more than 200,000 tokens cost more for some models, and for all of them here.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Cost;

/// Tokens of one request, as the service counts them: the kinds do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Read, and neither from a cache nor into one.
    pub input: u64,
    /// Written to a cache that lives 5 minutes.
    pub cache_write: u64,
    /// Written to a cache that lives an hour.
    pub cache_write_hour: u64,
    pub cache_read: u64,
    pub output: u64,
    /// Web searches made by the service.
    pub web_searches: u64,
}

/// How long the caches live at most that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachedFor {
    Minutes,
    Hour,
}

impl Tokens {
    /// Returns all tokens that were read, caches included.
    pub fn total_input(self) -> u64 {
        self.input
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_hour)
            .saturating_add(self.cache_read)
    }
}

/// Price of a family in thousandths of a dollar per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Price {
    input: u64,
    output: u64,
}

/// Parts of model names, the first that fits counts.
const FAMILIES: [(&str, Price); 12] = [
    ("opus-4-0", OPUS_4),
    ("opus-4-1", OPUS_4),
    ("opus-4-2025", OPUS_4),
    ("3-opus", OPUS_4),
    ("opus-4-", OPUS),
    ("sonnet", SONNET),
    ("haiku-4", HAIKU),
    ("3-5-haiku", HAIKU_3_5),
    ("haiku-3-5", HAIKU_3_5),
    ("3-haiku", HAIKU_3),
    ("haiku-3", HAIKU_3),
    ("haiku", HAIKU),
];
const OPUS_4: Price = price(15_000, 75_000);
const OPUS: Price = price(5_000, 25_000);
const SONNET: Price = price(3_000, 15_000);
const HAIKU: Price = price(1_000, 5_000);
const HAIKU_3_5: Price = price(800, 4_000);
const HAIKU_3: Price = price(250, 1_250);
const DEAREST: Price = OPUS_4;
/// A prompt of more tokens than this costs twice as much, its output 1.5 times.
const LONG_PROMPT: u64 = 200_000;
/// 10 dollars per thousand.
const WEB_SEARCH_MICRODOLLARS: u64 = 10_000;

const fn price(input: u64, output: u64) -> Price {
    Price { input, output }
}

/// The prices in force: the table's, and before them those that a user gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// By the beginning of a model's name.
    own: BTreeMap<String, Price>,
}

/// Dollars per million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnPrice {
    input: f64,
    output: f64,
}

/// Says why a text holds no prices.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    #[error("the prices are not of the form `{{\"MODEL\": {{\"input\": 3, \"output\": 15}}}}`")]
    Form(#[source] serde_json::Error),
    #[error("a price of `{0}` is not between 0 and 1000000 dollars per million tokens")]
    Amount(String),
}

impl Prices {
    /// Reads `{"MODEL": {"input": 3, "output": 15}}`: dollars per million tokens of the models whose
    /// names start so; the longest such name counts.
    ///
    /// # Errors
    ///
    /// A variant of [`PricesError`] for each rule.
    pub fn parse(json: &str) -> Result<Self, PricesError> {
        let read: BTreeMap<String, OwnPrice> =
            serde_json::from_str(json).map_err(PricesError::Form)?;
        let mut own = BTreeMap::new();
        for (model, price) in read {
            let (Some(input), Some(output)) = (thousandths(price.input), thousandths(price.output))
            else {
                return Err(PricesError::Amount(model));
            };
            own.insert(model, Price { input, output });
        }
        Ok(Self { own })
    }

    fn of(&self, model: &str) -> Price {
        let own = self.own.iter().filter(|(name, _)| model.starts_with(*name));
        let listed = || FAMILIES.iter().find(|(part, _)| model.contains(part));
        match own.max_by_key(|(name, _)| name.len()) {
            Some((_, price)) => *price,
            None => listed().map_or(DEAREST, |(_, price)| *price),
        }
    }

    /// Returns what a request may cost at most: all of it written to a cache, and an answer as long
    /// as it allows. The number of its tokens is estimated, on the safe side for English.
    pub(super) fn worst_cost(
        &self,
        model: &str,
        request_tokens: u64,
        cached_for: CachedFor,
        max_tokens: u64,
    ) -> Cost {
        let (cache_write, cache_write_hour) = match cached_for {
            CachedFor::Minutes => (request_tokens, 0),
            CachedFor::Hour => (0, request_tokens),
        };
        let tokens = Tokens {
            cache_write,
            cache_write_hour,
            output: max_tokens,
            ..Tokens::default()
        };
        self.cost(model, tokens)
    }

    /// Returns the price of `tokens` of `model`, rounded up to a millionth of a dollar.
    pub(super) fn cost(&self, model: &str, tokens: Tokens) -> Cost {
        priced(self.of(model), tokens)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked"
)]
fn thousandths(dollars: f64) -> Option<u64> {
    (0.0..=1_000_000.0)
        .contains(&dollars)
        .then(|| (dollars * 1_000.0).ceil() as u64)
}

/// Writing to a cache costs 1.25 times the input price (2 times for the hour), reading 0.1 times.
fn priced(price: Price, tokens: Tokens) -> Cost {
    let price = if tokens.total_input() > LONG_PROMPT {
        Price {
            input: price.input * 2,
            output: price.output * 3 / 2,
        }
    } else {
        price
    };
    // In hundredths of thousandths of a millionth, so that every factor is a whole number.
    let of_tokens = [
        (tokens.input, price.input * 100),
        (tokens.cache_write, price.input * 125),
        (tokens.cache_write_hour, price.input * 200),
        (tokens.cache_read, price.input * 10),
        (tokens.output, price.output * 100),
    ];
    let sum: u128 = of_tokens
        .iter()
        .map(|(count, rate)| u128::from(*count) * u128::from(*rate))
        .sum();
    let microdollars = sum.div_ceil(100_000)
        + u128::from(tokens.web_searches) * u128::from(WEB_SEARCH_MICRODOLLARS);
    Cost::from_microdollars(u64::try_from(microdollars).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few enough not to make a long prompt.
    const TENTH: u64 = 100_000;

    fn cost(model: &str, tokens: Tokens) -> Cost {
        Prices::default().cost(model, tokens)
    }

    /// In dollars per million tokens of each.
    fn dollars(model: &str, tokens: Tokens) -> f64 {
        cost(model, tokens).dollars() * 10.0
    }

    fn input_and_output() -> Tokens {
        Tokens {
            input: TENTH,
            output: TENTH,
            ..Tokens::default()
        }
    }

    #[test]
    fn families_have_their_list_price() {
        let cases = [
            ("claude-opus-4-5-20251101", 30.0),
            ("claude-opus-4-1-20250805", 90.0),
            ("claude-opus-4-20250514", 90.0),
            ("claude-sonnet-4-5-20250929", 18.0),
            ("claude-haiku-4-5-20251001", 6.0),
            ("claude-3-5-haiku-20241022", 4.8),
            ("claude-3-haiku-20240307", 1.5),
        ];
        for (model, price) in cases {
            assert!(
                (dollars(model, input_and_output()) - price).abs() < 1e-9,
                "{model}"
            );
        }
    }

    #[test]
    fn unknown_model_costs_as_much_as_the_dearest() {
        assert_eq!(
            cost("gpt", input_and_output()),
            Cost::from_microdollars(90 * TENTH)
        );
        assert_eq!(
            cost("", input_and_output()),
            Cost::from_microdollars(90 * TENTH)
        );
    }

    #[test]
    fn caches_have_their_own_price() {
        let tokens = Tokens {
            cache_write: 10_000,
            cache_write_hour: 10_000,
            cache_read: 10_000,
            ..Tokens::default()
        };
        // 3 x (1.25 + 2 + 0.1)
        assert_eq!(
            cost("claude-sonnet-4-5", tokens),
            Cost::from_microdollars(100_500)
        );
    }

    #[test]
    fn own_price_comes_first_and_the_longest_name_counts() {
        let json = r#"{"claude-": {"input": 1, "output": 2}, "claude-x": {"input": 0.0005, "output": 30}}"#;
        let prices = Prices::parse(json).unwrap();
        let of = |model| prices.cost(model, input_and_output()).microdollars();
        assert_eq!(of("claude-haiku-4-5"), 3 * TENTH);
        // Rounded up to a thousandth of a dollar per million.
        assert_eq!(of("claude-x-20270101"), 30 * TENTH + 100);
        assert_eq!(of("x-claude-"), 90 * TENTH);
    }

    #[test]
    fn prices_that_make_no_sense_are_errors() {
        for json in [
            "[]",
            "{",
            r#"{"m": 3}"#,
            r#"{"m": {"input": 3}}"#,
            r#"{"m": {"input": 3, "output": 1, "cache": 1}}"#,
        ] {
            assert!(
                matches!(Prices::parse(json), Err(PricesError::Form(_))),
                "{json}"
            );
        }
        for amount in ["-1", "1000001"] {
            let json = format!(r#"{{"m": {{"input": {amount}, "output": 1}}}}"#);
            assert_eq!(
                Prices::parse(&json).unwrap_err().to_string(),
                "a price of `m` is not between 0 and 1000000 dollars per million tokens"
            );
        }
    }

    #[test]
    fn long_prompt_costs_more() {
        let tokens = |input| Tokens {
            input,
            output: 1_000,
            ..Tokens::default()
        };
        assert_eq!(
            cost("claude-sonnet-4-5", tokens(200_000)),
            Cost::from_microdollars(600_000 + 15_000)
        );
        assert_eq!(
            cost("claude-sonnet-4-5", tokens(200_001)),
            Cost::from_microdollars(1_200_006 + 22_500)
        );
    }

    #[test]
    fn worst_case_is_a_full_answer_to_an_uncached_prompt() {
        // 4000 tokens at 5 dollars a million, 1000 at 1.25.
        let worst =
            |cached_for| Prices::default().worst_cost("claude-haiku-4-5", 1_000, cached_for, 4_000);
        assert_eq!(
            worst(CachedFor::Minutes),
            Cost::from_microdollars(20_000 + 1_250)
        );
        // Cached for an hour, it costs twice as much as without a cache.
        assert_eq!(
            worst(CachedFor::Hour),
            Cost::from_microdollars(20_000 + 2_000)
        );
    }

    #[test]
    fn a_single_cached_token_is_not_free() {
        let tokens = Tokens {
            cache_read: 1,
            ..Tokens::default()
        };
        assert_eq!(cost("claude-haiku-4-5", tokens), Cost::from_microdollars(1));
    }
}
