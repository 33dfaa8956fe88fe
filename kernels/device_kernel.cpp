#include "kernels/device_kernel.h"

#include "core/op_call.h"

namespace heed::kernels::detail {

void fail_not_provided(const OpCall& call) {
  require_cpu(call.device(), call.op());
  fail("{}: called as on a device", call.to_string());
}

}  // namespace heed::kernels::detail
