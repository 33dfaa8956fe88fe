// A running count of the arithmetic that kernels do, for profiles.
#pragma once

namespace heed {

/// Adds to the process's count: products, convolutions and attention report each call, two
/// operations a multiply-add, what they recompute included; memory-bound kernels report nothing.
void count_flops(double flops);

/// The count so far; differences of it tell what ran in between.
double counted_flops();

}  // namespace heed
