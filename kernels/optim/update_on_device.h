// The update of a list of parameters on a device: one launch over the chunks of them all.
#pragma once

#include <vector>

#include "core/op_call.h"
#include "kernels/device_bytes.h"
#include "kernels/device_kernel.h"
#include "kernels/optim/chunk.h"

namespace heed::kernels {

/// Sends rows (one a tensor) and chunks along; `any` is one of the parameters.
template <class Rows>
void update_on_device(const char* op,
                      const DeviceKernel<void(const Rows*, const Chunk*, int64_t)>& kernel,
                      const std::vector<Rows>& rows, const std::vector<Chunk>& chunks,
                      const Tensor& any) {
  const Tensor all = device_bytes(rows, any.device());
  const Tensor pieces = device_bytes(chunks, any.device());
  kernel({op, any, all}, static_cast<const Rows*>(all.raw()),
         static_cast<const Chunk*>(pieces.raw()), std::ssize(chunks));
}

}  // namespace heed::kernels
