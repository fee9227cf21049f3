//! A journal that takes nothing, one that takes all, and values that would be more than values.
