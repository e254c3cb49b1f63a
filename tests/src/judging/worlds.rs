//! Four kinds of noise that measurements of time have.

use autoclave_runner::decide::dice::Dice;

/// A kind of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// 5 %, normal.
    Gaussian,
    /// Never faster than the truth, often a little slower, sometimes a lot: 3 % times an exponential
    /// deviate, and for one reading in ten times a Pareto deviate of index 1.5, whose variance is
    /// infinite.
    HeavyOneSided,
    /// 3 %, normal, on a machine that slowly gets warm and cool, by 10 % up and down, and a little
    /// slower all the time.
    Drift,
    /// 3 %, normal, and now and then, for ten readings on average, 10 to 50 % slower.
    Bursts,
}

impl World {
    pub const ALL: [Self; 4] = [
        Self::Gaussian,
        Self::HeavyOneSided,
        Self::Drift,
        Self::Bursts,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::HeavyOneSided => "heavy one-sided",
            Self::Drift => "drift",
            Self::Bursts => "bursts",
        }
    }
}

/// A machine that measures, with its noise.
pub struct Machine {
    world: World,
    dice: Dice,
    readings: u32,
    is_in_burst: bool,
}

impl Machine {
    pub fn new(world: World, seed: u64) -> Self {
        Self {
            world,
            dice: Dice::new(seed),
            readings: 0,
            is_in_burst: false,
        }
    }

    /// Returns what is read of something that truly takes `truth`; smaller is better.
    pub fn read(&mut self, truth: f64) -> f64 {
        self.readings += 1;
        truth * self.noise()
    }

    /// Returns how often it was read.
    pub fn readings(&self) -> u32 {
        self.readings
    }

    fn noise(&mut self) -> f64 {
        let dice = &mut self.dice;
        match self.world {
            World::Gaussian => (0.05 * dice.normal()).exp(),
            World::HeavyOneSided => {
                let exponential = -(1.0 - dice.uniform()).ln();
                let tail = if dice.uniform() < 0.1 {
                    (1.0 - dice.uniform()).powf(-1.0 / 1.5)
                } else {
                    1.0
                };
                1.0 + 0.03 * exponential * tail
            }
            World::Drift => {
                let time = f64::from(self.readings);
                (0.03 * dice.normal() + 0.10 * (time / 150.0).sin() + 5e-5 * time).exp()
            }
            World::Bursts => {
                self.is_in_burst = dice.uniform() < if self.is_in_burst { 0.9 } else { 0.02 };
                let slower = if self.is_in_burst {
                    0.1 + 0.4 * dice.uniform()
                } else {
                    0.0
                };
                (0.03 * dice.normal() + slower).exp()
            }
        }
    }
}
