//! The settings of `evaluate`.

crate::settings! {
    /// Settings of `evaluate`.
    pub struct Evaluate {
        /// The split whose clips are the reference; empty takes all.
        #[selects]
        split: String = "train".to_owned(),
        /// The split whose clips show what real music scores; empty takes none.
        #[selects]
        held_out: String = "test".to_owned(),
        /// Length in seconds of every clip that is compared; where no reference clip is that long, that of the longest.
        /// Longer clips are cut, shorter ones left out; songs are cut into as many as they give.
        seconds: f64 = 10.0,
        /// Clips of each kind, at most; all kinds have as many as the scarcest.
        clips: u32 = 100,
    }
}
