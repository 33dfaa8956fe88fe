// Taking the memory from behind a storage for a while: all tensors over it stay what they are, but
// must not be read or written until it is back.
#pragma once

#include "core/allocator.h"

namespace heed::allocator {

/// Gives the memory of a storage back to the allocator. It must be the allocator's own (not wrapped
/// by the storage); one without memory stays as it is.
void release(Storage& storage);
/// Gives it memory again, uninitialised; one that has memory keeps it. The version stays: tensors
/// saved for a backward pass are good again once the same values are back.
void restore(Storage& storage);

}  // namespace heed::allocator
