//! Random numbers that a seed fixes: who knows the seed can repeat them.

/// A sequence of random numbers; the same seed always gives the same one.
///
/// SplitMix64 (Steele, Lea and Flood, 2014): neighbouring seeds give unrelated sequences.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the dice that decide who is measured first in each pair of one experiment.
    pub fn of_experiment(run_seed: u32, experiment: u32) -> Self {
        Self::new(u64::from(run_seed) << 32 | u64::from(experiment))
    }

    /// Returns dice for another purpose, unrelated to what these still give.
    #[must_use]
    pub fn apart(&self, purpose: u64) -> Self {
        let mut apart = Self::new(self.state ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self::new(apart.bits())
    }

    /// Returns a whole number of 32 bits.
    pub fn number(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    /// Returns true every other time on average.
    pub fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }

    /// Returns a number from 0, inclusive, to 1, exclusive.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a normal deviate of mean 0 and variance 1, by the polar method (Marsaglia and Bray,
    /// 1964).
    pub fn normal(&mut self) -> f64 {
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// Puts `items` into a random order; each is as likely as any other.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.sort_by_cached_key(|_| self.bits());
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_generator() {
        // The first outputs for the seed 1234567 of the authors' reference, splitmix64.c.
        let mut dice = Dice::new(1_234_567);
        let first = [dice.bits(), dice.bits(), dice.bits()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn neither_side_comes_first_more_often_in_any_experiment_or_over_experiments() {
        let firsts = |experiment: u32| {
            let mut dice = Dice::of_experiment(7, experiment);
            (0..1000).filter(|_| dice.coin()).count()
        };
        for experiment in 1..=20 {
            assert!((430..=570).contains(&firsts(experiment)), "{experiment}");
        }
        let openings = (1..=1000).filter(|n| Dice::of_experiment(7, *n).coin());
        assert!((430..=570).contains(&openings.count()));
    }

    #[test]
    fn each_order_comes_up_as_often_as_any_other() {
        let mut dice = Dice::new(9);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut order = [1, 2, 3];
            dice.shuffle(&mut order);
            *counts.entry(order).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        let is_usual = |count: &i32| (880..=1120).contains(count);
        assert!(counts.values().all(is_usual), "{counts:?}");
    }

    #[test]
    fn dice_for_other_purposes_give_other_numbers() {
        let dice = Dice::of_experiment(7, 1);
        let drawn = |mut dice: Dice| [dice.number(), dice.number()];
        let [own, one, two] = [dice.clone(), dice.apart(1), dice.apart(2)].map(drawn);
        assert!(own != one && one != two && two != own);
        assert_eq!(one, drawn(dice.apart(1)));
        assert_ne!(one, drawn(Dice::of_experiment(7, 2).apart(1)));
    }

    #[test]
    fn normal_deviates_have_mean_0_and_variance_1() {
        let mut dice = Dice::new(3);
        let deviates: Vec<f64> = (0..20_000).map(|_| dice.normal()).collect();
        let mean = deviates.iter().sum::<f64>() / 20_000.0;
        let variance = deviates.iter().map(|d| d * d).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }
}
