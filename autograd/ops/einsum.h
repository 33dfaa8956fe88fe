// Sums of products by labels.
#pragma once

#include <string>
#include <vector>

#include "autograd/tape.h"

namespace heed {

/// The Einstein sum of `equation`, one letter a dimension: "bhnd,bhmd->bhnm". Labels that the
/// result does not name are summed over; equal labels have equal extents. "..." stands for the
/// dimensions of an operand that have no letter, "...nd,md->...nm": they are aligned from the last
/// and broadcast, and in the result they are all of them. Operands are contracted
/// from left to right, each pair as one (batched) matrix product; permuted views are not copied
/// where the product takes them. Throws on a malformed equation, on a label that one operand (or
/// the result) has twice, and on extents that disagree.
Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands);

}  // namespace heed
