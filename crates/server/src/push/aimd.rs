//! How many attempts may be under way at once: one more after a window of successes, half as many
//! after a failure ("additive increase, multiplicative decrease": Chiu and Jain, 1989). No clock, no
//! task: what happened is said, and how many is answered.

/// With how many a destination is begun of which nothing is known.
const START: u32 = 4;

/// A number between 1 and a maximum.
#[derive(Debug)]
pub(super) struct Aimd {
    limit: u32,
    max: u32,
    /// Successes since the limit last changed.
    successes: u32,
    /// How often it was halved.
    cuts: u64,
}

/// What an attempt remembers of when it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    cuts: u64,
    /// Whether there was use for what the limit allows.
    busy: bool,
}

impl Aimd {
    pub(super) fn new(max: u32) -> Self {
        let max = max.max(1);
        Self { limit: START.min(max), max, successes: 0, cuts: 0 }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Another maximum holds from now on.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max.max(1);
        self.limit = self.limit.min(self.max);
    }

    /// An attempt begins, and with it so many are under way.
    pub(super) fn begin(&self, in_flight: u32) -> Began {
        Began { cuts: self.cuts, busy: in_flight > self.limit / 2 }
    }

    /// One has succeeded. It is a reason for more only if about as many as may were under way.
    pub(super) fn succeeded(&mut self, began: Began) {
        if !began.busy || began.cuts != self.cuts {
            return;
        }
        self.successes += 1;
        if self.successes >= self.limit {
            self.limit = (self.limit + 1).min(self.max);
            self.successes = 0;
        }
    }

    /// One has failed. Those that began together fail together: only the first of them counts.
    pub(super) fn failed(&mut self, began: Began) {
        if began.cuts != self.cuts {
            return;
        }
        self.limit = (self.limit / 2).max(1);
        self.successes = 0;
        self.cuts += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A window of successes, all slots in use.
    fn window(aimd: &mut Aimd) {
        for _ in 0..aimd.limit() {
            let began = aimd.begin(aimd.limit());
            aimd.succeeded(began);
        }
    }

    #[test]
    fn it_grows_by_one_a_window_and_halves() {
        let mut aimd = Aimd::new(32);
        let grown: Vec<u32> = std::iter::repeat_with(|| {
            window(&mut aimd);
            aimd.limit()
        })
        .take(30)
        .collect();
        assert_eq!(grown[..3], [5, 6, 7]);
        assert_eq!(grown[29], 32);
        let together: Vec<Began> = (1..=32).map(|in_flight| aimd.begin(in_flight)).collect();
        together.iter().for_each(|began| aimd.failed(*began));
        assert_eq!(aimd.limit(), 16, "what began together is one failure");
        together.iter().for_each(|began| aimd.succeeded(*began));
        assert_eq!((aimd.limit(), aimd.successes), (16, 0), "and no success after it");
        for half in [8, 4, 2, 1, 1] {
            let began = aimd.begin(1);
            aimd.failed(began);
            assert_eq!(aimd.limit(), half);
        }
        window(&mut aimd);
        assert_eq!(aimd.limit(), 2, "and from one it grows again");
    }

    #[test]
    fn what_is_not_used_does_not_grow() {
        let mut aimd = Aimd::new(32);
        for _ in 0..100 {
            let began = aimd.begin(1);
            aimd.succeeded(began);
        }
        assert_eq!(aimd.limit(), START);
        aimd.set_max(2);
        assert_eq!(aimd.limit(), 2);
        aimd.set_max(9);
        assert_eq!(aimd.limit(), 2);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            max in 0..40_u32,
            steps in proptest::collection::vec((0..4_u8, 1..40_u32), 0..200),
        ) {
            let mut aimd = Aimd::new(max);
            let (mut max, mut under_way) = (max.max(1), Vec::new());
            for (step, number) in steps {
                let before = aimd.limit();
                match step {
                    0 => under_way.push(aimd.begin(number)),
                    1 | 2 if under_way.is_empty() => {}
                    1 => aimd.succeeded(under_way.swap_remove(number as usize % under_way.len())),
                    2 => aimd.failed(under_way.swap_remove(number as usize % under_way.len())),
                    _ => {
                        aimd.set_max(number);
                        max = number;
                    }
                }
                prop_assert!((1..=max).contains(&aimd.limit()));
                prop_assert!(aimd.limit() <= before + 1);
                prop_assert!(step != 2 || aimd.limit() >= before / 2);
            }
        }
    }
}
